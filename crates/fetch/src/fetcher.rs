use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use onlay_http::{Authorities, ConnectionOptions, Connections, HostOptions, ProxyOptions};
use onlay_oci::Digest;
use url::Url;

use crate::place::{place, redacted};
use crate::transfer::Transfer;
use crate::{Download, FetchError};

/// How downloads are made.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Proxies. Nothing is taken from the environment.
    pub proxies: ProxyOptions,
    /// Authorities that are trusted for every host, beside the public ones.
    pub authorities: Authorities,
    /// Hosts that are spoken to in their own way, by host, and port where it is not the usual one.
    pub hosts: BTreeMap<String, HostOptions>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a server may send nothing before the transfer counts as cut. The whole may take as long as it likes.
    pub idle_timeout: Duration,
    /// How often a download is tried in all, unless it gets ahead.
    pub attempts: u32,
    /// The pause after the first failure is at most this long, and at most twice as long after each further one.
    pub first_pause: Duration,
    /// What servers are told is asking.
    pub user_agent: String,
    /// Where files of more than 8 MiB go. Without it there is no place for them.
    pub temporary_directory: Option<PathBuf>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            proxies: ProxyOptions::default(),
            authorities: Authorities::default(),
            hosts: BTreeMap::new(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            attempts: 6,
            first_pause: Duration::from_millis(500),
            user_agent: concat!("onlay/", env!("CARGO_PKG_VERSION")).to_owned(),
            temporary_directory: None,
        }
    }
}

/// Gets files from `http` and `https` URLs. Cloning gives another handle to the same connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    connections: Connections,
    options: Arc<FetchOptions>,
}

impl Fetcher {
    /// Sets up connections; nothing is sent yet.
    ///
    /// # Errors
    /// A certificate does not fit its key, or a library could not be set up.
    pub fn new(options: FetchOptions) -> Result<Self, FetchError> {
        let connections = Connections::new(&ConnectionOptions {
            proxies: options.proxies.clone(),
            authorities: options.authorities.clone(),
            hosts: options.hosts.clone(),
            connect_timeout: options.connect_timeout,
            user_agent: options.user_agent.clone(),
        })?;
        let options = Arc::new(options);
        Ok(Self { connections, options })
    }

    /// Downloads what `url` names, and compares it with the digest that is expected, if one is.
    ///
    /// A user and password in the URL are sent to its own origin only. The digest is that of the file as it is kept.
    /// Nothing is remembered: a second call downloads again.
    ///
    /// # Errors
    /// The URL is none, or leads to where nobody may be led; the server says no, says nothing for too long, breaks off
    /// too often or sends something else than expected; there is no space for the file.
    pub async fn download(&self, url: &str, expected: Option<&Digest>) -> Result<Download, FetchError> {
        let parsed = Url::parse(url).map_err(|source| FetchError::Url {
            text: redacted(url),
            source,
        })?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(FetchError::Scheme {
                scheme: parsed.scheme().to_owned(),
                place: place(&parsed),
            });
        }
        Transfer::new(&self.connections, &self.options, &parsed, expected)
            .run()
            .await
    }
}
