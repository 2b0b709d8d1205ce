use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Which addresses a request may go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// All but those that are never asked.
    #[default]
    Anywhere,
    /// None within private networks either, this machine's own included.
    Public,
}

impl Reach {
    /// Tells whether a URL is within reach, as far as it says itself: a name may stand for any address, and is looked at
    /// again when it is looked up.
    pub fn allows(self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => self.allows_address(address.into()),
            Some(Host::Ipv6(address)) => self.allows_address(address.into()),
            Some(Host::Domain(name)) => self.allows_name(&name.trim_end_matches('.').to_ascii_lowercase()),
            None => false,
        }
    }

    pub(crate) fn allows_address(self, address: IpAddr) -> bool {
        !is_forbidden_address(address) && (self == Self::Anywhere || !is_private_address(address))
    }

    fn allows_name(self, name: &str) -> bool {
        let is_local = name == "localhost" || name.ends_with(".localhost");
        name != "metadata.google.internal" && !(is_local && self == Self::Public)
    }
}

/// Tells whether a URL names an address that is never asked: metadata services, where clouds hand out credentials, and
/// other link-local ones. Neither a registry's answer nor a Dockerfile must lead there.
///
/// Source: CVE-2020-15157 and its kin; AWS's IMDS is also at fd00:ec2::254.
pub fn is_forbidden(url: &Url) -> bool {
    !Reach::Anywhere.allows(url)
}

fn is_forbidden_address(address: IpAddr) -> bool {
    match unwrapped(address) {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified() || address.is_broadcast(),
        IpAddr::V6(address) => {
            let aws = address.segments()[..2] == [0xfd00, 0x0ec2];
            aws || address.is_unicast_link_local() || address.is_unspecified()
        }
    }
}

/// Tells whether an address is this machine's or one within a private network.
///
/// Sources: RFC 1918; RFC 6598 for what carriers and clouds share, 100.64.0.0/10; RFC 4193 for fc00::/7.
pub(crate) fn is_private_address(address: IpAddr) -> bool {
    match unwrapped(address) {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            address.is_loopback() || address.is_private() || is_shared
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// The IPv4 address that an IPv6 address stands for, where it does: mapped, or translated on the way (RFC 6052).
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(long) = address else {
        return address;
    };
    translated(long).map_or_else(|| address.to_canonical(), IpAddr::V4)
}

fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d] = *address.octets().last_chunk()?;
    let is_translated = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    is_translated.then(|| Ipv4Addr::new(a, b, c, d))
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
            ("http://[64:ff9b::169.254.169.254]/", true),
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
    #[test]
    fn private_networks_are_not_public() {
        let cases = [
            ("http://127.0.0.1:5000/", false),
            ("http://localhost/", false),
            ("http://a.LOCALHOST./", false),
            ("http://10.1.2.3/", false),
            ("http://172.16.0.1/", false),
            ("http://172.32.0.1/", true),
            ("http://192.168.1.1/", false),
            ("http://100.64.0.1/", false),
            ("http://100.127.255.255/", false),
            ("http://100.128.0.1/", true),
            ("http://[::1]/", false),
            ("http://[fd12::1]/", false),
            ("http://[::ffff:10.0.0.1]/", false),
            ("http://[64:ff9b::10.0.0.1]/", false),
            ("http://[64:ff9b::1.1.1.1]/", true),
            ("http://[2001:db8::1]/", true),
            ("http://169.254.169.254/", false),
            ("https://files.example/", true),
        ];
        for (url, public) in cases {
            assert_eq!(Reach::Public.allows(&Url::parse(url).unwrap()), public, "{url}");
        }
    }
}
