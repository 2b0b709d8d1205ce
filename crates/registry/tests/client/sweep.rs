//! The invariant of registry.md §4.3: whatever was given out dies at request i of a push, for every i, and the push
//! succeeds all the same, with at most two more requests and the same bytes in the registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use onlay_oci::{Descriptor, Digest, Family, MediaType, Registry as RegistryName, Repository};
use onlay_registry::{
    BlobBody, Client, ClientOptions, Credential, Extension, ExtensionFuture, Keychain, Mount, RegistryError,
    RepositoryClient, Secret,
};
use onlay_testkit::{Credential as Login, Front, FrontAuth, Registry, TokenManners};

use crate::case::{bytes, layer, read, repository, session, soon};
use crate::credentials::helper;

/// What is pushed: two blobs, one that is mounted, a manifest by its digest and an index by a tag.
struct Image {
    sent: [Bytes; 2],
    mounted: Bytes,
    manifest: Vec<u8>,
    index: Vec<u8>,
}

/// The registry behind every front of a sweep, with the blob to be mounted.
struct Sweep {
    registry: Registry,
    image: Image,
}

/// How a client gets in.
type Options<'a> = dyn Fn(&Front) -> ClientOptions + 'a;

impl Image {
    fn new() -> Self {
        let (sent, mounted) = ([bytes(1000), bytes(300_000)], bytes(2000));
        let config = Descriptor::of(MediaType::Config(Family::Oci), &sent[0]);
        let layers = [layer(&sent[1]), layer(&mounted)];
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": layers,
        });
        let manifest = manifest.to_string().into_bytes();
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [described(&manifest)],
        });
        Self {
            sent,
            mounted,
            manifest,
            index: index.to_string().into_bytes(),
        }
    }

    async fn push(&self, to: &RepositoryClient) -> Result<(), RegistryError> {
        for blob in &self.sent {
            let descriptor = layer(blob);
            if to.head_blob(&descriptor.digest).await?.is_none() {
                let upload = to.start_upload().await?;
                upload
                    .put(&descriptor, BlobBody::from_bytes(blob.clone()))
                    .await?;
            }
        }
        let mounted = layer(&self.mounted);
        match to.mount_blob(&mounted.digest, &"other".parse().unwrap()).await? {
            Mount::Mounted => {}
            opened => {
                let body = BlobBody::from_bytes(self.mounted.clone());
                session(opened).put(&mounted, body).await?;
            }
        }
        assert!(read(to, &layer(&self.sent[1])).await? == self.sent[1]);
        let manifest = described(&self.manifest);
        to.put_manifest(&manifest.digest.to_string(), &manifest, &self.manifest)
            .await?;
        let index = Descriptor::of(MediaType::Index(Family::Oci), &self.index);
        to.put_manifest("v", &index, &self.index).await?;
        assert_eq!(to.head_manifest("v").await?, Some(index));
        Ok(())
    }

    async fn is_in(&self, repository: &RepositoryClient) {
        for blob in self.sent.iter().chain([&self.mounted]) {
            assert!(read(repository, &layer(blob)).await.unwrap() == blob);
        }
        for (name, text) in [("v", &self.index), (&digest(&self.manifest), &self.manifest)] {
            let (document, _) = repository.pull_manifest(name).await.unwrap();
            assert_eq!(**document.bytes(), **text);
        }
    }
}

impl Sweep {
    async fn new() -> Self {
        let sweep = Self {
            registry: Registry::start(),
            image: Image::new(),
        };
        let upload = sweep.straight("other").start_upload().await.unwrap();
        let body = BlobBody::from_bytes(sweep.image.mounted.clone());
        upload.put(&layer(&sweep.image.mounted), body).await.unwrap();
        sweep
    }

    fn straight(&self, name: &str) -> RepositoryClient {
        let client = Client::new(ClientOptions::default()).unwrap();
        repository(&client, self.registry.host(), name)
    }

    /// Pushes once with nothing killed, and then once for each request that had a good credential.
    async fn run(&self, auth: &FrontAuth, options: &Options<'_>) {
        let (unharmed, _) = self.push("unharmed", auth, options, usize::MAX).await;
        assert!(unharmed > 10, "only {unharmed} requests");
        let mut kills = 0;
        loop {
            let name = format!("killed-{}", kills + 1);
            let (requests, killed) = self.push(&name, auth, options, kills + 1).await;
            if !killed {
                break;
            }
            kills += 1;
            assert!(
                requests <= unharmed + 2,
                "killed at {kills}: {requests} requests, {unharmed} without"
            );
            self.image.is_in(&self.straight(&name)).await;
        }
        assert!(kills > 10, "only {kills} requests had a credential");
    }

    /// How many requests it took, and whether anything was killed.
    async fn push(
        &self,
        name: &str,
        auth: &FrontAuth,
        options: &Options<'_>,
        kill_at: usize,
    ) -> (usize, bool) {
        let front = Front::start(self.registry.host(), auth.clone());
        front.kill_credentials_at(kill_at);
        let client = Client::new(options(&front)).unwrap();
        let to = repository(&client, front.host(), name);
        if let Err(failed) = soon(self.image.push(&to)).await {
            panic!("killed at {kill_at}: {failed}\n{:#?}", front.requests());
        }
        (front.requests().len(), !front.is_to_kill())
    }
}

