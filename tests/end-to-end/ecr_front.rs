//! Amazon ECR as it is, by the front that plays its manners: what a push does there, counted in the front's logs.

use std::collections::BTreeMap;

use onlay_testkit::entry::dir;
use onlay_testkit::{
    EcrAccount, EcrFront, EcrRepository, Image, Layer, Layout, LoggedRequest, Platform, Strictness, TestBase,
    validate_registry,
};

use crate::copy::{Described, artifact, list};
use crate::ecr::HOST;
use crate::onlay::{Home, Run, VAULT};

/// An account of ECR, and somebody with credentials for it.
struct Case {
    front: EcrFront,
    home: Home,
    endpoint: String,
}

impl Case {
    fn new(account: EcrAccount, repositories: &[&str]) -> Self {
        let front = EcrFront::start(account);
        for name in repositories {
            front.create(name, EcrRepository::default());
        }
        let home = Home::new()
            .with_variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .with_variable("AWS_SECRET_ACCESS_KEY", "secret-of-aws")
            .with_variable("AWS_ENDPOINT_URL_ECR", &front.api_url());
        let endpoint = format!("{HOST}=http://{}/", front.host());
        Self {
            front,
            home,
            endpoint,
        }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.home
            .run(&[arguments, &["--registry-endpoint", &self.endpoint]].concat())
    }

    fn apply(&self, base: &str, lines: &[&str], more: &[&str]) -> Run {
        self.run(&[&["apply", base], lines, more].concat())
    }

    /// A small base in a layout.
    fn base(&self) -> String {
        let layout = Layout::create(self.home.join("small"));
        let image = small(Platform::amd64(), "usr");
        layout.tag(&layout.write_image(&image), "1");
        format!("oci:{}:1", layout.dir().display())
    }

    fn count(&self, method: &str, path: &str) -> usize {
        let requests = self.front.requests();
        let found = requests.iter().filter(|request| is(request, method, path));
        found.count()
    }
}

fn small(platform: Platform, directory: &str) -> Image {
    Image::new(platform).layer(Layer::new(&[dir("etc"), dir(directory)]))
}

fn is(request: &LoggedRequest, method: &str, path: &str) -> bool {
    request.method == method && request.path.contains(path)
}

fn in_ecr(name: &str) -> String {
    format!("{HOST}/{name}")
}

#[test]
fn a_missing_repository_is_named_and_made_on_request() {
    let case = Case::new(EcrAccount::default(), &[]);
    let (base, vault) = (case.base(), in_ecr("team/vault:1"));
    let run = case.apply(&base, &VAULT, &["-t", &vault]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("team/vault"), "{}", run.stderr);
    assert!(run.stderr.contains("--ecr-create-repository"), "{}", run.stderr);
    assert_eq!(case.count("PATCH", "") + case.count("PUT", ""), 0);
    assert!(case.front.repositories().is_empty());

    let run = case
        .apply(&base, &VAULT, &["-t", &vault, "--ecr-create-repository"])
        .success();
    assert_eq!(case.front.tagged("team/vault", "1"), Some(run.digest()));
    validate_registry(case.front.behind(), "team/vault", "1", None, Strictness::NoLayer);
}

#[test]
fn an_account_that_makes_repositories_on_push_is_let_do_so() {
    let account = EcrAccount {
        create_on_push: true,
        ..EcrAccount::default()
    };
    let case = Case::new(account, &[]);
    let run = case
        .apply(&case.base(), &VAULT, &["-t", &in_ecr("team/vault:1")])
        .success();
    assert_eq!(case.front.tagged("team/vault", "1"), Some(run.digest()));
    assert!(!case.front.actions().contains(&"CreateRepository".to_owned()));
}

#[test]
fn a_push_survives_the_end_of_its_password_at_every_request() {
    let case = Case::new(EcrAccount::default(), &[]);
    let base = case.base();
    for nth in 1.. {
        let name = format!("team/vault-{nth}");
        case.front.create(&name, EcrRepository::default());
        case.front.front().kill_credentials_at(nth);
        let run = case.apply(&base, &VAULT, &["-t", &in_ecr(&name)]).success();
        assert_eq!(case.front.tagged(&name, "latest"), Some(run.digest()));
        if case.front.front().is_to_kill() {
            assert!(nth > 8, "only {nth} requests");
            return;
        }
    }
}

