//! No secret in any output: everything that is printed or written while known secrets are used, or fail, is searched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use onlay_testkit::{
    Credential, Fault, Front, FrontAuth, Misbehaviour, Registry, TestBase, TokenManners, upload_layout,
};

use crate::login::{fake_helper, path_with};
use crate::onlay::{Home, Run};

/// In each of them, these letters stand; in base64 and forms they are looked for as well.
const PASSWORD: &str = "hunter2-s3cret";
const IDENTITY: &str = "identity-s3cret";
const PROXY: &str = "proxy-s3cret";
const SIGNATURE: &str = "signature-s3cret";

struct Case {
    home: Home,
    registry: Registry,
}

impl Case {
    fn new() -> Self {
        let home = Home::new();
        let registry = Registry::start();
        home.test_base(&TestBase::FULL);
        upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
        Self { home, registry }
    }

    /// A front that wants a password or an identity token, and a home that knows it as `entry`.
    fn front(&self, entry: &serde_json::Value) -> Front {
        let manners = TokenManners {
            credential: Some(login()),
            identity_token: Some(IDENTITY.to_owned()),
            ..TokenManners::default()
        };
        let front = Front::start(self.registry.host(), FrontAuth::Tokens(manners));
        self.configure(&serde_json::json!({ "auths": { front.host(): entry } }));
        front
    }

    fn configure(&self, config: &serde_json::Value) {
        self.home.write(".docker/config.json", &config.to_string());
    }

    /// A build with everything that can be printed.
    fn apply(&self, host: &str, more: &[&str]) -> Run {
        let (base, destination) = (format!("{host}/base:1"), format!("{host}/out:v"));
        let arguments = [
            "apply",
            &base,
            "RUN mkdir /etc/vault",
            "-t",
            &destination,
            "--explain",
        ];
        let files = ["--metadata-file", "metadata.json", "--iidfile", "iid"];
        let run = self.home.run(&[&arguments[..], &files, more].concat());
        self.is_clean(&run);
        run
    }

    /// Nothing secret is printed or lies about, but for the files that are there for it.
    #[track_caller]
    fn is_clean(&self, run: &Run) {
        is_clean(&run.stdout);
        is_clean(&run.stderr);
        for entry in fs::read_dir(self.home.path()).unwrap() {
            let path = entry.unwrap().path();
            let is_meant = [".docker", "bin", "kept"].iter().any(|name| path.ends_with(name));
            if !is_meant {
                search(&path);
            }
        }
    }
}

fn login() -> Credential {
    Credential::new("tester", PASSWORD)
}

fn password() -> serde_json::Value {
    serde_json::json!({ "username": "tester", "password": PASSWORD })
}

fn encoded() -> String {
    login().basic().trim_start_matches("Basic ").to_owned()
}

#[track_caller]
fn search(path: &Path) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            search(&entry.unwrap().path());
        }
    } else if path.is_file() {
        is_clean(&String::from_utf8_lossy(&fs::read(path).unwrap()));
    }
}

#[track_caller]
fn is_clean(text: &str) {
    let encoded = encoded();
    // The end of the encoded password, wherever it begins in the whole; tokens of the front are `token-1` and so on.
    for secret in ["s3cret", &encoded, "czNjcmV0", "token-1", "token-2", "token-3"] {
        assert!(!text.contains(secret), "`{secret}` is in:\n{text}");
    }
}

#[test]
fn what_succeeds() {
    let case = Case::new();
    for entry in [password(), serde_json::json!({ "identitytoken": IDENTITY })] {
        let front = case.front(&entry);
        for more in [
            &["--format", "json", "--progress", "plain"][..],
            &["--progress", "json"],
            &["--progress", "rawjson"],
        ] {
            case.apply(front.host(), more).success();
        }
    }
    let registry = Registry::start_with_credential(&login());
    let arguments = ["login", registry.host(), "-u", "tester", "--password-stdin"];
    case.is_clean(&case.home.run_with_input(&arguments, PASSWORD).success());
    case.is_clean(&case.home.run(&["logout", registry.host()]).success());
}

/// Registries and token endpoints that refuse, and repeat what they were sent.
#[test]
fn what_is_refused() {
    let case = Case::new();
    for (entry, token_method) in [
        (password(), "GET"),
        (serde_json::json!({ "identitytoken": IDENTITY }), "POST"),
    ] {
        for (method, path) in [
            (token_method, "/token"),
            ("GET", "/manifests/"),
            ("POST", "/uploads/"),
        ] {
            for status in [400, 401, 403, 418] {
                let front = case.front(&entry);
                front.inject(Fault::always(method, path, Misbehaviour::Repeat { status }));
                let run = case.apply(front.host(), &[]);
                assert_eq!(run.code, Some(1), "{method} {path} {status}");
                let words = format!("{status} [redacted]");
                let has_words = [&words, "Bearer [redacted]", "=[redacted]", "Basic [redacted]"]
                    .iter()
                    .any(|words| run.stderr.contains(*words));
                assert!(has_words, "{method} {path} {status}: {}", run.stderr);
            }
        }
    }
    let wrong = serde_json::json!({ "username": "tester", "password": "wrong-s3cret" });
    let run = case.apply(case.front(&wrong).host(), &[]);
    assert!(run.stderr.contains("hint: the entry"), "{}", run.stderr);
    let registry = Registry::start_with_credential(&login());
    let arguments = ["login", registry.host(), "-u", "tester", "--password-stdin"];
    let run = case.home.run_with_input(&arguments, "wrong-s3cret");
    assert_eq!(run.code, Some(1));
    case.is_clean(&run);
}

