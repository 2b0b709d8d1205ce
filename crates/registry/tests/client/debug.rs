//! What is printed of values for people who look for a fault: no secret, whatever holds it.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use onlay_registry::{
    BlobBody, Client, ClientCertificate, ClientOptions, Credential, CredentialHelper, Event, Extension,
    ExtensionFuture, HostOptions, Keychain, Mirrors, Observer, ProxyOptions, Secret,
};
use onlay_testkit::{FrontAuth, Misbehaviour};

use crate::case::{Case, bytes, layer};

/// The password, and what Base64 makes of it alone and after a user's name.
const SECRETS: [&str; 3] = ["hunter2", "aHVudGVyMg", "dXNlcjpodW50ZXIy"];

fn check(what: &str, value: &dyn Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{what}: {shown}");
        }
    }
}

/// Gives a credential of its own for every registry.
#[derive(Debug)]
struct Giving(Credential);

impl Extension for Giving {
    fn matches(&self, _: &onlay_oci::Registry) -> bool {
        true
    }

    fn credential<'a>(
        &'a self,
        _: &'a onlay_oci::Registry,
        _: bool,
    ) -> ExtensionFuture<'a, Option<Credential>> {
        Box::pin(async { Ok(Some(self.0.clone())) })
    }

    fn ensure_repository<'a>(
        &'a self,
        _: &'a onlay_oci::Registry,
        _: &'a onlay_oci::Repository,
    ) -> ExtensionFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

fn credentials() -> [Credential; 3] {
    let (username, secret) = ("user".to_owned(), Secret::new("hunter2"));
    [
        Credential::Password {
            username: username.clone(),
            password: secret.clone(),
        },
        Credential::IdentityToken {
            username,
            token: secret.clone(),
        },
        Credential::RegistryToken(secret),
    ]
}

fn keychain(host: &str) -> Keychain {
    let config = serde_json::json!({ "auths": {
        host: { "auth": "dXNlcjpodW50ZXIy" },
        "a.example": { "username": "user", "password": "hunter2" },
        "b.example": { "identitytoken": "hunter2" },
        "c.example": { "registrytoken": "hunter2" },
    } });
    Keychain::default()
        .with_password("--username", "d.example", "user", Secret::new("hunter2"))
        .with_config("config.json", config.to_string().as_bytes())
        .unwrap()
}

#[test]
fn of_credentials() {
    check("Secret", &Secret::new("hunter2"));
    check("Credential", &credentials());
    check("Keychain", &keychain("h.example"));
    check("CredentialHelper", &CredentialHelper::new("pass"));
}

#[tokio::test]
async fn of_trails() {
    for host in ["h.example", "a.example", "b.example", "c.example", "d.example"] {
        let trail = keychain("h.example").explain(&host.parse().unwrap(), None).await;
        check("Trail", &trail);
        assert!(format!("{trail:?}").contains(".json") || host == "d.example");
    }
}

#[test]
fn of_options() {
    let address = "http://user:hunter2@proxy.example:3128";
    let proxies = ProxyOptions::default()
        .with_http("http_proxy", address)
        .and_then(|proxies| proxies.with_https("https_proxy", address))
        .unwrap();
    check("ProxyOptions", &proxies);
    check(
        "ProxyError",
        &ProxyOptions::default()
            .with_http("http_proxy", &address.replace("http", "ftp"))
            .unwrap_err(),
    );
    // `hunter2`, thrice.
    let pem =
        |kind: &str| format!("-----BEGIN {kind}-----\naHVudGVyMmh1bnRlcjJodW50ZXIy\n-----END {kind}-----\n");
    let (chain, key) = (pem("CERTIFICATE"), pem("PRIVATE KEY"));
    let certificate =
        ClientCertificate::parse(("a.cert", chain.as_bytes()), ("a.key", key.as_bytes())).unwrap();
    check("ClientCertificate", &certificate);
    let own = HostOptions {
        client_certificate: Some(certificate),
        ..HostOptions::default()
    };
    check("HostOptions", &own);
    let options = ClientOptions {
        keychain: keychain("h.example"),
        extensions: credentials()
            .map(|credential| Arc::new(Giving(credential)) as Arc<dyn Extension>)
            .into(),
        proxies,
        hosts: [("h.example".to_owned(), own)].into(),
        ..ClientOptions::default()
    };
    check("ClientOptions", &options);
    let wrong = Mirrors::default().with_mirror("--registry-mirror", "a.example", "user:hunter2@b.example");
    check("MirrorError", &wrong.unwrap_err());
}

/// A client that has used its password and a token, and what it has given out by then.
#[tokio::test]
async fn of_what_has_been_used() {
    let case = Case::with(FrontAuth::Registry, ClientOptions::default());
    let told = Arc::<Mutex<Vec<Event>>>::default();
    let log = told.clone();
    let client = Client::new(ClientOptions {
        keychain: keychain(case.front.host()),
        observer: Observer::new(move |event| log.lock().unwrap().push(event)),
        proxies: ProxyOptions::default()
            .with_http("http_proxy", "http://user:hunter2@127.0.0.1:9")
            .unwrap(),
        ..ClientOptions::default()
    })
    .unwrap();
    let repository = crate::case::repository(&client, case.front.host(), "a");

    // The first is told where tokens are had, the second gets one; the third is told to come again.
    let challenge = format!(r#"Bearer realm="http://{}/token""#, case.front.host());
    case.inject(
        1,
        "HEAD",
        "/blobs/",
        Misbehaviour::answer(401, &[("WWW-Authenticate", &challenge)]),
    );
    let token = Misbehaviour::Answer {
        status: 200,
        headers: Vec::new(),
        body: br#"{"token":"hunter2-of-the-registry"}"#.to_vec(),
    };
    case.inject(1, "GET", "/token", token);
    case.inject(1, "HEAD", "/blobs/", Misbehaviour::answer(500, &[]));
    let blob = layer(&bytes(10));
    assert_eq!(repository.head_blob(&blob.digest).await.unwrap(), None);
    let sent = case.requests("GET", "/token")[0].authorization.clone();
    assert_eq!(sent.as_deref(), Some("Basic"));
    let sent = case.requests("HEAD", "/blobs/")[1].authorization.clone();
    assert_eq!(sent.as_deref(), Some("Bearer"));
    check("Client", &client);
    check("RepositoryClient", &repository);
    let events = told.lock().unwrap().clone();
    assert_eq!(events.len(), 1);
    check("Event", &events);

    // Where an upload goes on is signed by the registry.
    let location = format!("http://{}/v2/a/blobs/uploads/1?_state=hunter2", case.front.host());
    case.inject(
        1,
        "POST",
        "/uploads/",
        Misbehaviour::answer(202, &[("Location", &location)]),
    );
    let session = repository.start_upload().await.unwrap();
    check("UploadSession", &session);
    case.inject(9, "PUT", "/uploads/1", Misbehaviour::Repeat { status: 403 });
    let refused = session.put(&blob, BlobBody::from_bytes(bytes(10))).await;
    check("RegistryError", &refused.unwrap_err());
}
