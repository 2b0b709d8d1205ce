//! Tokens: asked for in the right form and breadth, shared, and never replaced by nobody when there are none.

use std::time::Duration;

use futures_util::TryStreamExt;
use onlay_registry::{Client, ClientOptions, CredentialSource, Keychain, LoginCheck, RegistryError, Secret};
use onlay_testkit::{Credential as Login, Fault, Front, FrontAuth, Misbehaviour, Registry, TokenManners};

use crate::case::{Case, bytes, layer, read, session, soon};
use crate::credentials::{calls, helper};

/// A front with such manners, and a client that knows these entries for it.
fn case(manners: TokenManners, entry: serde_json::Value) -> Case {
    let registry = Registry::start();
    let front = Front::start(registry.host(), FrontAuth::Tokens(manners));
    let config = serde_json::json!({ "auths": { front.host(): entry } }).to_string();
    let keychain = Keychain::default().with_config("config.json", config.as_bytes());
    let client = Client::new(ClientOptions {
        keychain: keychain.unwrap(),
        ..ClientOptions::default()
    });
    Case {
        client: client.unwrap(),
        registry,
        front,
    }
}

fn anonymous(manners: TokenManners) -> Case {
    case(manners, serde_json::json!({}))
}

fn password() -> serde_json::Value {
    serde_json::json!({ "username": "tester", "password": "hunter2" })
}

fn wants_password() -> TokenManners {
    TokenManners {
        credential: Some(Login::new("tester", "hunter2")),
        ..TokenManners::default()
    }
}

/// The scopes of each request for a token, as they were sent.
fn asked(case: &Case) -> Vec<String> {
    let scopes = |path: String| {
        let query = path.split_once('?').map_or("", |(_, query)| query).to_owned();
        let scopes: Vec<String> = query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("scope="))
            .map(|scope| scope.replace("%3A", ":").replace("%2C", ",").replace("%2F", "/"))
            .collect();
        scopes.join(" ")
    };
    let requests = case.requests("GET", "/token");
    requests.into_iter().map(|request| scopes(request.path)).collect()
}

#[tokio::test]
async fn a_token_for_more_serves_what_needs_less() {
    let case = anonymous(TokenManners::default());
    let blob = case.store("b", &bytes(10)).await;
    let repository = case.repository("a");
    repository.head_manifest("none").await.unwrap();
    let mount = repository
        .mount_blob(&blob.digest, &"b".parse().unwrap())
        .await
        .unwrap();
    assert!(matches!(mount, onlay_registry::Mount::Mounted));
    repository.start_upload().await.unwrap();
    repository.head_manifest("none").await.unwrap();
    case.repository("b").head_manifest("none").await.unwrap();
    let expected = ["repository:a:pull", "repository:a:pull,push repository:b:pull"];
    assert_eq!(asked(&case), expected);
}

