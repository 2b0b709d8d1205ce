use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use crate::is_forbidden;
use crate::trouble::is_loopback;

/// Which proxies requests go through, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say it. The default has none.
///
/// Loopback addresses are spoken to straight, unless the exceptions have `<-loopback>`. Link-local ones always are: they
/// mean this machine, and what it keeps there, credentials, is not for a proxy to see.
///
/// Source: Go's `golang.org/x/net/http/httpproxy` for the exceptions, Chromium's proxy bypass list for `<-loopback>`.
#[derive(Clone, Debug, Default)]
pub struct ProxyOptions {
    http: Option<ProxyUrl>,
    https: Option<ProxyUrl>,
    exceptions: Vec<Exception>,
    proxies_loopback: bool,
}

/// A proxy's address, which may have a password in it.
#[derive(Clone)]
struct ProxyUrl(Url);

/// What is spoken to straight.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    Network(IpNet),
    Host { pattern: Pattern, port: Option<u16> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Address(IpAddr),
    /// The name, and all below it.
    Name(String),
    /// All below the name.
    Below(String),
}

/// Why a proxy cannot be used. The address is not shown: it may have a password in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It is no address.
    #[error("`{variable}` is not the address of a proxy")]
    Malformed {
        /// What named it.
        variable: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// It is spoken to in a way that is not known here.
    #[error("`{variable}` has the scheme `{scheme}`, expected `http` or `https`")]
    Scheme {
        /// What named it.
        variable: String,
        /// Its scheme.
        scheme: String,
    },
}

impl ProxyOptions {
    /// Sends plain HTTP through a proxy, `[http[s]://][USER:PASSWORD@]HOST[:PORT]`.
    ///
    /// # Errors
    /// It is not the address of a proxy; `variable` is what the error calls it.
    pub fn with_http(self, variable: &str, address: &str) -> Result<Self, ProxyError> {
        let http = Some(ProxyUrl::parse(variable, address)?);
        Ok(Self { http, ..self })
    }

    /// Sends TLS through a proxy, which is asked to connect.
    ///
    /// # Errors
    /// As [`Self::with_http`].
    pub fn with_https(self, variable: &str, address: &str) -> Result<Self, ProxyError> {
        let https = Some(ProxyUrl::parse(variable, address)?);
        Ok(Self { https, ..self })
    }

    /// Adds exceptions, apart by commas: `*`, names (with all below them), `.names` and `*.names` (only what is below
    /// them), addresses, networks; names and addresses with or without a port.
    #[must_use]
    pub fn with_exceptions(mut self, text: &str) -> Self {
        let words = text.split(|character: char| character == ',' || character.is_whitespace());
        for word in words.filter(|word| !word.is_empty()) {
            match word {
                "<-loopback>" => self.proxies_loopback = true,
                word => self.exceptions.push(Exception::parse(word)),
            }
        }
        self
    }

    /// The proxy that a request goes through.
    pub(crate) fn proxy_for(&self, url: &Url) -> Option<Url> {
        let proxy = match url.scheme() {
            "http" => self.http.as_ref(),
            _ => self.https.as_ref(),
        }?;
        let is_straight = is_forbidden(url)
            || (is_loopback(url) && !self.proxies_loopback)
            || self.exceptions.iter().any(|exception| exception.covers(url));
        (!is_straight).then(|| proxy.0.clone())
    }
}

impl ProxyUrl {
    fn parse(variable: &str, address: &str) -> Result<Self, ProxyError> {
        let full = if address.contains("://") {
            address.to_owned()
        } else {
            format!("http://{address}")
        };
        let url = Url::parse(&full).map_err(|source| ProxyError::Malformed {
            variable: variable.to_owned(),
            source,
        })?;
        match url.scheme() {
            "http" | "https" => Ok(Self(url)),
            scheme => Err(ProxyError::Scheme {
                variable: variable.to_owned(),
                scheme: scheme.to_owned(),
            }),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.host_str().unwrap_or_default())
    }
}

