//! Credentials: found, shown to the right host only, renewed wherever they die, never printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use onlay_oci::{Descriptor, Family, MediaType, Registry as RegistryName, Repository};
use onlay_registry::{
    BlobBody, Client, ClientOptions, Credential, Extension, ExtensionFuture, Keychain, RegistryError, Secret,
};
use onlay_testkit::{Credential as Login, Fault, Front, FrontAuth, LoggedRequest, Misbehaviour, Registry};

use crate::case::{Case, bytes, layer, read, repository, soon};

const INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// A front that gives out tokens, and a client that knows the login.
pub(crate) fn bearer_case(credential: Option<Login>, requests_per_token: usize) -> Case {
    let auth = FrontAuth::Bearer {
        credential: credential.clone(),
        requests_per_token,
    };
    let mut case = Case::with(auth, ClientOptions::default());
    if let Some(login) = credential {
        case.client = client(case.front.host(), &login);
    }
    case
}

fn client(host: &str, login: &Login) -> Client {
    Client::new(ClientOptions {
        keychain: keychain(host, login),
        ..ClientOptions::default()
    })
    .unwrap()
}

fn keychain(host: &str, login: &Login) -> Keychain {
    let entry = serde_json::json!({ "username": login.username, "password": login.password });
    let config = serde_json::json!({ "auths": { host: entry } }).to_string();
    Keychain::default()
        .with_config("config.json", config.as_bytes())
        .unwrap()
}

/// A small push: two blobs and an index.
async fn push(case: &Case) -> Result<(), RegistryError> {
    let repository = case.repository("a");
    for size in [1000, 200_000] {
        let blob = bytes(size);
        let descriptor = layer(&blob);
        assert_eq!(repository.head_blob(&descriptor.digest).await?, None);
        let session = repository.start_upload().await?;
        session
            .put(&descriptor, BlobBody::from_bytes(blob.clone()))
            .await?;
        assert!(read(&repository, &descriptor).await? == blob);
    }
    let index = Descriptor::of(MediaType::Index(Family::Oci), INDEX);
    repository.put_manifest("v", &index, INDEX).await?;
    assert_eq!(repository.head_manifest("v").await?, Some(index));
    Ok(())
}

#[tokio::test]
async fn a_push_survives_the_death_of_its_token_at_every_request() {
    for requests_per_token in 1..=12 {
        let case = bearer_case(None, requests_per_token);
        if let Err(failed) = soon(push(&case)).await {
            panic!("{requests_per_token} requests per token: {failed}");
        }
    }
}

#[tokio::test]
async fn parallel_requests_survive_tokens_that_die_early() {
    for requests_per_token in 1..=3 {
        let case = bearer_case(Some(Login::new("tester", "hunter2")), requests_per_token);
        let uploads = (0..6).map(|index| {
            let repository = case.repository("a");
            async move {
                let blob = bytes(1000 + index);
                let descriptor = layer(&blob);
                let session = repository.start_upload().await?;
                session.put(&descriptor, BlobBody::from_bytes(blob)).await
            }
        });
        let uploaded: Result<Vec<()>, _> =
            soon(stream::iter(uploads).buffer_unordered(6).try_collect()).await;
        assert_eq!(uploaded.map(|all| all.len()).map_err(|e| e.to_string()), Ok(6));
    }
}

#[tokio::test]
async fn one_token_serves_requests_at_the_same_time() {
    let case = bearer_case(None, 1000);
    let descriptor = case.store("a", &bytes(10)).await;
    let repository = case.repository("a");
    repository.head_blob(&descriptor.digest).await.unwrap();
    case.front.clear_requests();
    let heads = (0..12).map(|_| repository.head_blob(&descriptor.digest));
    let found: Vec<_> = stream::iter(heads)
        .buffer_unordered(12)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(found, [Some(10); 12]);
    assert_eq!(case.requests("GET", "/token").len(), 0);
}

#[tokio::test]
async fn a_password_is_shown_when_it_is_asked_for() {
    let login = Login::new("tester", "hunter2");
    let registry = Registry::start_with_credential(&login);
    let front = Front::start(registry.host(), FrontAuth::Registry);
    let case = Case {
        client: client(front.host(), &login),
        registry,
        front,
    };
    push(&case).await.unwrap();
    let requests = case.front.requests();
    assert_eq!(requests[0].authorization, None);
    assert!(
        requests[1..]
            .iter()
            .all(|request| request.authorization.as_deref() == Some("Basic"))
    );
}