#[test]
fn no_upload_has_a_second_patch_and_blobs_come_from_the_other_host() {
    let case = Case::new(EcrAccount::default(), &["base", "team/vault"]);
    let base = case.home.test_base(&TestBase::FULL);
    case.run(&["copy", &base, &in_ecr("base:1")]).success();
    case.front.clear_requests();

    case.apply(&in_ecr("base:1"), &VAULT, &["-t", &in_ecr("team/vault:1")])
        .success();
    let mut patches: BTreeMap<String, usize> = BTreeMap::new();
    for request in case.front.requests() {
        if request.method == "PATCH" {
            let upload = request.path.split('?').next().unwrap().to_owned();
            *patches.entry(upload).or_default() += 1;
        }
    }
    assert!(patches.values().all(|&count| count == 1), "{patches:?}");
    let blobs = case.front.blob_requests();
    assert!(!blobs.is_empty());
    assert!(
        blobs.iter().all(|request| request.authorization.is_none()),
        "{blobs:#?}"
    );
    assert!(
        blobs.iter().all(|request| request.status == Some(200)),
        "{blobs:#?}"
    );
    let above = Strictness::LayersAbove(TestBase::LAYERS);
    validate_registry(case.front.behind(), "team/vault", "1", None, above);
}

#[test]
fn a_tag_that_stays_is_a_success_with_the_same_image_only() {
    let case = Case::new(EcrAccount::default(), &[]);
    case.front
        .create("team/vault", EcrRepository::immutable(&["latest"]));
    let base = case.base();
    let (fixed, latest) = (in_ecr("team/vault:1"), in_ecr("team/vault:latest"));
    let push = |lines: &[&str]| case.apply(&base, lines, &["-t", &fixed, "-t", &latest]);
    let first = push(&["LABEL a=1"]).success();
    push(&["LABEL a=1"]).success();
    let second = push(&["LABEL a=2"]);
    assert_eq!(second.code, Some(1));
    let existing = case.front.tagged("team/vault", "1").unwrap();
    assert!(second.stderr.contains(&existing), "{}", second.stderr);
    let other = second.stdout.lines().next().unwrap_or_default().to_owned() + &second.stderr;
    assert!(other.matches("sha256:").count() >= 2, "{other}");
    assert!(first.digests().contains(&existing));
}

#[test]
fn what_is_there_already_is_not_sent_again() {
    let case = Case::new(EcrAccount::default(), &["team/vault"]);
    let (base, vault) = (case.base(), in_ecr("team/vault:1"));
    let first = case.apply(&base, &VAULT, &["-t", &vault]).success();
    case.front.clear_requests();
    let again = case.apply(&base, &VAULT, &["-t", &vault]).success();
    assert_eq!(again.digests(), first.digests());
    let mut requests = case.front.requests();
    // The registry says first what it wants to see.
    requests.retain(|request| request.status != Some(401));
    let methods: Vec<&str> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["HEAD"], "{requests:#?}");
}

/// A layout with an image, and an artifact of OCI 1.1 that refers to it.
fn signed(home: &Home) -> String {
    const SBOM: &str = "application/vnd.example.sbom";
    let layout = Layout::create(home.join("signed"));
    let image = layout.write_image(&small(Platform::amd64(), "usr"));
    layout.tag(&image, "1");
    let image = Described {
        media_type: image.media_type,
        digest: image.digest,
        size: image.size,
    };
    let sbom = artifact(&layout, Some(&image), SBOM, "{}");
    list(&layout, &image, &[(&sbom, SBOM)]);
    format!("oci:{}:1", layout.dir().display())
}

#[test]
fn artifacts_that_ecr_refuses_stop_a_copy_or_are_left_out_by_name() {
    let case = Case::new(EcrAccount::default(), &["team/vault"]);
    let (source, destination) = (signed(&case.home), in_ecr("team/vault:1"));
    let run = case.run(&["copy", &source, &destination]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("405"), "{}", run.stderr);
    assert!(run.stderr.contains("--on-refused=skip"), "{}", run.stderr);
    assert_eq!(case.front.tagged("team/vault", "1"), None);

    let run = case
        .run(&["copy", &source, &destination, "--on-refused=skip"])
        .success();
    assert!(run.stderr.contains("left out"), "{}", run.stderr);
    assert_eq!(case.front.tagged("team/vault", "1"), Some(run.digest()));
}