impl Exception {
    fn parse(word: &str) -> Self {
        if word == "*" {
            return Self::Everything;
        }
        if let Ok(network) = word.parse() {
            return Self::Network(network);
        }
        let (host, port) = match word.rsplit_once(':') {
            // More than one colon without brackets: an IPv6 address.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
            _ => (word, None),
        };
        let pattern = Pattern::parse(host);
        Self::Host { pattern, port }
    }

    fn covers(&self, url: &Url) -> bool {
        match self {
            Self::Everything => true,
            Self::Network(network) => address(url).is_some_and(|address| network.contains(&address)),
            Self::Host { pattern, port } => {
                let same_port = port.is_none_or(|port| url.port_or_known_default() == Some(port));
                same_port && pattern.matches(url)
            }
        }
    }
}

impl Pattern {
    fn parse(host: &str) -> Self {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Self::Address(address);
        }
        let host = host.to_ascii_lowercase();
        match host.strip_prefix("*.").or_else(|| host.strip_prefix('.')) {
            Some(name) => Self::Below(name.to_owned()),
            None => Self::Name(host),
        }
    }

    fn matches(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let is_below = |name: &str| {
            host.strip_suffix(name)
                .is_some_and(|before| before.ends_with('.'))
        };
        match self {
            Self::Address(own) => address(url) == Some(*own),
            Self::Name(name) => host == name || is_below(name),
            Self::Below(name) => is_below(name),
        }
    }
}

fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_proxied(exceptions: &str, url: &str) -> bool {
        let options = ProxyOptions::default()
            .with_http("HTTP_PROXY", "proxy.example:3128")
            .and_then(|options| options.with_https("HTTPS_PROXY", "http://user:hunter2@proxy.example:3128"))
            .unwrap()
            .with_exceptions(exceptions);
        options.proxy_for(&Url::parse(url).unwrap()).is_some()
    }

    #[test]
    fn exceptions() {
        let cases = [
            ("", "https://a.example/", true),
            ("*", "https://a.example/", false),
            ("example", "https://a.example/", false),
            ("A.Example", "https://a.example/", false),
            ("a.example", "https://b.a.example/", false),
            ("a.example", "https://ba.example/", true),
            (".a.example", "https://a.example/", true),
            (".a.example", "https://b.a.example/", false),
            ("*.a.example", "https://b.a.example/", false),
            ("a.example:443", "https://a.example/", false),
            ("a.example:5000", "https://a.example/", true),
            ("x.example, 10.0.0.0/8", "http://10.2.3.4:5000/", false),
            ("10.0.0.0/8", "http://11.2.3.4:5000/", true),
            ("11.2.3.4", "http://11.2.3.4:5000/", false),
            ("11.2.3.4:80", "http://11.2.3.4:5000/", true),
            ("fd00::/8", "http://[fd00::1]:5000/", false),
            ("[fd00::1]:5000", "http://[fd00::1]:5000/", false),
            ("fd00::1", "http://[fd00::1]:5000/", false),
            ("", "http://127.0.0.1:5000/", false),
            ("", "http://[::1]:5000/", false),
            ("", "http://localhost:5000/", false),
            ("<-loopback>", "http://169.254.170.2/", false),
            ("<-loopback>", "http://[fd00:ec2::254]/", false),
            ("<-loopback>", "http://127.0.0.1:5000/", true),
            ("<-loopback>,localhost", "http://localhost:5000/", false),
        ];
        for (exceptions, url, proxied) in cases {
            assert_eq!(is_proxied(exceptions, url), proxied, "`{exceptions}` {url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let secret = "http://user:hunter2@proxy.example:3128";
        let options = ProxyOptions::default().with_https("HTTPS_PROXY", secret).unwrap();
        assert!(!format!("{options:?}").contains("hunter2"));
        for wrong in ["socks5://user:hunter2@proxy.example", "http://user:hunter2@:x"] {
            let error = ProxyOptions::default()
                .with_http("HTTP_PROXY", wrong)
                .unwrap_err();
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
    }
}
