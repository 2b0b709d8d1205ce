//! Each manner of Docker Hub's front, driven by curl.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod curl;

use curl::Answer;
use onlay_testkit::{Credential, HubFront, HubManners, Layout, TestBase, upload_layout};
use serde_json::Value;
use std::time::Duration;

const REPOSITORY: &str = "library/base";

/// A front with the test base in it.
fn front(manners: HubManners) -> HubFront {
    let front = HubFront::start(manners);
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path().join("base"));
    TestBase::FULL.write(&layout, "1");
    upload_layout(layout.dir(), "1", front.behind(), REPOSITORY, "1", None);
    front
}

fn token(front: &HubFront, scope: &str, more: &[&str]) -> String {
    let url = format!(
        "http://{}/token?service=registry.docker.io&scope={scope}",
        front.tokens_host()
    );
    let answer = curl::run(&url, more);
    answer.says(200, "token");
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    answer["token"].as_str().unwrap().to_owned()
}

fn ask(front: &HubFront, method: &str, path: &str, token: &str) -> Answer {
    let url = format!("http://{}/v2/{REPOSITORY}/{path}", front.host());
    let header = format!("Authorization: Bearer {token}");
    let accept = "Accept: application/vnd.oci.image.index.v1+json";
    curl::run(&url, &["-X", method, "-H", &header, "-H", accept])
}

#[test]
fn tokens_are_from_another_host_for_a_scope_and_a_while() {
    let login = Credential::new("tester", "hunter2");
    let front = front(HubManners {
        login: Some(login),
        ..HubManners::default()
    });
    let url = format!("http://{}/v2/{REPOSITORY}/manifests/1", front.host());
    let refused = curl::run(&url, &[]);
    refused.says(401, "UNAUTHORIZED");
    let expected = format!(
        r#"Bearer realm="http://{}/token",service="registry.docker.io",scope="repository:{REPOSITORY}:pull""#,
        front.tokens_host()
    );
    assert_eq!(refused.header("WWW-Authenticate"), Some(expected.as_str()));

    let pull = token(&front, "repository:library/base:pull,push", &[]);
    ask(&front, "GET", "manifests/1", &pull).says(200, "manifests");
    // Nobody who is not logged in may push, whatever the token was asked for.
    ask(&front, "POST", "blobs/uploads/", &pull).says(401, "");
    let push = token(
        &front,
        "repository:library/base:pull,push",
        &["-u", "tester:hunter2"],
    );
    ask(&front, "POST", "blobs/uploads/", &push).says(202, "");
    let other = token(&front, "repository:library/other:pull", &[]);
    ask(&front, "GET", "manifests/1", &other).says(401, "");
    let url = format!("http://{}/token?service=registry.docker.io", front.tokens_host());
    curl::run(&url, &["-u", "tester:wrong"]).says(401, "incorrect");

    front.expire_tokens();
    let expired = ask(&front, "GET", "manifests/1", &pull);
    expired.says(401, "");
    assert!(
        expired
            .header("WWW-Authenticate")
            .unwrap()
            .contains("invalid_token")
    );
}

#[test]
fn tokens_die_of_age() {
    let front = front(HubManners {
        token_life: Duration::ZERO,
        ..HubManners::default()
    });
    let pull = token(&front, "repository:library/base:pull", &[]);
    ask(&front, "GET", "manifests/1", &pull).says(401, "");
}

#[test]
fn pulls_are_counted_by_get_and_told_by_head() {
    let front = front(HubManners {
        pulls: Some(2),
        ..HubManners::default()
    });
    let pull = token(&front, "repository:library/base:pull", &[]);
    for (method, left) in [
        ("HEAD", "2;w=21600"),
        ("GET", "1;w=21600"),
        ("GET", "0;w=21600"),
        ("HEAD", "0;w=21600"),
    ] {
        let answer = ask(&front, method, "manifests/1", &pull);
        answer.says(200, "");
        assert_eq!(answer.header("ratelimit-limit"), Some("2;w=21600"));
        assert_eq!(answer.header("ratelimit-remaining"), Some(left));
        assert_eq!(answer.header("docker-ratelimit-source"), Some("192.0.2.1"));
    }
    let refused = ask(&front, "GET", "manifests/1", &pull);
    refused.says(429, "You have reached your unauthenticated pull rate limit");
    assert_eq!(refused.header("ratelimit-remaining"), Some("0;w=21600"));
    // Tags and blobs are free.
    ask(&front, "GET", "tags/list", &pull).says(200, "tags");
    assert_eq!(front.pulls_left(), Some(0));

    let front = HubFront::start(HubManners {
        pulls: None,
        ..HubManners::default()
    });
    let pull = token(&front, "repository:library/base:pull", &[]);
    let answer = ask(&front, "GET", "manifests/1", &pull);
    assert_eq!((answer.status, answer.header("ratelimit-limit")), (404, None));
}

#[test]
fn too_many_requests_altogether_are_refused_without_json() {
    let front = front(HubManners::default());
    let pull = token(&front, "repository:library/base:pull", &[]);
    front.storm(2);
    assert_eq!(ask(&front, "HEAD", "manifests/1", &pull).status, 429);
    let refused = ask(&front, "GET", "tags/list", &pull);
    refused.says(429, "");
    assert_eq!(refused.body, "429 Too Many Requests");
    assert_eq!(refused.header("ratelimit-limit"), None);
    ask(&front, "GET", "tags/list", &pull).says(200, "tags");
    assert_eq!(front.pulls_left(), Some(100));
}

#[test]
fn blobs_are_read_from_another_host_without_a_token() {
    let front = front(HubManners::default());
    let pull = token(&front, "repository:library/base:pull", &[]);
    let index: Value = serde_json::from_str(&ask(&front, "GET", "manifests/1", &pull).body).unwrap();
    let image = index["manifests"][0]["digest"].as_str().unwrap();
    let url = format!("http://{}/v2/{REPOSITORY}/manifests/{image}", front.host());
    let bearer = format!("Authorization: Bearer {pull}");
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
    let manifest: Value =
        serde_json::from_str(&curl::run(&url, &["-H", &bearer, "-H", accept]).body).unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap();

    let redirect = ask(&front, "GET", &format!("blobs/{config}"), &pull);
    redirect.says(307, "");
    let place = redirect.header("Location").unwrap();
    assert!(place.contains(front.blobs_host()), "{place}");
    curl::run(place, &[]).says(200, "rootfs");
    curl::run(place, &["-H", &bearer]).says(400, "Only one auth mechanism allowed");
}
