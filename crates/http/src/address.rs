use std::net::IpAddr;

use url::{Host, Url};

/// Tells whether a URL names an address that is never asked: metadata services, where clouds hand out credentials, and
/// other link-local ones. Neither a registry's answer nor a Dockerfile must lead there.
///
/// Source: CVE-2020-15157 and its kin; AWS's IMDS is also at fd00:ec2::254.
pub fn is_forbidden(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_forbidden_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_forbidden_address(IpAddr::V6(address)),
        Some(Host::Domain(name)) => name
            .trim_end_matches('.')
            .eq_ignore_ascii_case("metadata.google.internal"),
        None => true,
    }
}

pub(crate) fn is_forbidden_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified() || address.is_broadcast(),
        IpAddr::V6(address) => {
            let mapped = address
                .to_ipv4_mapped()
                .is_some_and(|address| is_forbidden_address(IpAddr::V4(address)));
            let aws = address.segments()[..2] == [0xfd00, 0x0ec2];
            mapped || aws || address.is_unicast_link_local() || address.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_forbidden() {
        let cases = [
            ("http://169.254.169.254/latest", true),
            ("http://169.254.170.2/v2/credentials", true),
            ("http://2852039166/", true),
            ("http://[fd00:ec2::254]/", true),
            ("http://[fe80::1]/", true),
            ("http://[::ffff:169.254.169.254]/", true),
            ("http://metadata.google.internal/", true),
            ("http://metadata.google.internal./", true),
            ("http://0.0.0.0/", true),
            ("http://127.0.0.1:5000/", false),
            ("https://files.example/", false),
        ];
        for (url, forbidden) in cases {
            assert_eq!(is_forbidden(&Url::parse(url).unwrap()), forbidden, "{url}");
        }
    }
}
