use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};

use base64::Engine;
use percent_encoding::percent_decode_str;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
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

/// The user and password of a URL as a header.
///
/// Source: RFC 7617; RFC 3986 "User Information" for the encoding.
pub(crate) fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    let mut header = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// A URL without user, password and fragment: what is sent, and kept.
pub(crate) fn bare(url: &Url) -> Url {
    let mut url = url.clone();
    // These fail for URLs that cannot have them, which then have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url
}

/// Addresses that are never asked: a Dockerfile, or a server that it names, must not get at the credentials that clouds
/// hand out at link-local addresses and put them into an image.
///
/// Source: CVE-2020-15157 and its kin; AWS's IMDS is also at fd00:ec2::254.
pub(crate) fn is_forbidden(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_forbidden_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_forbidden_address(IpAddr::V6(address)),
        Some(Host::Domain(name)) => name
            .trim_end_matches('.')
            .eq_ignore_ascii_case("metadata.google.internal"),
        None => true,
    }
}

fn is_forbidden_address(address: IpAddr) -> bool {
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

/// Resolves names, but not to forbidden addresses. It is the look-up that the connection uses, so that the answer cannot
/// change in between.
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
                let name = name.as_str().to_owned();
                return Err(ForbiddenName { name }.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// A name that stands for forbidden addresses only.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` has no address that may be asked")]
pub(crate) struct ForbiddenName {
    name: String,
}

/// Tells whether a connection fails the same way the next time: the certificate is wrong, or the address forbidden.
pub(crate) fn is_hopeless(error: &(dyn Error + 'static)) -> bool {
    if error.is::<ForbiddenName>() || error.is::<rustls::Error>() {
        return true;
    }
    // The source of an `io::Error` is that of the error it holds, not that error.
    let held = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .is_some_and(|held| is_hopeless(held));
    held || error.source().is_some_and(is_hopeless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn metadata_services_are_forbidden() {
        let cases = [
            ("http://169.254.169.254/latest", true),
            ("http://169.254.170.2/v2/credentials", true),
            ("http://2852039166/", true),
            ("http://[fd00:ec2::254]/", true),
            ("http://[fe80::1]/", true),
            ("http://[::ffff:169.254.169.254]/", true),
            ("http://metadata.google.internal./", true),
            ("http://0.0.0.0/", true),
            ("http://127.0.0.1:5000/", false),
            ("https://files.example/", false),
        ];
        for (text, forbidden) in cases {
            assert_eq!(is_forbidden(&url(text)), forbidden, "{text}");
        }
    }

    #[test]
    fn origins_compare_with_default_ports() {
        let origin = |text: &str| Origin::of(&url(text));
        assert_eq!(
            origin("https://a.example/x"),
            origin("https://u:p@a.example:443/y")
        );
        assert_ne!(origin("https://a.example/"), origin("http://a.example/"));
        assert_ne!(origin("https://a.example/"), origin("https://a.example:8443/"));
    }

    #[test]
    fn user_and_password_become_a_header() {
        let cases = [
            ("https://user:p%40ss@a.example/", Some("Basic dXNlcjpwQHNz")),
            ("https://user@a.example/", Some("Basic dXNlcjo=")),
            ("https://:token@a.example/", Some("Basic OnRva2Vu")),
            ("https://a.example/", None),
        ];
        for (text, expected) in cases {
            let header = basic(&url(text));
            assert_eq!(
                header.as_ref().map(|header| header.to_str().unwrap()),
                expected,
                "{text}"
            );
        }
        assert_eq!(
            bare(&url("https://u:p@a.example/x?y#z")).as_str(),
            "https://a.example/x?y"
        );
    }

    #[test]
    fn wrong_certificates_are_hopeless_however_deep() {
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        assert!(is_hopeless(&io::Error::other(io::Error::other(certificate))));
        let name = "a".to_owned();
        assert!(is_hopeless(&io::Error::other(ForbiddenName { name })));
        assert!(!is_hopeless(&io::Error::from(io::ErrorKind::ConnectionRefused)));
    }
}
