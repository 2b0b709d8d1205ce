use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::Proxy;
use url::Url;

use crate::resolver::{ForbiddenName, GuardedResolver};
use crate::{Authorities, HostOptions, ProxyOptions, tls};

/// How connections are made.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Proxies. Nothing is taken from the environment.
    pub proxies: ProxyOptions,
    /// Authorities that are trusted for every host, beside the public ones.
    pub authorities: Authorities,
    /// Hosts that are spoken to in their own way, by host, and port where it is not the usual one.
    pub hosts: BTreeMap<String, HostOptions>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// What servers are told is asking.
    pub user_agent: String,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            proxies: ProxyOptions::default(),
            authorities: Authorities::default(),
            hosts: BTreeMap::new(),
            connect_timeout: Duration::from_secs(10),
            user_agent: concat!("onlay/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Connections: one pool for all hosts, and one for each that is spoken to in its own way. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct Connections {
    general: reqwest::Client,
    hosts: BTreeMap<String, reqwest::Client>,
}

/// Why connections cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// TLS cannot be used as it is configured.
    #[error("TLS cannot be used with `{host}` as it is configured")]
    Tls {
        /// The host, or `*` for all.
        host: String,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The HTTP library could not be set up.
    #[error("HTTP could not be set up")]
    Http(#[source] reqwest::Error),
}

impl Connections {
    /// Sets up pools; nothing is sent yet.
    ///
    /// # Errors
    /// A certificate does not fit its key, or a library could not be set up.
    pub fn new(options: &ConnectionOptions) -> Result<Self, ClientError> {
        let own = |(host, own): (&String, &HostOptions)| Ok((host.clone(), pool(options, host, own)?));
        Ok(Self {
            general: pool(options, "*", &HostOptions::default())?,
            hosts: options
                .hosts
                .iter()
                .map(own)
                .collect::<Result<_, ClientError>>()?,
        })
    }

    /// The pool that speaks to a URL's host.
    pub fn to(&self, url: &Url) -> &reqwest::Client {
        let host = url.host_str().unwrap_or_default();
        let named = match url.port() {
            Some(port) => self.hosts.get(&format!("{host}:{port}")),
            None => self.hosts.get(host),
        };
        named.unwrap_or(&self.general)
    }
}

/// Tells whether a connection fails the same way the next time: the two do not agree on TLS, or the name has no address
/// that may be asked.
pub fn is_final(error: &(dyn Error + 'static)) -> bool {
    if error.is::<ForbiddenName>() || tls::is_refusal(error) {
        return true;
    }
    // An I/O error gives its inner error's cause as its own, so that one is looked at by itself.
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match inner {
        Some(inner) => is_final(inner),
        None => error.source().is_some_and(is_final),
    }
}

fn pool(options: &ConnectionOptions, host: &str, own: &HostOptions) -> Result<reqwest::Client, ClientError> {
    let tls = tls::configuration(&options.authorities, own).map_err(|source| ClientError::Tls {
        host: host.to_owned(),
        source,
    })?;
    let proxies = options.proxies.clone();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(&options.user_agent)
        .connect_timeout(options.connect_timeout)
        // Who asks follows redirects, where they can be refused and credentials kept back.
        .redirect(reqwest::redirect::Policy::none())
        // The environment is not read here: what it says comes with the options.
        .no_proxy()
        .proxy(Proxy::custom(move |url| proxies.proxy_for(url)))
        .dns_resolver(GuardedResolver)
        .build()
        .map_err(ClientError::Http)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_the_same_way_again_however_deep() {
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        assert!(is_final(&io::Error::other(io::Error::other(certificate))));
        let name = "a".to_owned();
        assert!(is_final(&io::Error::other(ForbiddenName { name })));
        assert!(!is_final(&io::Error::from(io::ErrorKind::ConnectionRefused)));
    }
}
