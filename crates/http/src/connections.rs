use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Proxy, Response};
use url::Url;

use crate::address::is_private_address;
use crate::resolver::{GuardedResolver, Lookup, system};
use crate::{Authorities, HostOptions, ProxyOptions, Reach, tls};

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
    anywhere: Pools,
    /// What is not for private networks goes over connections of its own, to addresses that were looked up for it.
    public: Pools,
    proxies: ProxyOptions,
}

#[derive(Clone, Debug)]
struct Pools {
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
        Self::with_lookup(options, &system())
    }

    fn with_lookup(options: &ConnectionOptions, lookup: &Lookup) -> Result<Self, ClientError> {
        // Through a proxy nothing is looked up here but the proxy's own name, which may well be private.
        let straight = ConnectionOptions {
            proxies: ProxyOptions::default(),
            ..options.clone()
        };
        Ok(Self {
            anywhere: Pools::new(options, lookup, Reach::Anywhere)?,
            public: Pools::new(&straight, lookup, Reach::Public)?,
            proxies: options.proxies.clone(),
        })
    }

    /// The pool that speaks to a URL's host, if the name is within reach. That of a URL with an address in it is for the
    /// caller to know ([`Reach::allows`]), and that of a name which a proxy looks up is known to nobody.
    pub fn to(&self, url: &Url, reach: Reach) -> &reqwest::Client {
        match reach {
            Reach::Public if self.proxies.proxy_for(url).is_none() => self.public.to(url),
            Reach::Public | Reach::Anywhere => self.anywhere.to(url),
        }
    }

    /// How far an answer may lead with credentials: into private networks only from there. It is the address that the
    /// answer came from that counts; behind a proxy, one in the URL.
    pub fn reach_from(&self, answer: &Response) -> Reach {
        let is_public = match self.proxies.proxy_for(answer.url()) {
            Some(_) => Reach::Public.allows(answer.url()),
            None => answer
                .remote_addr()
                .is_none_or(|peer| !is_private_address(peer.ip())),
        };
        if is_public { Reach::Public } else { Reach::Anywhere }
    }
}

impl Pools {
    fn new(options: &ConnectionOptions, lookup: &Lookup, reach: Reach) -> Result<Self, ClientError> {
        let pool = |host: &str, own: &HostOptions| {
            let lookup = lookup.clone();
            pool(options, host, own, GuardedResolver { lookup, reach })
        };
        let own = |(host, own): (&String, &HostOptions)| Ok((host.clone(), pool(host, own)?));
        Ok(Self {
            general: pool("*", &HostOptions::default())?,
            hosts: options
                .hosts
                .iter()
                .map(own)
                .collect::<Result<_, ClientError>>()?,
        })
    }

    fn to(&self, url: &Url) -> &reqwest::Client {
        let host = url.host_str().unwrap_or_default();
        let named = match url.port() {
            Some(port) => self.hosts.get(&format!("{host}:{port}")),
            None => self.hosts.get(host),
        };
        named.unwrap_or(&self.general)
    }
}