#[test]
fn layers_of_the_base_are_mounted_where_the_account_has_it() {
    for blob_mounting in [true, false] {
        let account = EcrAccount {
            blob_mounting,
            ..EcrAccount::default()
        };
        let case = Case::new(account, &["base", "team/vault"]);
        let base = case.base();
        case.run(&["copy", &base, &in_ecr("base:1")]).success();
        case.front.clear_requests();
        let run = case
            .apply(&in_ecr("base:1"), &VAULT, &["-t", &in_ecr("team/vault:1")])
            .success();
        let mounted = if blob_mounting { "1 mounted" } else { "0 mounted" };
        assert!(run.stderr.contains(mounted), "{}", run.stderr);
        // A mount that is answered with 202 is an upload that has begun: nobody begins another.
        let begun = case.count("POST", "/team/vault/blobs/uploads/");
        let finished = case.count("PUT", "/team/vault/blobs/uploads/");
        assert_eq!(begun, finished + usize::from(blob_mounting));
        validate_registry(case.front.behind(), "team/vault", "1", None, Strictness::NoLayer);
    }
}

#[test]
fn sixty_manifests_are_paced_below_the_quota() {
    let account = EcrAccount {
        quotas: vec![("PutImage", 10)],
        ..EcrAccount::default()
    };
    let case = Case::new(account, &["team/many"]);
    let layout = Layout::create(case.home.join("many"));
    let images: Vec<Image> = (0..59)
        .map(|number| {
            small(
                Platform::new("linux", "amd64", Some(&format!("v{number}"))),
                &format!("usr-{number}"),
            )
        })
        .collect();
    layout.tag(&layout.write_index(&images), "1");
    let source = format!("oci:{}:1", layout.dir().display());
    let run = case.run(&["copy", &source, &in_ecr("team/many:1")]).success();
    assert_eq!(case.front.tagged("team/many", "1"), Some(run.digest()));
    assert_eq!(case.count("PUT", "/manifests/"), 60);
    let refused = case.front.requests();
    let refused = refused.iter().filter(|request| request.status == Some(429));
    assert_eq!(refused.count(), 0);
}

#[test]
fn an_action_that_is_throttled_slows_only_what_needs_it() {
    let account = EcrAccount {
        quotas: vec![("BatchCheckLayerAvailability", 1), ("InitiateLayerUpload", 3)],
        ..EcrAccount::default()
    };
    let case = Case::new(account, &["team/vault"]);
    let base = case.home.test_base(&TestBase::FULL);
    let run = case
        .apply(&base, &VAULT, &["-t", &in_ecr("team/vault:1")])
        .success();
    assert_eq!(case.front.tagged("team/vault", "1"), Some(run.digest()));
    let above = Strictness::LayersAbove(TestBase::LAYERS);
    validate_registry(case.front.behind(), "team/vault", "1", None, above);
    // The blobs of the base were asked for in one batch for each of its platforms, not one by one.
    let asked = case.front.actions();
    let batches = asked
        .iter()
        .filter(|action| *action == "BatchCheckLayerAvailability");
    assert!(batches.count() <= 8, "{asked:?}");
    assert_eq!(case.count("HEAD", "/blobs/"), 0);
}

#[test]
fn tags_beyond_one_page_are_listed() {
    let case = Case::new(EcrAccount::default(), &["team/vault"]);
    let tags: Vec<String> = (1000..2200).map(|number| number.to_string()).collect();
    for tag in &tags {
        case.front.tag("team/vault", tag, &format!("sha256:{tag:0>64}"));
    }
    let run = case.run(&["tags", &in_ecr("team/vault")]).success();
    let listed: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(listed, tags);
    let mut pages = case.front.requests();
    pages.retain(|request| is(request, "GET", "/tags/list") && request.status == Some(200));
    assert_eq!(pages.len(), 2, "{:#?}", case.front.requests());
}
