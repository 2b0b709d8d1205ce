//! Docker Hub as it is, by the front that plays its manners: pulls are what has to be saved there.

use std::time::Duration;

use onlay_testkit::{
    Fault, HubFront, HubManners, Layout, LoggedRequest, Misbehaviour, Registry, Strictness, TestBase,
    upload_layout, validate_layout, validate_registry,
};

use crate::onlay::{Home, Run, VAULT};

/// Docker Hub with `library/base:1`, the test base of two platforms.
struct Case {
    front: HubFront,
    home: Home,
    endpoint: String,
}

impl Case {
    fn new(manners: HubManners) -> Self {
        let front = HubFront::start(manners);
        let home = Home::new();
        home.test_base(&TestBase::FULL);
        upload_layout(&home.join("base"), "1", front.behind(), "library/base", "1", None);
        let endpoint = format!("docker.io=http://{}/", front.host());
        Self {
            front,
            home,
            endpoint,
        }
    }

    fn with_pulls(pulls: u32) -> Self {
        Self::new(HubManners {
            pulls: Some(pulls),
            ..HubManners::default()
        })
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.home
            .run(&[arguments, &["--registry-endpoint", &self.endpoint]].concat())
    }

    fn apply(&self, more: &[&str]) -> Run {
        self.run(&[&["apply", "base:1", "-t", "oci:out:v"], &VAULT[..], more].concat())
    }

    /// The requests to the registry that were not about tokens.
    fn requests(&self) -> Vec<LoggedRequest> {
        let mut requests = self.front.requests();
        requests.retain(|request| request.status != Some(401));
        requests
    }
}

#[test]
fn an_image_costs_its_manifests_once_and_then_nothing() {
    let case = Case::with_pulls(100);
    let first = case.apply(&["--explain"]).success();
    // The index, and a manifest for each platform.
    assert_eq!(case.front.pulls_left(), Some(97));
    assert!(
        first.stderr.contains("docker.io: 97 of 100 pulls left"),
        "{}",
        first.stderr
    );
    let above = Strictness::LayersAbove(TestBase::LAYERS);
    validate_layout(&case.home.join("out"), "v", above);

    case.front.clear_requests();
    let second = case.apply(&[]).success();
    assert_eq!(second.digests(), first.digests());
    assert_eq!(case.front.pulls_left(), Some(97));
    let methods: Vec<String> = case
        .requests()
        .into_iter()
        .map(|request| request.method)
        .collect();
    assert_eq!(methods, ["HEAD"]);
}

#[test]
fn one_platform_costs_two_pulls() {
    let case = Case::with_pulls(100);
    case.apply(&["--platform", "linux/amd64"]).success();
    assert_eq!(case.front.pulls_left(), Some(98));
}

#[test]
fn only_the_registry_sees_a_token_and_nobody_asks_for_more_than_one() {
    let case = Case::with_pulls(100);
    case.apply(&[]).success();
    let blobs = case.front.blob_requests();
    assert!(blobs.len() >= TestBase::LAYERS, "{blobs:#?}");
    assert!(
        blobs.iter().all(|request| request.authorization.is_none()),
        "{blobs:#?}"
    );
    assert!(
        blobs.iter().all(|request| request.status == Some(200)),
        "{blobs:#?}"
    );
    assert_eq!(case.front.token_requests().len(), 1);
}

#[test]
fn a_used_up_limit_is_an_error_and_costs_no_second_request() {
    let case = Case::with_pulls(0);
    let run = case.apply(&[]);
    assert_eq!(run.code, Some(1));
    for words in [
        "the limit on pulls is reached (0 of 100 pulls left",
        "192.0.2.1",
        "hint: log in",
    ] {
        let words = words.replace("of 100", "of 0");
        assert!(run.stderr.contains(&words), "{words}: {}", run.stderr);
    }
    let refused = case.requests();
    let refused = refused.iter().filter(|request| request.status == Some(429));
    assert_eq!(refused.count(), 1);
}