#[tokio::test]
async fn a_registry_that_says_only_at_its_door_what_it_wants_is_asked_there_once() {
    let login = Login::new("tester", "hunter2");
    let registry = Registry::start_with_credential(&login);
    let front = Front::start(registry.host(), FrontAuth::Registry);
    let case = Case {
        client: client(front.host(), &login),
        registry,
        front,
    };
    let wordless = Misbehaviour::answer(401, &[]);
    case.front.inject(Fault::times(1, "HEAD", "/blobs/", wordless));
    push(&case).await.unwrap();
    let requests = case.front.requests();
    let at_door = |request: &&LoggedRequest| request.path == "/v2/";
    assert_eq!(requests.iter().filter(at_door).count(), 1);
    assert_eq!(requests[1].path, "/v2/");
    assert!(
        requests[2..]
            .iter()
            .all(|request| request.authorization.as_deref() == Some("Basic"))
    );
}

#[tokio::test]
async fn a_wrong_password_is_an_error_that_does_not_print_it() {
    let registry = Registry::start_with_credential(&Login::new("tester", "right"));
    let client = client(registry.host(), &Login::new("tester", "hunter2"));
    let failed = repository(&client, registry.host(), "a")
        .start_upload()
        .await
        .unwrap_err();
    assert!(failed.is_unauthorized(), "{failed}");
    let printed = format!("{failed} {failed:?} {client:?}");
    assert!(
        !printed.contains("hunter2") && !printed.contains("aHVudGVyMg"),
        "{printed}"
    );
}

#[tokio::test]
async fn an_upload_location_on_another_host_gets_no_credential() {
    let login = Login::new("tester", "hunter2");
    let case = bearer_case(Some(login), 1000);
    let other = Front::start(case.registry.host(), FrontAuth::Registry);
    // The session is a real one, on the same registry, reached by another door.
    let elsewhere = Client::new(ClientOptions::default()).unwrap();
    repository(&elsewhere, other.host(), "a")
        .start_upload()
        .await
        .unwrap();
    other.clear_requests();
    let location = format!("http://{}/v2/a/blobs/uploads/unknown", other.host());
    case.inject(
        1,
        "POST",
        "/uploads/",
        Misbehaviour::answer(202, &[("Location", &location)]),
    );
    let blob = bytes(1000);
    let descriptor = layer(&blob);
    let session = case.repository("a").start_upload().await.unwrap();
    // That the unknown session is refused there is no matter: another one is begun at home.
    _ = soon(session.put(&descriptor, BlobBody::from_bytes(blob))).await;
    let seen = other.requests();
    assert!(!seen.is_empty());
    assert!(
        seen.iter().all(|request| request.authorization.is_none()),
        "{seen:?}"
    );
}

