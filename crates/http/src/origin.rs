use url::Url;

/// Scheme, host and port: what a credential is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Takes it from a URL; a port that is the scheme's own need not be written there.
    pub fn of(url: &Url) -> Self {
        Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_compare_with_default_ports() {
        let origin = |url: &str| Origin::of(&Url::parse(url).unwrap());
        assert_eq!(
            origin("https://a.example/x"),
            origin("https://u:p@a.example:443/y")
        );
        assert_ne!(origin("https://a.example/"), origin("http://a.example/"));
        assert_ne!(origin("https://a.example/"), origin("https://a.example:8443/"));
    }
}
