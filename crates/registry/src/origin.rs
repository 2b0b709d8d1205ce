use std::io;
use std::net::{IpAddr, SocketAddr};

use onlay_oci::Registry;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Scheme, host and port: what a credential is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    pub(crate) fn of(url: &Url) -> Self {
        Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default(),
        }
    }
}

/// Where a registry's API is, unless it was configured otherwise.
pub(crate) fn default_endpoint(registry: &Registry, plain_http: bool) -> Result<Url, url::ParseError> {
    // Docker Hub's name and its API's host are two.
    let host = if registry.is_docker_hub() {
        "registry-1.docker.io"
    } else {
        registry.as_str()
    };
    let scheme = if plain_http { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{host}/"))
}

/// Addresses that a registry's answer must never lead to: metadata services and other link-local ones.
///
/// Source: CVE-2020-15157 and its kin; registry.md §3 no. 25.
pub(crate) fn is_forbidden(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(name)) => return name.eq_ignore_ascii_case("metadata.google.internal"),
        None => return true,
    };
    is_forbidden_address(address)
}

fn is_forbidden_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified() || address.is_broadcast(),
        IpAddr::V6(address) => {
            let mapped = address
                .to_ipv4_mapped()
                .is_some_and(|address| address.is_link_local());
            // fd00:ec2::254 and its neighbours are AWS's metadata and credential services.
            let aws = address.segments()[..2] == [0xfd00, 0x0ec2];
            mapped || aws || address.is_unicast_link_local() || address.is_unspecified()
        }
    }
}

/// Resolves names, but not to forbidden addresses: a name that a registry leads to may stand for one of them. It is the
/// same look-up that the connection uses, so that the answer cannot change in between.
pub(crate) struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| !is_forbidden_address(address.ip()))
                .collect();
            if allowed.is_empty() {
                let message = format!("`{}` has no address that may be asked", name.as_str());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_forbidden() {
        let cases = [
            ("http://169.254.169.254/latest", true),
            ("http://[fd00:ec2::254]/", true),
            ("http://[fe80::1]/", true),
            ("http://[::ffff:169.254.169.254]/", true),
            ("http://metadata.google.internal/", true),
            ("http://0.0.0.0/", true),
            ("http://127.0.0.1:5000/", false),
            ("https://registry.example/", false),
        ];
        for (url, forbidden) in cases {
            assert_eq!(is_forbidden(&Url::parse(url).unwrap()), forbidden, "{url}");
        }
    }

    #[test]
    fn origins_compare_with_default_ports() {
        let origin = |url: &str| Origin::of(&Url::parse(url).unwrap());
        assert_eq!(origin("https://a.example/x"), origin("https://a.example:443/y"));
        assert_ne!(origin("https://a.example/"), origin("http://a.example/"));
        assert_ne!(origin("https://a.example/"), origin("https://a.example:8443/"));
    }

    #[test]
    fn docker_hubs_api_has_another_host() {
        let hub = default_endpoint(&Registry::docker_hub(), false).unwrap();
        assert_eq!(hub.as_str(), "https://registry-1.docker.io/");
    }
}