#[tokio::test]
async fn what_was_granted_together_is_asked_for_together_again() {
    let case = anonymous(TokenManners::default());
    let blob = case.store("b", &bytes(10)).await;
    let repository = case.repository("a");
    repository
        .mount_blob(&blob.digest, &"b".parse().unwrap())
        .await
        .unwrap();
    case.front.kill_credentials_at(1);
    repository.head_manifest("none").await.unwrap();
    repository
        .mount_blob(&blob.digest, &"b".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(asked(&case), ["repository:a:pull,push repository:b:pull"; 2]);
}

#[tokio::test]
async fn a_challenge_may_ask_for_more() {
    let manners = TokenManners {
        also_needs: Some("registry:catalog:*".to_owned()),
        ..TokenManners::default()
    };
    let case = anonymous(manners);
    let repository = case.repository("a");
    repository.head_manifest("none").await.unwrap();
    repository.head_manifest("none").await.unwrap();
    // What asks for everything goes first, as what is pushed to does.
    assert_eq!(asked(&case), ["registry:catalog:* repository:a:pull"]);
}

#[tokio::test]
async fn a_token_endpoint_may_know_one_form_only() {
    let identity = serde_json::json!({ "identitytoken": "identity" });
    let cases = [
        (password(), vec!["GET"], "GET"),
        (password(), vec!["POST"], "POST"),
        (identity.clone(), vec!["POST"], "POST"),
        (identity, vec!["GET"], "GET"),
    ];
    for (entry, methods, expected) in cases {
        let manners = TokenManners {
            identity_token: Some("identity".to_owned()),
            methods,
            ..wants_password()
        };
        let case = case(manners, entry);
        case.repository("a").head_manifest("none").await.unwrap();
        case.front.clear_requests();
        // The next one goes there straight.
        case.repository("b").head_manifest("none").await.unwrap();
        let token = case.front.requests().remove(0);
        assert_eq!((token.method.as_str(), token.status), (expected, Some(200)));
    }
}

#[tokio::test]
async fn a_token_is_renewed_in_the_middle_of_a_transfer() {
    let case = anonymous(TokenManners::default());
    let blob = bytes(500_000);
    let descriptor = case.store("a", &blob).await;
    case.inject(1, "GET", "/blobs/", Misbehaviour::CutBody { after: 200_000 });
    case.front.kill_credentials_at(2);
    assert!(soon(read(&case.repository("a"), &descriptor)).await.unwrap() == blob);
    let gets = case.requests("GET", "/blobs/");
    let statuses: Vec<_> = gets.iter().filter_map(|get| get.status).collect();
    assert_eq!(statuses, [401, 200, 401, 206]);
    assert!(gets[3].response_bytes <= 300_000);
}

/// Going on as nobody would turn an outage into "there is no such image".
#[tokio::test]
async fn no_token_is_an_error() {
    for status in [400, 401, 403, 404] {
        let case = case(wants_password(), password());
        case.front
            .inject(Fault::always("GET", "/token", Misbehaviour::answer(status, &[])));
        case.front
            .inject(Fault::always("POST", "/token", Misbehaviour::answer(status, &[])));
        let failed = case.repository("a").head_manifest("none").await.unwrap_err();
        assert!(matches!(failed, RegistryError::Token { .. }), "{failed}");
        assert!(!failed.is_not_found(), "{failed}");
        let identity = failed.identity().unwrap();
        assert!(matches!(identity.source, Some(CredentialSource::Entry { .. })));
    }
}

#[tokio::test]
async fn a_token_that_is_none_is_an_error() {
    let large = format!(r#"{{"token":"{}"}}"#, "x".repeat(70_000));
    for body in ["nonsense", "{}", r#"{"token":"a\nb"}"#, &large] {
        let case = anonymous(TokenManners::default());
        let answer = Misbehaviour::Answer {
            status: 200,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        case.front.inject(Fault::always("GET", "/token", answer));
        let failed = case.repository("a").head_manifest("none").await.unwrap_err();
        let RegistryError::Token { source, .. } = &failed else {
            panic!("{failed}");
        };
        assert!(source.to_string().contains("no usable token"), "{source}");
    }
}

#[tokio::test]
async fn a_mount_that_gets_no_token_is_an_upload() {
    let case = anonymous(TokenManners::default());
    let blob = case.store("b", &bytes(10)).await;
    case.front.inject(Fault::always(
        "GET",
        "repository%3Ab%3Apull",
        Misbehaviour::answer(403, &[]),
    ));
    let (repository, other) = (case.repository("a"), "b".parse().unwrap());
    let upload = session(repository.mount_blob(&blob.digest, &other).await.unwrap());
    let body = onlay_registry::BlobBody::from_bytes(bytes(10));
    upload.put(&layer(&bytes(10)), body).await.unwrap();
}

#[tokio::test]
async fn a_helper_is_asked_again_when_the_token_endpoint_refuses() {
    let script = r#"[ "$calls" -gt 1 ] && secret=hunter2 || secret=old
echo "{\"Username\":\"tester\",\"Secret\":\"$secret\"}""#;
    let directory = helper(script);
    let registry = Registry::start();
    let front = Front::start(registry.host(), FrontAuth::Tokens(wants_password()));
    let config = serde_json::json!({ "credsStore": "test" }).to_string();
    let keychain = Keychain::default().with_config("config.json", config.as_bytes());
    let client = Client::new(ClientOptions {
        keychain: keychain.unwrap().with_helpers_in(directory.path()),
        ..ClientOptions::default()
    });
    let case = Case {
        client: client.unwrap(),
        registry,
        front,
    };
    case.repository("a").head_manifest("none").await.unwrap();
    case.repository("b").head_manifest("none").await.unwrap();
    assert_eq!(calls(&directory), 2);
}

#[tokio::test]
async fn a_helpers_answer_is_kept_for_an_hour() {
    let directory = helper(r#"echo '{"Username":"tester","Secret":"hunter2"}'"#);
    let keychain = Keychain::default()
        .with_config("config.json", br#"{"credsStore":"test"}"#)
        .unwrap()
        .with_helpers_in(directory.path());
    for (seconds, expected) in [(0, 1), (3590, 1), (20, 2)] {
        // While the helper runs, the clock must.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
        let trail = keychain.explain(&"h.example".parse().unwrap(), None).await;
        assert!(matches!(trail.chosen(), Some(CredentialSource::Helper { .. })));
        assert_eq!(calls(&directory), expected);
    }
}

/// Some registries repeat what they were sent.
#[tokio::test]
async fn what_was_sent_is_not_repeated_by_errors() {
    let login = Login::new("tester", "hunter2");
    let encoded = login.basic().trim_start_matches("Basic ").to_owned();
    let words = format!("wrong: hunter2 {encoded} token-1 token-2 {}", "x".repeat(400));
    let answer = Misbehaviour::Answer {
        status: 403,
        headers: Vec::new(),
        body: words.into_bytes(),
    };
    for path in ["/token", "/uploads/"] {
        let case = case(wants_password(), password());
        case.front.inject(Fault::always("GET", path, answer.clone()));
        case.front.inject(Fault::always("POST", path, answer.clone()));
        let failed = case.repository("a").start_upload().await.unwrap_err();
        let printed = format!("{failed} {failed:?} {:?}", case.client);
        assert!(printed.contains("[redacted]"), "{printed}");
        let secrets: &[&str] = match path {
            "/token" => &["hunter2", &encoded],
            _ => &["token-1"],
        };
        assert!(
            !secrets.iter().any(|secret| printed.contains(secret)),
            "{printed}"
        );
    }
}

#[tokio::test]
async fn a_login_is_checked_at_the_door() {
    let check = async |auth: FrontAuth, password: &str| {
        let registry = Registry::start();
        let front = Front::start(registry.host(), auth);
        let keychain =
            Keychain::default().with_password("test", front.host(), "tester", Secret::new(password));
        let client = Client::new(ClientOptions {
            keychain,
            ..ClientOptions::default()
        });
        client.unwrap().check_login(&front.host().parse().unwrap()).await
    };
    let tokens = || FrontAuth::Tokens(wants_password());
    assert_eq!(check(tokens(), "hunter2").await.unwrap(), LoginCheck::Accepted);
    let refused = check(tokens(), "wrong").await.unwrap_err();
    assert!(refused.is_unauthorized(), "{refused}");
    let open = check(FrontAuth::Registry, "hunter2").await.unwrap();
    assert_eq!(open, LoginCheck::NotAsked);
}

#[tokio::test]
async fn a_refusal_names_the_source_of_what_was_refused() {
    let registry = Registry::start_with_credential(&Login::new("tester", "right"));
    let known = |password: &str| {
        let keychain = Keychain::default();
        Client::new(ClientOptions {
            keychain: keychain.with_password("test", registry.host(), "tester", Secret::new(password)),
            ..ClientOptions::default()
        })
        .unwrap()
    };
    let nobody = Client::new(ClientOptions::default()).unwrap();
    for (client, expected) in [(known("wrong"), true), (nobody, false)] {
        let repository = crate::case::repository(&client, registry.host(), "a");
        let failed = repository.start_upload().await.unwrap_err();
        let identity = failed.identity().unwrap();
        assert_eq!(identity.registry.as_str(), registry.host());
        assert_eq!(identity.source.is_some(), expected, "{identity:?}");
    }
    let blob = layer(&bytes(1));
    let pieces = crate::case::repository(&known("right"), registry.host(), "a")
        .pull_blob(&blob)
        .await;
    let failed = match pieces {
        Ok(pieces) => pieces.try_collect::<Vec<_>>().await.unwrap_err(),
        Err(failed) => failed,
    };
    assert!(failed.is_not_found(), "{failed}");
}