fn described(manifest: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::Manifest(Family::Oci), manifest)
}

fn digest(text: &[u8]) -> String {
    Digest::of(text).to_string()
}

fn with_config(config: &serde_json::Value) -> ClientOptions {
    let keychain = Keychain::default().with_config("config.json", config.to_string().as_bytes());
    ClientOptions {
        keychain: keychain.unwrap(),
        ..ClientOptions::default()
    }
}

#[tokio::test]
async fn anonymous_tokens() {
    let auth = FrontAuth::Tokens(TokenManners::default());
    Sweep::new().await.run(&auth, &|_| ClientOptions::default()).await;
}

#[tokio::test]
async fn tokens_for_a_password() {
    let manners = TokenManners {
        credential: Some(Login::new("tester", "hunter2")),
        ..TokenManners::default()
    };
    let options = |front: &Front| {
        let entry = serde_json::json!({ "username": "tester", "password": "hunter2" });
        with_config(&serde_json::json!({ "auths": { front.host(): entry } }))
    };
    Sweep::new()
        .await
        .run(&FrontAuth::Tokens(manners), &options)
        .await;
}

#[tokio::test]
async fn tokens_for_an_identity_token() {
    let manners = TokenManners {
        identity_token: Some("identity".to_owned()),
        methods: vec!["POST"],
        ..TokenManners::default()
    };
    let options = |front: &Front| {
        let entry = serde_json::json!({ "identitytoken": "identity" });
        with_config(&serde_json::json!({ "auths": { front.host(): entry } }))
    };
    Sweep::new()
        .await
        .run(&FrontAuth::Tokens(manners), &options)
        .await;
}

/// Passwords that die with a 403 and no challenge, from an extension as ECR's is.
#[tokio::test]
async fn passwords_of_an_extension() {
    let options = |front: &Front| ClientOptions {
        extensions: vec![Arc::new(Minting {
            host: front.host().to_owned(),
            minted: AtomicUsize::new(0),
        })],
        ..ClientOptions::default()
    };
    Sweep::new().await.run(&FrontAuth::Minted, &options).await;
}

/// The same from a credential helper, which every other client calls once (registry.md §0).
#[tokio::test]
async fn passwords_of_a_helper() {
    let sweep = Sweep::new().await;
    let directory = helper(r#"echo "{\"Username\":\"AWS\",\"Secret\":\"minted-$calls\"}""#);
    let options = |front: &Front| {
        let mut options = with_config(&serde_json::json!({ "credHelpers": { front.host(): "test" } }));
        options.keychain = options.keychain.with_helpers_in(directory.path());
        options
    };
    sweep.run(&FrontAuth::Minted, &options).await;
}

/// A login that was left behind in a file and is refused: the extension is asked, and the file no more.
#[tokio::test]
async fn a_login_that_is_too_old_gives_way_to_the_extension() {
    let registry = Registry::start();
    let front = Front::start(registry.host(), FrontAuth::Minted);
    let entry = serde_json::json!({ "username": "AWS", "password": "of-yesterday" });
    let options = ClientOptions {
        extensions: vec![Arc::new(Minting {
            host: front.host().to_owned(),
            minted: AtomicUsize::new(0),
        })],
        ..with_config(&serde_json::json!({ "auths": { front.host(): entry } }))
    };
    let client = Client::new(options).unwrap();
    let target = repository(&client, front.host(), "a");
    let blob = layer(b"some bytes");
    for _ in 0..3 {
        let session = target.start_upload().await.unwrap();
        let body = BlobBody::from_bytes(Bytes::from_static(b"some bytes"));
        session.put(&blob, body).await.unwrap();
    }
    let refused = front
        .requests()
        .into_iter()
        .filter(|request| matches!(request.status, Some(401 | 403)));
    assert!(refused.count() <= 2, "{:?}", front.requests());
}

/// Gives another password each time the last one was refused.
#[derive(Debug)]
struct Minting {
    host: String,
    minted: AtomicUsize,
}

impl Extension for Minting {
    fn matches(&self, registry: &RegistryName) -> bool {
        registry.as_str() == self.host
    }

    fn credential<'a>(
        &'a self,
        _registry: &'a RegistryName,
        renew: bool,
    ) -> ExtensionFuture<'a, Option<Credential>> {
        Box::pin(async move {
            if renew || self.minted.load(Ordering::SeqCst) == 0 {
                self.minted.fetch_add(1, Ordering::SeqCst);
            }
            let number = self.minted.load(Ordering::SeqCst);
            Ok(Some(Credential::Password {
                username: "AWS".to_owned(),
                password: Secret::new(format!("minted-{number}")),
            }))
        })
    }

    fn ensure_repository<'a>(
        &'a self,
        _registry: &'a RegistryName,
        _repository: &'a Repository,
    ) -> ExtensionFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
