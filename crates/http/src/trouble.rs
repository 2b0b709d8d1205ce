use std::error::Error;
use std::{fmt, io};

use url::{Host, Url};

use crate::resolver::{ForbiddenName, UnknownName};
use crate::tls;

/// Why no answer came, as far as it tells what another attempt is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody takes connections there.
    Refused,
    /// The name could not be looked up.
    UnknownName,
    /// What came is no HTTP.
    Malformed,
    /// The two do not agree on TLS, or the name has no address that may be asked.
    Final,
    /// The connection broke or could not be made in time, as it happens.
    Passing,
}

/// How often something is tried that hardly ever passes: a server that starts, a name server that is busy.
const FEW: u32 = 3;

/// The same on this machine, where nothing is between the two.
const FEW_ON_LOOPBACK: u32 = 2;

impl Trouble {
    /// Looks for it in an error and what caused it.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let own = match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            _ if error.is::<ForbiddenName>() || tls::is_refusal(error) => Some(Self::Final),
            _ if error.is::<UnknownName>() => Some(Self::UnknownName),
            _ => error
                .downcast_ref::<hyper::Error>()
                .filter(|error| error.is_parse())
                .map(|_| Self::Malformed),
        };
        let cause = || match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // An I/O error gives its inner error's cause as its own, so that one is looked at by itself.
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
        own.or_else(|| cause().map(Self::of)).unwrap_or(Self::Passing)
    }

    /// How often a request to a URL is worth being tried in all, of as many attempts as there usually are.
    pub fn attempts(self, url: &Url, usual: u32) -> u32 {
        match self {
            Self::Refused if is_loopback(url) => usual.min(FEW_ON_LOOPBACK),
            Self::Refused | Self::UnknownName | Self::Malformed => usual.min(FEW),
            Self::Final => 1,
            Self::Passing => usual,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::UnknownName => "no such host",
            Self::Malformed => "not HTTP",
            Self::Final => "refused for good",
            Self::Passing => "connection failed",
        })
    }
}

/// Tells whether a URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reach;

    #[test]
    fn what_fails_the_same_way_again_however_deep() {
        let deep = |error: io::Error| Trouble::of(&io::Error::other(error));
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        assert_eq!(deep(io::Error::other(certificate)), Trouble::Final);
        let (name, reach) = ("a".to_owned(), Reach::Public);
        assert_eq!(
            deep(io::Error::other(ForbiddenName { name, reach })),
            Trouble::Final
        );
        let (name, source) = ("a".to_owned(), io::Error::other("no"));
        let unknown = io::Error::other(UnknownName { name, source });
        assert_eq!(deep(unknown), Trouble::UnknownName);
        let kinds = [
            (io::ErrorKind::ConnectionRefused, Trouble::Refused),
            (io::ErrorKind::ConnectionReset, Trouble::Passing),
        ];
        for (kind, expected) in kinds {
            assert_eq!(deep(kind.into()), expected);
        }
    }

    #[test]
    fn what_an_attempt_is_worth() {
        let attempts = |trouble: Trouble, url: &str| trouble.attempts(&Url::parse(url).unwrap(), 6);
        assert_eq!(attempts(Trouble::Refused, "http://127.0.0.1:5000/"), 2);
        assert_eq!(attempts(Trouble::Refused, "http://localhost:5000/"), 2);
        assert_eq!(attempts(Trouble::Refused, "https://a.example/"), 3);
        assert_eq!(attempts(Trouble::UnknownName, "https://a.example/"), 3);
        assert_eq!(attempts(Trouble::Final, "https://a.example/"), 1);
        assert_eq!(attempts(Trouble::Passing, "https://a.example/"), 6);
        let mirror = Trouble::Refused.attempts(&Url::parse("https://a.example/").unwrap(), 2);
        assert_eq!(mirror, 2);
    }
}
