//! What is shown of registries that limit, and of waiting for them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use onlay_testkit::{
    Fault, Front, FrontAuth, Misbehaviour, Registry, Strictness, TestBase, upload_layout, validate_layout,
};

use crate::onlay::{Home, Run, VAULT};

/// A base in a registry with a front before it.
struct Case {
    home: Home,
    front: Front,
    _registry: Registry,
}

impl Case {
    fn new() -> Self {
        let home = Home::new();
        let registry = Registry::start();
        home.test_base(&TestBase::FULL);
        upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
        let front = Front::start(registry.host(), FrontAuth::Registry);
        Self {
            home,
            front,
            _registry: registry,
        }
    }

    fn inject(&self, method: &str, path: &str, misbehaviour: Misbehaviour) {
        self.front.inject(Fault::times(1, method, path, misbehaviour));
    }

    fn apply(&self, more: &[&str]) -> Run {
        let base = format!("{}/base:1", self.front.host());
        let arguments: Vec<&str> = ["apply", &base, "-t", "oci:out:v"]
            .into_iter()
            .chain(VAULT)
            .chain(more.iter().copied())
            .collect();
        self.home.run(&arguments)
    }
}

/// Docker Hub's words; source: aws.md §3.
const PULL_LIMIT: &str = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"}]}"#;

#[test]
fn the_limit_on_pulls_says_what_to_do() {
    let case = Case::new();
    let headers = [
        ("ratelimit-limit", "100;w=21600"),
        ("ratelimit-remaining", "0;w=21600"),
        ("docker-ratelimit-source", "192.0.2.1"),
    ];
    let limit = Misbehaviour::Answer {
        status: 429,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        body: PULL_LIMIT.as_bytes().to_vec(),
    };
    case.front.inject(Fault::always("GET", "/manifests/", limit));
    let run = case.apply(&[]);
    assert_eq!(run.code, Some(1));
    let expected = format!(
        "error: failed to read `{host}/base:1`\n  \
         caused by: {host}/v2/base/manifests/1: the limit on pulls is reached (0 of 100 pulls left in 6 hours, \
         counted for 192.0.2.1); more may be pulled within 6 hours\n\
         hint: log in, since an account may pull more, or read from a mirror with `--registry-mirror HOST=MIRROR`; \
         for Docker's own images `docker.io=public.ecr.aws/docker` is one\n",
        host = case.front.host()
    );
    assert_eq!(run.stderr, expected);
    assert_eq!(case.front.requests().len(), 1);
}

#[test]
fn what_is_left_of_a_limit_is_explained() {
    let case = Case::new();
    let left = || Misbehaviour::ReplaceHeader {
        name: "ratelimit-remaining".to_owned(),
        value: "76;w=21600".to_owned(),
    };
    case.inject("GET", "/manifests/1", left());
    let run = case.apply(&["--explain"]).success();
    let line = format!("{}: 76 pulls left in 6 hours", case.front.host());
    assert!(run.stderr.lines().any(|found| found == line), "{}", run.stderr);

    // The second time a HEAD will do.
    case.inject("HEAD", "/manifests/1", left());
    let run = case.apply(&["--explain", "--progress=json"]).success();
    let mut events = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let network = events.find(|event| event["event"] == "network").unwrap();
    let limit = serde_json::json!({
        "registry": case.front.host(),
        "limit": null,
        "remaining": 76,
        "windowSeconds": 21_600,
        "source": null,
    });
    assert_eq!(network["pullLimits"], serde_json::json!([limit]));
}

#[test]
fn a_wait_that_is_too_long_says_how_long() {
    let case = Case::new();
    let tomorrow = Misbehaviour::answer(503, &[("Retry-After", "86400")]);
    case.inject("GET", "/manifests/1", tomorrow);
    let run = case.apply(&[]);
    let expected = format!(
        "error: failed to read `{host}/base:1`\n  \
         caused by: GET {host}/v2/base/manifests/1: the registry asks to come back in 86400 seconds\n\
         hint: run it again then; what was sent stays there\n",
        host = case.front.host()
    );
    assert_eq!((run.code, run.stderr), (Some(1), expected));
}

/// Half of a body, and then nothing: the address of a server that does that to everybody.
fn stalling(body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let head = BufReader::new(connection.try_clone().unwrap()).lines();
            head.map_while(Result::ok).find(String::is_empty);
            let _ = write!(
                connection,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = connection.write_all(&body[..body.len() / 2]);
            kept.push(connection);
        }
    });
    host
}

#[test]
fn a_transfer_that_stands_still_is_taken_up_again_after_the_idle_timeout() {
    let case = Case::new();
    // The topmost layer, which is read for its listing.
    let layout = onlay_testkit::Layout::open(case.home.join("base"));
    let report = validate_layout(&case.home.join("base"), "1", Strictness::NoLayer);
    let digest = report.images[0].layers.last().unwrap().digest.clone();
    let layer = std::fs::read(layout.blob_path(&digest)).unwrap();
    let half = layer.len() as u64 / 2;
    let there = format!("http://{}/blob", stalling(layer.clone()));
    case.inject("GET", &digest, Misbehaviour::answer(307, &[("Location", &there)]));
    let start = Instant::now();
    case.apply(&["--idle-timeout", "1", "--platform", "linux/amd64"])
        .success();
    assert!(start.elapsed() > Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    let mut reads = case.front.requests();
    reads.retain(|request| request.path.contains(&digest));
    // The redirect, and what it did not bring; then the layer is read again to be copied.
    assert_eq!(reads[1].status, Some(206), "{reads:#?}");
    assert_eq!(reads[1].response_bytes, layer.len() as u64 - half);
    validate_layout(&case.home.join("out"), "v", Strictness::NoLayer);
}

#[test]
fn an_answer_that_does_not_come_says_what_to_try() {
    let case = Case::new();
    let stall = Misbehaviour::Stall(Duration::from_secs(3));
    case.front.inject(Fault::always("GET", "/manifests/1", stall));
    let run = case.apply(&["--answer-timeout", "1"]);
    let (again, error): (Vec<&str>, Vec<&str>) = run
        .stderr
        .split_inclusive('\n')
        .partition(|line| line.contains("trying again"));
    assert_eq!(again.len(), 5, "{}", run.stderr);
    let expected = format!(
        "error: failed to read `{host}/base:1`\n  \
         caused by: GET {host}/v2/base/manifests/1: no answer within 1 seconds, 6 times\n\
         hint: if the registry is only slow, wait longer with `--answer-timeout` or `--idle-timeout`\n",
        host = case.front.host()
    );
    assert_eq!((run.code, error.concat()), (Some(1), expected));
}
