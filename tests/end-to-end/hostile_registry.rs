//! Registries that misbehave: told apart by name, retried where that helps, never believed.

use onlay_testkit::{
    Credential, Fault, Front, FrontAuth, Misbehaviour, Registry, Strictness, TestBase, upload_layout,
    validate_registry,
};

use crate::onlay::{Home, Run, VAULT};

struct Case {
    home: Home,
    registry: Registry,
    front: Front,
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
            registry,
            front,
        }
    }

    fn apply(&self) -> Run {
        let base = format!("{}/base:1", self.front.host());
        let destination = format!("{}/out:v", self.front.host());
        let arguments: Vec<&str> = ["apply", &base]
            .into_iter()
            .chain(VAULT)
            .chain(["-t", &destination])
            .collect();
        self.home.run(&arguments)
    }

    /// The fault is too much: an error with these words, and no tag.
    #[track_caller]
    fn fails(&self, words: &[&str]) {
        let run = self.apply();
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        for word in words {
            assert!(run.stderr.contains(word), "`{word}` is not in:\n{}", run.stderr);
        }
        let tagged =
            onlay_testkit::check_registry(self.registry.host(), "out", "v", None, Strictness::NoLayer);
        assert!(tagged.is_err(), "the tag is there");
    }

    /// The fault passes, and the image is whole.
    #[track_caller]
    fn survives(&self) {
        self.apply().success();
        validate_registry(
            self.registry.host(),
            "out",
            "v",
            None,
            Strictness::LayersAbove(TestBase::LAYERS),
        );
    }
}

#[test]
fn a_blob_with_other_bytes() {
    let case = Case::new();
    case.front.inject(Fault::always(
        "GET",
        "/blobs/",
        Misbehaviour::CorruptByte { at: 20 },
    ));
    case.fails(&["expected sha256:", "found sha256:"]);
}

#[test]
fn a_truncated_blob() {
    // Every connection gives a little more: the transfer goes on where it stopped.
    let slow = Case::new();
    slow.front.inject(Fault::always(
        "GET",
        "/blobs/",
        Misbehaviour::CutBody { after: 400 },
    ));
    slow.survives();
    let never = Case::new();
    never.front.inject(Fault::always(
        "GET",
        "/blobs/",
        Misbehaviour::CutBody { after: 0 },
    ));
    never.fails(&["/blobs/sha256:", "the transfer stopped at 0 of"]);
}

#[test]
fn a_lying_content_length() {
    let case = Case::new();
    case.front.inject(Fault::always(
        "GET",
        "/blobs/",
        Misbehaviour::LieAboutLength { by: -1 },
    ));
    case.fails(&["bytes"]);
}

#[test]
fn a_manifest_over_four_megabytes() {
    let case = Case::new();
    let huge = vec![b' '; 4 * 1024 * 1024 + 1];
    case.front.inject(Fault::always(
        "GET",
        "/manifests/",
        Misbehaviour::ReplaceBody(huge),
    ));
    case.fails(&["4194304"]);
}

#[test]
fn a_manifest_that_is_not_what_its_digest_says() {
    let case = Case::new();
    case.front.inject(Fault::always(
        "GET",
        "/manifests/sha256:",
        Misbehaviour::ReplaceBody(b"{}".to_vec()),
    ));
    case.fails(&["sha256:"]);
}

#[test]
fn answers_that_ask_to_come_again() {
    let case = Case::new();
    case.front.inject(Fault::times(
        1,
        "GET",
        "/manifests/",
        Misbehaviour::answer(429, &[("Retry-After", "1")]),
    ));
    case.front.inject(Fault::times(
        1,
        "POST",
        "/blobs/uploads",
        Misbehaviour::answer(503, &[]),
    ));
    case.front.inject(Fault::times(
        1,
        "PUT",
        "/manifests/",
        Misbehaviour::answer(502, &[]),
    ));
    case.survives();
}

#[test]
fn an_upload_that_is_cut() {
    let case = Case::new();
    case.front.inject(Fault::times(
        1,
        "PUT",
        "/blobs/uploads",
        Misbehaviour::CutRequest { after: 10 },
    ));
    case.survives();
}

#[test]
fn a_base_that_is_not_there() {
    let case = Case::new();
    let missing = format!("{}/nosuch:1", case.front.host());
    let run = case.home.run(&["apply", &missing, "ENV A=1"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("nosuch:1") && run.stderr.contains("404") && run.stderr.contains("hint:"),
        "{}",
        run.stderr
    );
}

/// With a password, from docker's `config.json`; the password never shows.
#[test]
fn a_registry_with_a_password() {
    let home = Home::new();
    let credential = Credential::new("tester", "hunter2-secret");
    let registry = Registry::start_with_credential(&credential);
    let base = home.test_base(&TestBase::FULL);
    let destination = format!("{}/out:v", registry.host());

    let refused = home.run(&["apply", &base, "ENV A=1", "-t", &destination]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("401") && refused.stderr.contains("onlay login"),
        "{}",
        refused.stderr
    );

    let encoded = credential.basic().trim_start_matches("Basic ").to_owned();
    let config = serde_json::json!({ "auths": { registry.host(): { "auth": encoded } } });
    home.write(".docker/config.json", &config.to_string());
    let run = home.apply_vault(&base, &["-t", &destination]);
    assert!(!run.stderr.contains("hunter2") && !run.stdout.contains("hunter2"));
    let above = Strictness::LayersAbove(TestBase::LAYERS);
    validate_registry(registry.host(), "out", "v", Some(&credential), above);
}

/// Bearer tokens that die after a few requests are renewed, and no request is lost.
#[test]
fn tokens_that_die() {
    let home = Home::new();
    let registry = Registry::start();
    home.test_base(&TestBase::FULL);
    upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
    for requests_per_token in [1, 2, 3, 7] {
        let front = Front::start(
            registry.host(),
            FrontAuth::Bearer {
                credential: None,
                requests_per_token,
            },
        );
        let destination = format!("{}/out{requests_per_token}:v", front.host());
        home.apply_vault(&format!("{}/base:1", front.host()), &["-t", &destination]);
        let repository = format!("out{requests_per_token}");
        validate_registry(
            registry.host(),
            &repository,
            "v",
            None,
            Strictness::LayersAbove(TestBase::LAYERS),
        );
    }
}