fn pool(
    options: &ConnectionOptions,
    host: &str,
    own: &HostOptions,
    resolver: GuardedResolver,
) -> Result<reqwest::Client, ClientError> {
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
        .dns_resolver(resolver)
        .build()
        .map_err(ClientError::Http)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Trouble;

    /// Answers one request, if one comes.
    async fn serve(listener: TcpListener) {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        _ = connection.read(&mut request).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        connection.write_all(answer).await.unwrap();
    }

    /// Every name stands for these addresses.
    fn always(addresses: &'static [&'static str]) -> Lookup {
        Arc::new(move |_| {
            let address = |text: &&str| SocketAddr::new(text.parse().unwrap(), 0);
            let found = addresses.iter().map(address).collect();
            Box::pin(std::future::ready(Ok(found)))
        })
    }

    async fn ask(lookup: &Lookup, proxy: Option<&str>, reach: Reach) -> Result<Reach, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut options = ConnectionOptions::default();
        if let Some(name) = proxy {
            let proxies = options.proxies.with_http("proxy", &format!("{name}:{port}"));
            options.proxies = proxies.unwrap();
        }
        let connections = Connections::with_lookup(&options, lookup).unwrap();
        let url = Url::parse(&format!("http://realm.test:{port}/")).unwrap();
        let server = tokio::spawn(serve(listener));
        let answer = connections.to(&url, reach).get(url).send().await;
        server.abort();
        let answer = answer.map_err(|error| {
            assert_eq!(Trouble::of(&error), Trouble::Final, "{error:?}");
            format!("{error:?}")
        })?;
        Ok(connections.reach_from(&answer))
    }

    #[tokio::test]
    async fn names_that_stand_for_private_addresses() {
        let private = always(&["127.0.0.1"]);
        assert_eq!(ask(&private, None, Reach::Anywhere).await, Ok(Reach::Anywhere));
        let refused = ask(&private, None, Reach::Public).await.unwrap_err();
        assert!(refused.contains("ForbiddenName"), "{refused}");
        // What a proxy looks up nobody knows here. Its own address may be private.
        let through = ask(&private, Some("proxy.test"), Reach::Public).await;
        assert_eq!(through, Ok(Reach::Public));
    }

    #[tokio::test]
    async fn names_that_stand_for_metadata_services() {
        let metadata = always(&["169.254.169.254", "fd00:ec2::254"]);
        for reach in [Reach::Anywhere, Reach::Public] {
            let refused = ask(&metadata, None, reach).await.unwrap_err();
            assert!(refused.contains("ForbiddenName"), "{refused}");
        }
        // One of several may do.
        let mixed = always(&["169.254.169.254", "127.0.0.1"]);
        assert_eq!(ask(&mixed, None, Reach::Anywhere).await, Ok(Reach::Anywhere));
    }

    #[test]
    fn no_secret_is_shown() {
        let address = "http://user:hunter2@proxy.example:3128";
        let proxies = ProxyOptions::default()
            .with_http("http_proxy", address)
            .and_then(|proxies| proxies.with_https("https_proxy", address));
        let options = ConnectionOptions {
            proxies: proxies.unwrap(),
            hosts: [("a.example".to_owned(), HostOptions::default())].into(),
            ..ConnectionOptions::default()
        };
        let connections = Connections::new(&options).unwrap();
        for shown in [format!("{options:?}"), format!("{connections:?}")] {
            assert!(
                shown.contains("proxy.example") && !shown.contains("hunter2"),
                "{shown}"
            );
        }
    }

    /// What came of asking a server that gives this answer, or is not there.
    async fn trouble(name: &str, answer: Option<&'static [u8]>) -> Trouble {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        match answer {
            None => drop(listener),
            Some(answer) => drop(tokio::spawn(async move {
                let (mut connection, _) = listener.accept().await.unwrap();
                _ = connection.read(&mut [0; 1024]).await.unwrap();
                connection.write_all(answer).await.unwrap();
            })),
        }
        let connections = Connections::new(&ConnectionOptions::default()).unwrap();
        let url = Url::parse(&format!("http://{name}:{port}/")).unwrap();
        let request = connections.to(&url, Reach::Anywhere).get(url);
        Trouble::of(&request.send().await.unwrap_err())
    }

    #[tokio::test]
    async fn troubles() {
        assert_eq!(trouble("127.0.0.1", None).await, Trouble::Refused);
        // Source: RFC 6761, names below `invalid` are never known.
        assert_eq!(trouble("nobody.invalid", None).await, Trouble::UnknownName);
        assert_eq!(
            trouble("127.0.0.1", Some(b"SSH-2.0-x\r\n\r\n")).await,
            Trouble::Malformed
        );
        assert_eq!(trouble("127.0.0.1", Some(b"HTTP/1.1 2")).await, Trouble::Passing);
    }
}