/// A registry whose password is another one each time it is asked for, as ECR's is.
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
            Ok(Some(Credential::Password {
                username: "tester".to_owned(),
                password: Secret::new("hunter2"),
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

/// Source: aws.md §1.3: expired tokens get 403 and no challenge; the answer to HEAD has no body to say so.
#[tokio::test]
async fn a_403_that_says_expired_renews_the_credential_once_on_every_verb() {
    let verbs = [
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PUT", "/uploads/"),
        ("GET", "/blobs/"),
        ("PUT", "/manifests/"),
        ("HEAD", "/manifests/"),
    ];
    for (method, path) in verbs {
        let registry = Registry::start_with_credential(&Login::new("tester", "hunter2"));
        let front = Front::start(registry.host(), FrontAuth::Registry);
        let extension = Arc::new(Minting {
            host: front.host().to_owned(),
            minted: AtomicUsize::new(0),
        });
        let client = Client::new(ClientOptions {
            extensions: vec![Arc::clone(&extension) as Arc<dyn Extension>],
            ..ClientOptions::default()
        })
        .unwrap();
        let case = Case {
            registry,
            front,
            client,
        };
        // The challenge is learnt first, so that the refusal below meets a credential.
        assert!(
            case.repository("a")
                .head_manifest("none")
                .await
                .unwrap()
                .is_none()
        );
        let words = r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#;
        let expired = Misbehaviour::Answer {
            status: 403,
            headers: Vec::new(),
            body: words.as_bytes().to_vec(),
        };
        case.inject(1, method, path, expired);
        if let Err(failed) = soon(push(&case)).await {
            panic!("{method} {path}: {failed}");
        }
        assert!(extension.minted.load(Ordering::SeqCst) <= 2, "{method} {path}");
    }
}

#[tokio::test]
async fn a_refusal_that_is_no_expiry_is_not_repeated() {
    let case = bearer_case(None, 1000);
    case.repository("a").head_manifest("none").await.unwrap();
    case.inject(100, "POST", "/uploads/", Misbehaviour::answer(403, &[]));
    let failed = case.repository("a").start_upload().await.unwrap_err();
    assert!(failed.is_unauthorized(), "{failed}");
    assert_eq!(case.requests("POST", "/uploads/").len(), 1);
}

/// A directory with `docker-credential-test`, which counts its calls in `calls` and runs `script` with their number.
pub(crate) fn helper(script: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("docker-credential-test");
    let text = format!(
        "#!/bin/sh\necho >>'{}/calls'\ncalls=$(wc -l <'{0}/calls')\ncat >/dev/null\n{script}\n",
        directory.path().display()
    );
    // Written by another process: one that is forked by another test meanwhile would inherit the open file, and a file
    // that is open for writing cannot be run.
    let written = std::process::Command::new("sh")
        .args(["-c", r#"printf %s "$1" >"$2" && chmod 755 "$2""#, "sh", &text])
        .arg(&program)
        .status();
    assert!(written.unwrap().success());
    directory
}

pub(crate) fn calls(directory: &tempfile::TempDir) -> usize {
    let calls = fs_err::read_to_string(directory.path().join("calls"));
    calls.unwrap_or_default().lines().count()
}

/// A registry with the password `hunter2`, and a client that has its passwords from a helper.
fn helped_case(directory: &tempfile::TempDir) -> Case {
    let registry = Registry::start_with_credential(&Login::new("tester", "hunter2"));
    let front = Front::start(registry.host(), FrontAuth::Registry);
    let config = serde_json::json!({ "credHelpers": { front.host(): "test" } }).to_string();
    let keychain = Keychain::default()
        .with_config("config.json", config.as_bytes())
        .unwrap()
        .with_helpers_in(directory.path());
    let client = Client::new(ClientOptions {
        keychain,
        ..ClientOptions::default()
    });
    Case {
        registry,
        front,
        client: client.unwrap(),
    }
}

#[tokio::test]
async fn a_helper_is_run_once_for_a_whole_push() {
    let directory = helper(r#"echo '{"Username":"tester","Secret":"hunter2"}'"#);
    let case = helped_case(&directory);
    push(&case).await.unwrap();
    assert_eq!(calls(&directory), 1);
}

#[tokio::test]
async fn a_helper_with_a_new_password_is_run_again_when_the_old_one_dies() {
    let script = r#"[ "$calls" -gt 1 ] && secret=hunter2 || secret=old
echo "{\"Username\":\"tester\",\"Secret\":\"$secret\"}""#;
    let directory = helper(script);
    let case = helped_case(&directory);
    push(&case).await.unwrap();
    assert_eq!(calls(&directory), 2);
}

#[tokio::test]
async fn a_helper_that_knows_nobody_is_no_error_and_one_that_fails_is() {
    let cases = [
        ("echo 'credentials not found in native keychain'; exit 1", None),
        // What it says may have a secret in it.
        ("echo 'hunter2 is sealed'; exit 1", Some("get: exit status: 1")),
        ("echo hunter2", Some("get: its answer is not what helpers print")),
    ];
    for (script, message) in cases {
        let directory = helper(script);
        let failed = helped_case(&directory)
            .repository("a")
            .start_upload()
            .await
            .unwrap_err();
        let found = match &failed {
            RegistryError::Keychain { source, .. } => Some(source.to_string()),
            other => {
                assert!(other.is_unauthorized(), "{other}");
                None
            }
        };
        let expected = message.map(|message| format!("docker-credential-test {message}"));
        assert_eq!(found, expected);
    }
}