#[test]
fn a_limit_that_is_reached_on_the_way_stops_before_anything_is_published() {
    let case = Case::with_pulls(2);
    let run = case.apply(&[]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("the limit on pulls is reached"),
        "{}",
        run.stderr
    );
    assert!(!case.home.join("out").exists());
}

#[test]
fn too_many_requests_altogether_are_waited_out() {
    let case = Case::with_pulls(100);
    case.front.storm(3);
    let run = case.apply(&[]).success();
    assert!(run.stderr.contains("trying again"), "{}", run.stderr);
    assert!(!run.stderr.contains("the limit on pulls"), "{}", run.stderr);
    let refused = case.requests();
    let refused = refused.iter().filter(|request| request.status == Some(429));
    assert_eq!(refused.count(), 3);
    assert_eq!(case.front.pulls_left(), Some(97));
}

#[test]
fn tokens_that_age_during_a_run_are_renewed() {
    let case = Case::new(HubManners {
        token_life: Duration::from_secs(1),
        ..HubManners::default()
    });
    let stall = Misbehaviour::Stall(Duration::from_millis(1500));
    case.front
        .front()
        .inject(Fault::times(2, "GET", "/manifests/sha256:", stall));
    case.apply(&[]).success();
    assert!(case.front.token_requests().len() > 1);
    assert_eq!(case.front.pulls_left(), Some(97));
}

#[test]
fn a_mirror_that_agrees_saves_all_pulls_and_one_that_does_not_is_passed_over() {
    let case = Case::with_pulls(100);
    let mirror = Registry::start();
    upload_layout(
        &case.home.join("base"),
        "1",
        mirror.host(),
        "hub/library/base",
        "1",
        None,
    );
    let mirrored = format!("docker.io={}/hub", mirror.host());
    let fresh = case
        .apply(&["--registry-mirror", &mirrored, "--cache-dir", "fresh"])
        .success();
    assert_eq!(case.front.pulls_left(), Some(100));
    let asked = case.requests();
    assert!(asked.iter().all(|request| request.method == "HEAD"), "{asked:#?}");

    // Somebody else's image under the same name.
    let other = TestBase {
        attestations: false,
        zstd: false,
        ..TestBase::FULL
    };
    let layout = Layout::create(case.home.join("other"));
    other.write(&layout, "1");
    let liar = Registry::start();
    upload_layout(layout.dir(), "1", liar.host(), "hub/library/base", "1", None);
    let mirrored = format!("docker.io={}/hub", liar.host());
    let run = case
        .apply(&["--registry-mirror", &mirrored, "--cache-dir", "other-cache"])
        .success();
    assert_eq!(run.digests(), fresh.digests());
    assert_eq!(case.front.pulls_left(), Some(97));
}

#[test]
fn a_copy_reads_each_manifest_once() {
    let case = Case::with_pulls(100);
    let registry = Registry::start();
    let destination = format!("{}/mirror/base:1", registry.host());
    case.run(&["copy", "base:1", &destination]).success();
    let mut read: Vec<String> = case
        .requests()
        .into_iter()
        .filter(|request| request.method == "GET" && request.path.contains("/manifests/"))
        .map(|request| request.path)
        .collect();
    let pulls = read.len() as u32;
    assert_eq!(
        case.front.pulls_left(),
        Some(100 - pulls),
        "{:#?}",
        case.front.requests()
    );
    read.sort();
    read.dedup();
    assert_eq!(read.len() as u32, pulls, "{read:#?}");
    validate_registry(
        registry.host(),
        "mirror/base",
        "1",
        None,
        Strictness::LayersAbove(TestBase::LAYERS),
    );
    case.run(&["copy", "base:1", &destination, "--no-referrers"])
        .success();
    assert_eq!(case.front.pulls_left(), Some(100 - pulls));
}
