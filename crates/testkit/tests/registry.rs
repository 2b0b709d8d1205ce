//! The real registry, the front before it, and what the front does wrong.
#![allow(
    clippy::unwrap_used,
    reason = "clippy sees only test functions as tests, not their helpers"
)]

use onlay_testkit::{
    Credential, Fault, Front, FrontAuth, Layout, Misbehaviour, Registry, Strictness, TestBase,
    check_registry, upload_layout, validate_registry,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const BODY: &[u8] = b"0123456789";
const DIGEST: &str = "sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";

/// Sends a request and returns everything that comes back, head and body.
fn exchange(host: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A connection that the front resets is one of the things that are tested.
    _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(host: &str, path: &str, headers: &str) -> String {
    exchange(
        host,
        &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"),
    )
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// A registry with one blob, behind a front.
struct Setup {
    registry: Registry,
    front: Front,
    blob: String,
}

impl Setup {
    fn new(auth: FrontAuth) -> Self {
        let registry = Registry::start();
        upload(registry.host());
        let front = Front::start(registry.host(), auth);
        Self {
            registry,
            front,
            blob: format!("/v2/t/blobs/{DIGEST}"),
        }
    }

    fn get_with(&self, misbehaviour: Misbehaviour) -> String {
        self.front.inject(Fault::times(1, "GET", "/blobs/", misbehaviour));
        get(self.front.host(), &self.blob, "")
    }
}

/// Uploads the blob in two requests.
fn upload(host: &str) {
    let started = exchange(
        host,
        &format!(
            "POST /v2/t/blobs/uploads/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
    );
    let location = started
        .lines()
        .find_map(|line| line.strip_prefix("Location: "))
        .unwrap();
    let location = location.trim_start_matches(&format!("http://{host}"));
    let finished = exchange(
        host,
        &format!(
            "PUT {location}&digest={DIGEST} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
             Connection: close\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"
        ),
    );
    assert!(finished.starts_with("HTTP/1.1 201"), "{finished}");
}

#[test]
fn a_front_passes_everything_on() {
    let setup = Setup::new(FrontAuth::Registry);
    upload(setup.front.host());
    let answer = get(setup.front.host(), &setup.blob, "");
    assert_eq!(body(&answer).as_bytes(), BODY);

    let requests = setup.front.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|r| (r.method.as_str(), r.status, r.request_bytes, r.response_bytes))
        .collect();
    assert_eq!(
        seen,
        [
            ("POST", Some(202), 0, 0),
            ("PUT", Some(201), 10, 0),
            ("GET", Some(200), 0, 10)
        ]
    );
    assert_eq!(requests[2].path, setup.blob);
    setup.front.clear_requests();
    assert!(setup.front.requests().is_empty());
}

#[test]
fn faults_of_the_response_do_what_they_say() {
    let setup = Setup::new(FrontAuth::Registry);
    let cut = setup.get_with(Misbehaviour::CutBody { after: 4 });
    assert!(cut.contains("Content-Length: 10"), "{cut}");
    assert_eq!(body(&cut), "0123");

    let lie = setup.get_with(Misbehaviour::LieAboutLength { by: 5 });
    assert!(lie.contains("Content-Length: 15"), "{lie}");
    assert_eq!(body(&lie).as_bytes(), BODY);

    let corrupt = setup.get_with(Misbehaviour::CorruptByte { at: 3 });
    assert!(
        body(&corrupt).starts_with("012") && body(&corrupt).ends_with("456789"),
        "{corrupt}"
    );
    assert!(!corrupt.contains("0123456789"), "{corrupt}");

    let replaced = setup.get_with(Misbehaviour::ReplaceBody(b"abc".to_vec()));
    assert!(
        replaced.contains("Content-Length: 3") && replaced.contains(DIGEST),
        "{replaced}"
    );
    assert_eq!(body(&replaced), "abc");

    let name = "Docker-Content-Digest".to_owned();
    let header = setup.get_with(Misbehaviour::ReplaceHeader {
        name,
        value: "sha256:0".to_owned(),
    });
    assert!(header.contains("Docker-Content-Digest: sha256:0\r\n"), "{header}");

    assert_eq!(body(&get(setup.front.host(), &setup.blob, "")).as_bytes(), BODY);
}

#[test]
fn a_fault_answers_the_first_requests_that_match() {
    let setup = Setup::new(FrontAuth::Registry);
    setup.front.inject(Fault::times(
        2,
        "GET",
        "/blobs/",
        Misbehaviour::answer(429, &[("Retry-After", "1")]),
    ));
    let answers: Vec<String> = (0..3).map(|_| get(setup.front.host(), &setup.blob, "")).collect();
    assert!(
        answers[..2]
            .iter()
            .all(|a| a.starts_with("HTTP/1.1 429") && a.contains("Retry-After: 1")),
        "{answers:?}"
    );
    assert!(answers[2].starts_with("HTTP/1.1 200"), "{answers:?}");
    let other = get(setup.front.host(), "/v2/", "");
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
}

#[test]
fn a_stalled_request_is_answered_late() {
    let setup = Setup::new(FrontAuth::Registry);
    let start = Instant::now();
    let answer = setup.get_with(Misbehaviour::Stall(Duration::from_millis(200)));
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(body(&answer).as_bytes(), BODY);
}

#[test]
fn a_cut_request_has_no_answer() {
    let setup = Setup::new(FrontAuth::Registry);
    setup
        .front
        .inject(Fault::times(1, "PUT", "", Misbehaviour::CutRequest { after: 4 }));
    let host = setup.front.host();
    let put =
        format!("PUT /v2/t/blobs/uploads/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\n0123456789");
    assert_eq!(exchange(host, &put), "");
    assert_eq!(setup.front.requests()[0].status, None);
    assert_eq!(setup.front.requests()[0].request_bytes, 4);
}

#[test]
fn bearer_tokens_wear_out() {
    let credential = Credential::new("user", "secret");
    let auth = FrontAuth::Bearer {
        credential: Some(credential.clone()),
        requests_per_token: 2,
    };
    let setup = Setup::new(auth);
    let host = setup.front.host();

    let challenge = get(host, &setup.blob, "");
    assert!(challenge.starts_with("HTTP/1.1 401"), "{challenge}");
    let expected =
        format!(r#"Bearer realm="http://{host}/token",service="testkit",scope="repository:t:pull""#);
    assert!(challenge.contains(&expected), "{challenge}");

    assert!(get(host, "/token?scope=repository:t:pull", "").starts_with("HTTP/1.1 401"));
    let basic = format!("Authorization: {}\r\n", credential.basic());
    let token = get(host, "/token?scope=repository:t:pull", &basic);
    assert!(token.contains(r#""token":"token-1""#), "{token}");

    let bearer = "Authorization: Bearer token-1\r\n";
    let statuses: Vec<String> = (0..3)
        .map(|_| get(host, &setup.blob, bearer)[9..12].to_owned())
        .collect();
    assert_eq!(statuses, ["200", "200", "401"]);
    assert_eq!(
        setup.front.requests().last().unwrap().authorization.as_deref(),
        Some("Bearer")
    );
    assert!(get(setup.registry.host(), &setup.blob, "").starts_with("HTTP/1.1 200"));
}

#[test]
fn the_test_base_survives_a_registry_with_a_password() {
    let credential = Credential::new("user", "secret");
    let registry = Registry::start_with_credential(&credential);
    let scratch = tempfile::tempdir().unwrap();
    let layout = Layout::create(scratch.path());
    let index = TestBase::FULL.write(&layout, "1.0");
    let front = Front::start(registry.host(), FrontAuth::Registry);
    upload_layout(
        layout.dir(),
        "1.0",
        front.host(),
        "lib/base",
        "1.0",
        Some(&credential),
    );

    let report = validate_registry(
        front.host(),
        "lib/base",
        "1.0",
        Some(&credential),
        Strictness::NoLayer,
    );
    assert_eq!(report.digest, index.digest);
    let refused = check_registry(front.host(), "lib/base", "1.0", None, Strictness::NoLayer).unwrap_err();
    assert!(refused[0].contains("401"), "{refused:?}");
    assert!(
        front
            .requests()
            .iter()
            .any(|request| request.method == "PUT" && request.path.ends_with("/manifests/1.0"))
    );
}
