use super::*;

fn keychain(texts: &[&str]) -> Keychain {
    let add = |keychain: Keychain, (index, text): (usize, &&str)| {
        let name = format!("{}.json", index + 1);
        keychain.with_config(&name, text.as_bytes()).unwrap()
    };
    texts.iter().enumerate().fold(Keychain::default(), add)
}

async fn find(config: &str, registry: &str, repository: &str) -> Option<String> {
    let found = keychain(&[config])
        .credential(
            &registry.parse().unwrap(),
            Some(&repository.parse().unwrap()),
            Freshness::Kept,
        )
        .await
        .unwrap();
    found.map(|found| match found.credential {
        Credential::Password { username, password } => format!("{username}:{}", password.reveal()),
        Credential::IdentityToken { username, token } => {
            format!("identity {username} {}", token.reveal())
        }
        Credential::RegistryToken(token) => format!("registry {}", token.reveal()),
    })
}

#[tokio::test]
async fn entries() {
    let config = r#"{
        "auths": {
            "h.example": {"auth": "YTox"},
            "h.example/team": {"auth": "YjoyOjM="},
            "h.example/team/v2": {"auth": "ZDo1"},
            "https://h.example:5000/v2/": {"username": "c", "password": "4"},
            "id.example": {"auth": "dTo=", "identitytoken": "id"},
            "nobody.example": {"identitytoken": "id"},
            "user.example": {"username": "<token>", "password": "id"},
            "rt.example": {"registrytoken": "rt", "auth": "YTox"},
            "empty.example": {},
            "null.example": null,
            "zero.example": {"auth": "YToxAAA="}
        },
        "credHelpers": null,
        "credsStore": ""
    }"#;
    let cases = [
        ("h.example", "other/x", Some("a:1")),
        ("h.example", "team/x", Some("b:2:3")),
        ("h.example", "teams/x", Some("a:1")),
        ("h.example", "team/v2", Some("d:5")),
        ("h.example", "team/v2/x", Some("d:5")),
        ("h.example:5000", "x", Some("c:4")),
        ("id.example", "x", Some("identity u id")),
        ("nobody.example", "x", Some("identity <token> id")),
        ("user.example", "x", Some("identity <token> id")),
        ("rt.example", "x", Some("registry rt")),
        ("zero.example", "x", Some("a:1")),
        ("empty.example", "x", None),
        ("null.example", "x", None),
        ("none.example", "x", None),
    ];
    for (registry, repository, expected) in cases {
        let found = find(config, registry, repository).await;
        assert_eq!(found.as_deref(), expected, "{registry}/{repository}");
    }
}

#[tokio::test]
async fn docker_hub_has_many_names() {
    let names = [
        "https://index.docker.io/v1/",
        "docker.io",
        "docker.io/library",
        "index.docker.io",
        "https://registry-1.docker.io/v2/",
    ];
    for name in names {
        let config = format!(r#"{{"auths":{{"{name}":{{"auth":"YTox"}}}}}}"#);
        let found = find(&config, "docker.io", "library/x").await;
        assert_eq!(found.as_deref(), Some("a:1"), "{name}");
    }
}

#[tokio::test]
async fn the_first_source_with_an_entry_counts_and_the_trail_says_so() {
    let keychain = Keychain::default()
        .with_password("--password-file", "other.example", "a", Secret::new("hunter2"))
        .with_absent("absent.json")
        .with_config("1.json", br#"{"auths":{"h.example":{}}}"#)
        .unwrap()
        .with_config("2.json", b"")
        .unwrap()
        .with_config("3.json", br#"{"auths":{"h.example/a":{"auth":"YTpodW50ZXIy"}}}"#)
        .unwrap()
        .with_config("4.json", br#"{"auths":{"h.example":{"auth":"!"}}}"#)
        .unwrap();
    let explain = async |registry: &str, repository: &str| {
        let (registry, repository) = (registry.parse().unwrap(), repository.parse().unwrap());
        let trail = keychain.explain(&registry, Some(&repository)).await;
        trail.steps().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let before = [
        "`--password-file`: nothing for this registry",
        "`absent.json`: not there",
        "the entry `h.example` in `1.json`: nothing in it",
        "`2.json`: nothing for this registry",
    ];
    let chosen = "the entry `h.example/a` in `3.json`: a password";
    assert_eq!(
        explain("h.example", "a/x").await,
        [&before[..], &[chosen]].concat()
    );
    let failed = "failed: the `auth` of `h.example` in `4.json` is not base64 of `user:password`";
    let silent = "`3.json`: nothing for this registry";
    assert_eq!(
        explain("h.example", "b").await,
        [&before[..], &[silent, failed]].concat()
    );
    assert_eq!(
        explain("other.example", "x").await,
        ["`--password-file` for `other.example`: a password"]
    );
}

#[tokio::test]
async fn a_helper_that_fails_is_not_nobody() {
    let keychain = keychain(&[r#"{"credHelpers":{"h.example":"onlay-no-such-helper"}}"#]);
    let found = keychain
        .credential(&"h.example".parse().unwrap(), None, Freshness::Kept)
        .await;
    assert!(matches!(found, Err(KeychainError::Helper { .. })));
}

#[test]
fn what_is_wrong_with_a_file_is_told_without_showing_it() {
    let cases = [
        (r#"{"auths":{"h.example":"aHVudGVyMg=="}}"#, "line 1, column"),
        (
            "{\"auths\":{\"h.example\":{\n\"auth\":{\"hunter2\":1}}}}",
            "line 2, column",
        ),
        ("hunter2", "line 1, column"),
    ];
    for (text, place) in cases {
        let failed = Keychain::default()
            .with_config("x.json", text.as_bytes())
            .unwrap_err();
        let printed = format!("{failed} {failed:?}");
        assert!(printed.contains(place), "{printed}");
        assert!(
            !printed.contains("hunter2") && !printed.contains("aHVudGVyMg"),
            "{printed}"
        );
    }
}

#[test]
fn secrets_do_not_print() {
    let text = r#"{"auths":{"h.example":{"auth":"c2VjcmV0OnNlY3JldA==","password":"hunter2"}}}"#;
    let keychain = keychain(&[text]).with_password("flag", "x.example", "u", Secret::new("hunter2"));
    let printed = format!("{keychain:?} {:?}", Secret::new("hunter2"));
    assert!(
        !printed.contains("hunter2") && !printed.contains("c2Vj"),
        "{printed}"
    );
}
