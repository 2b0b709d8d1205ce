//! Where tokens may be fetched: what gets a password must be as safe as the registry that names it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use onlay_oci::Digest;
use onlay_registry::{Client, ClientOptions, Keychain, ProxyOptions, RegistryError};

use crate::case::repository;

/// A registry and its token endpoint, whatever names they are asked by; it lives as long as the test.
struct Server {
    address: String,
    /// The heads of requests, as they came.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `HERE` in the realm is the server's own address.
    fn start(realm: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let realm = realm.replace("HERE", &address);
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let log = heads.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                // A connection that breaks is seen by its other end.
                _ = connection.and_then(|connection| answer(connection, &realm, &log));
            }
        });
        Self { address, heads }
    }

    /// The first lines of the requests that came with a password.
    fn trusted(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads
            .iter()
            .filter(|head| head.to_lowercase().contains("authorization: basic "))
            .filter_map(|head| Some(head.lines().next()?.to_owned()))
            .collect()
    }
}

fn answer(mut connection: TcpStream, realm: &str, heads: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let answer = if head.contains("/token") {
        let token = r#"{"token":"t"}"#;
        format!("200 OK\r\nContent-Length: {}\r\n\r\n{token}", token.len())
    } else if head.to_lowercase().contains("authorization: bearer t") {
        "404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()
    } else {
        format!("401 Who\r\nWWW-Authenticate: Bearer realm=\"{realm}\"\r\nContent-Length: 0\r\n\r\n")
    };
    heads.lock().unwrap().push(head);
    connection.write_all(
        format!(
            "HTTP/1.1 {}",
            answer.replacen("\r\n", "\r\nConnection: close\r\n", 1)
        )
        .as_bytes(),
    )
}

/// Asks a registry for a blob that it does not have.
async fn ask(host: &str, proxies: ProxyOptions) -> Result<bool, RegistryError> {
    let config = format!(r#"{{"auths":{{"{host}":{{"username":"u","password":"hunter2"}}}}}}"#);
    let client = Client::new(ClientOptions {
        insecure_registries: [host.to_owned()].into(),
        keychain: Keychain::default()
            .with_config("config.json", config.as_bytes())
            .unwrap(),
        proxies,
        ..ClientOptions::default()
    });
    let repository = repository(&client.unwrap(), host, "a");
    let found = repository.head_blob(&Digest::of(b"")).await?;
    Ok(found.is_some())
}

/// A registry that is not known to be in a private network, since a proxy looks its name up.
#[tokio::test]
async fn a_public_registry_does_not_lead_into_private_networks() {
    for realm in [
        "http://HERE/token",
        "http://localhost:1/token",
        "http://10.0.0.1/token",
        "http://100.64.0.1/token",
        "http://[fd12::1]/token",
        "http://[::ffff:192.168.0.1]/token",
        "http://169.254.170.2/token",
    ] {
        let server = Server::start(realm);
        let proxies = ProxyOptions::default().with_http("proxy", &server.address);
        let refused = ask("registry.test", proxies.unwrap()).await.unwrap_err();
        assert!(
            matches!(refused, RegistryError::Forbidden { .. }),
            "{realm}: {refused}"
        );
        assert_eq!(server.trusted(), [""; 0], "{realm}");
    }
    let server = Server::start("http://auth.test/token");
    let proxies = ProxyOptions::default().with_http("proxy", &server.address);
    assert!(!ask("registry.test", proxies.unwrap()).await.unwrap());
    let trusted = server.trusted();
    assert!(
        matches!(&trusted[..], [one] if one.starts_with("GET http://auth.test/token?")),
        "{trusted:?}"
    );
}

#[tokio::test]
async fn a_private_registry_leads_into_private_networks_but_not_to_metadata() {
    let server = Server::start("http://HERE/token");
    assert!(!ask(&server.address, ProxyOptions::default()).await.unwrap());
    assert_eq!(server.trusted().len(), 1);
    for realm in ["http://169.254.169.254/token", "http://[fd00:ec2::254]/token"] {
        let server = Server::start(realm);
        let refused = ask(&server.address, ProxyOptions::default()).await.unwrap_err();
        assert!(
            matches!(refused, RegistryError::Forbidden { .. }),
            "{realm}: {refused}"
        );
    }
}
