use std::collections::BTreeMap;

use reqwest::Proxy;
use url::Url;

use crate::origin::GuardedResolver;
use crate::{ClientOptions, HostOptions, tls};

/// Connections to registries: one pool for all, and one for each host that is spoken to in its own way.
#[derive(Debug)]
pub(crate) struct Connections {
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
    pub(crate) fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        let own = |(host, own): (&String, &HostOptions)| Ok((host.clone(), pool(options, host, own)?));
        let hosts = options.mirrors.hosts(&options.hosts);
        Ok(Self {
            general: pool(options, "*", &HostOptions::default())?,
            hosts: hosts.iter().map(own).collect::<Result<_, ClientError>>()?,
        })
    }

    /// The pool that speaks to a URL's host.
    pub(crate) fn to(&self, url: &Url) -> &reqwest::Client {
        let host = url.host_str().unwrap_or_default();
        let named = match url.port() {
            Some(port) => self.hosts.get(&format!("{host}:{port}")),
            None => self.hosts.get(host),
        };
        named.unwrap_or(&self.general)
    }
}

fn pool(options: &ClientOptions, host: &str, own: &HostOptions) -> Result<reqwest::Client, ClientError> {
    let tls = tls::configuration(&options.authorities, own).map_err(|source| ClientError::Tls {
        host: host.to_owned(),
        source,
    })?;
    let proxies = options.proxies.clone();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("onlay/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        // Redirects are followed in `transport`, where credentials can be kept back.
        .redirect(reqwest::redirect::Policy::none())
        // The environment is not read here: what it says comes with the options.
        .no_proxy()
        .proxy(Proxy::custom(move |url| proxies.proxy_for(url)))
        .dns_resolver(GuardedResolver)
        .build()
        .map_err(ClientError::Http)
}