#[test]
fn files_and_helpers_that_are_wrong() {
    let case = Case::new();
    let front = case.front(&password());
    let host = front.host();
    for text in [
        format!(r#"{{"auths":{{"{host}":"{}"}}}}"#, encoded()),
        format!(r#"{{"auths":{{"{host}":{{"auth":"{PASSWORD}"}}}}}}"#),
        format!(r#"{{"credsStore":{{"{PASSWORD}":1}}}}"#),
        PASSWORD.to_owned(),
    ] {
        case.home.write(".docker/config.json", &text);
        let run = case.apply(host, &[]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        let run = case
            .home
            .run_with_input(&["login", host, "-u", "a", "--password-stdin"], "x");
        assert_ne!(run.code, Some(0));
        case.is_clean(&run);
    }

    let case = Case {
        home: case.home,
        registry: case.registry,
    };
    let directory = fake_helper(&case.home);
    let home = case.home.with_variable("PATH", &path_with(&directory));
    let case = Case { home, ..case };
    case.configure(&serde_json::json!({ "credsStore": "fake" }));
    let script = |text: &str| {
        let path = case.home.write(
            "bin/docker-credential-fake",
            &format!("#!/bin/sh\ncat >>kept-input\n{text}\n"),
        );
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let failures = [
        format!("echo {PASSWORD}; exit 1"),
        format!("echo {PASSWORD} >&2; exit 1"),
        format!("echo '{{\"Username\":\"a\",\"Secret\":\"{PASSWORD}\"'"),
        format!("echo '{{\"Username\":\"a\",\"Secret\":{{\"{PASSWORD}\":1}}}}'"),
        format!("echo {PASSWORD}; kill -9 $$"),
    ];
    for text in failures {
        script(&text);
        let run = case.apply(host, &[]);
        assert!(run.stderr.contains("hint: see what it says"), "{}", run.stderr);
        assert_eq!(run.code, Some(1));
        fs::remove_file(case.home.join("kept-input")).unwrap();
    }
    // A helper that does not keep what it is told, and repeats it.
    let registry = Registry::start_with_credential(&login());
    script(&format!(
        "[ $1 = get ] && {{ echo credentials not found; exit 1; }}; echo {PASSWORD}; exit 1"
    ));
    let arguments = ["login", registry.host(), "-u", "tester", "--password-stdin"];
    let run = case.home.run_with_input(&arguments, PASSWORD);
    assert_eq!(run.code, Some(1));
    fs::remove_file(case.home.join("kept-input")).unwrap();
    case.is_clean(&run);
}

/// Other processes can read arguments.
#[test]
fn arguments_of_helpers() {
    let case = Case::new();
    let directory = fake_helper(&case.home);
    let home = case.home.with_variable("PATH", &path_with(&directory));
    let case = Case { home, ..case };
    case.configure(&serde_json::json!({ "credsStore": "fake" }));
    let registry = Registry::start_with_credential(&login());
    let arguments = ["login", registry.host(), "-u", "tester", "--password-stdin"];
    case.home.run_with_input(&arguments, PASSWORD).success();
    case.home.run(&["logout", registry.host()]).success();
    let arguments = fs::read_to_string(case.home.join("kept/arguments")).unwrap();
    assert!(
        arguments.contains("store") && arguments.contains("erase"),
        "{arguments}"
    );
    is_clean(&arguments);
}

#[test]
fn addresses_with_secrets_in_them() {
    let case = Case::new();
    let other = Front::start(case.registry.host(), FrontAuth::Registry);
    for method in ["GET", "HEAD"] {
        other.inject(Fault::always(
            method,
            "/elsewhere",
            Misbehaviour::answer(403, &[]),
        ));
    }
    let front = case.front(&password());
    let location = format!(
        "http://tester:{PASSWORD}@{}/elsewhere?X-Amz-Signature={SIGNATURE}",
        other.host()
    );
    front.inject(Fault::always(
        "GET",
        "/blobs/",
        Misbehaviour::answer(307, &[("Location", &location)]),
    ));
    let run = case.apply(front.host(), &[]);
    assert!(run.stderr.contains(": 403"), "{}", run.stderr);
    // Who sent us away is not who refused us.
    assert!(!run.stderr.contains("onlay login"), "{}", run.stderr);

    let endpoint = format!("{}=http://tester:{PASSWORD}@{}", front.host(), other.host());
    for endpoint in [
        endpoint,
        format!("h.example=ftp://tester:{PASSWORD}@x"),
        format!("h.example={PASSWORD}"),
        format!("http://tester:{PASSWORD}@x"),
    ] {
        let run = case.apply(front.host(), &["--registry-endpoint", &endpoint]);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
    }
}

#[test]
fn proxies() {
    let mut case = Case::new();
    let cases = [
        (format!("http://tester:{PROXY}@127.0.0.1:1"), "127.0.0.1:2"),
        (format!("http://tester:{PROXY}@127.0.0.1:1"), "registry.invalid"),
        (format!("socks5://tester:{PROXY}@127.0.0.1:1"), "127.0.0.1:2"),
        (format!("http://tester:{PROXY}@:x"), "127.0.0.1:2"),
    ];
    for (address, host) in cases {
        let home = Home::new().with_variable("ALL_PROXY", &address);
        case.home = home.with_variable("NO_PROXY", "<-loopback>");
        let run = case.home.run(&["apply", &format!("{host}/base:1"), "ENV A=1"]);
        assert_ne!(run.code, Some(0), "{address}");
        case.is_clean(&run);
    }
}
