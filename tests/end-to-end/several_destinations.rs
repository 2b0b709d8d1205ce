//! One image at several destinations at once, and the plan of it.

use std::time::Duration;

use onlay_testkit::{
    Fault, Front, FrontAuth, Misbehaviour, Registry, Strictness, TestBase, upload_layout, validate_layout,
    validate_registry,
};

use crate::onlay::{Home, VAULT};

const ABOVE_BASE: Strictness = Strictness::LayersAbove(TestBase::LAYERS);

/// A base in a registry with a front before it, and two registries to publish at, with fronts of their own.
struct Case {
    home: Home,
    source: Front,
    first: Front,
    second: Front,
    _registries: [Registry; 3],
}

impl Case {
    fn new() -> Self {
        let home = Home::new();
        let registries = [Registry::start(), Registry::start(), Registry::start()];
        home.test_base(&TestBase::FULL);
        upload_layout(&home.join("base"), "1", registries[0].host(), "base", "1", None);
        let front = |registry: &Registry| Front::start(registry.host(), FrontAuth::Registry);
        Self {
            home,
            source: front(&registries[0]),
            first: front(&registries[1]),
            second: front(&registries[2]),
            _registries: registries,
        }
    }

    fn base(&self) -> String {
        format!("{}/base:1", self.source.host())
    }

    fn destinations(&self) -> [String; 2] {
        [&self.first, &self.second].map(|front| format!("{}/out:v", front.host()))
    }
}

fn count(front: &Front, method: &str, path: &str) -> usize {
    let requests = front.requests();
    let matching = requests
        .iter()
        .filter(|request| request.method == method && request.path.contains(path));
    matching.count()
}

#[test]
fn each_blob_is_read_once_for_all_destinations() {
    let case = Case::new();
    let [first, second] = case.destinations();
    let more = ["-t", &first, "-t", &second, "-t", "oci:out:v"];
    let run = case.home.apply_vault(&case.base(), &more);
    let digests = run.digests();
    assert_eq!(digests.len(), 3);
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    for front in [&case.first, &case.second] {
        validate_registry(front.host(), "out", "v", None, ABOVE_BASE);
    }
    validate_layout(&case.home.join("out"), "v", ABOVE_BASE);

    // A run whose listings are known reads layers for copying only.
    case.source.clear_requests();
    let arguments = ["-t", "oci:again:a", "-t", "oci:other:b"];
    case.home.apply_vault(&case.base(), &arguments);
    let requests = case.source.requests();
    let mut read: Vec<&str> = requests
        .iter()
        .filter(|request| request.method == "GET" && request.path.contains("/blobs/"))
        .map(|request| request.path.as_str())
        .collect();
    let all = read.len();
    read.sort_unstable();
    read.dedup();
    assert!(all >= TestBase::LAYERS, "{read:?}");
    assert_eq!(all, read.len(), "no blob is read twice");
}

#[test]
fn two_tags_of_one_repository_are_sent_everything_once() {
    let case = Case::new();
    let tags = ["1", "2"].map(|tag| format!("{}/out:{tag}", case.first.host()));
    let run = case
        .home
        .apply_vault(&case.base(), &["-t", &tags[0], "-t", &tags[1]]);
    let digests = run.digests();
    assert_eq!(digests[0], digests[1]);
    for tag in ["1", "2"] {
        validate_registry(case.first.host(), "out", tag, None, ABOVE_BASE);
    }
    let mut sent: Vec<String> = case
        .first
        .requests()
        .into_iter()
        .filter(|request| request.method == "PUT")
        .map(|request| match request.path.split_once("digest=") {
            Some((_, digest)) => digest.to_owned(),
            None => request.path,
        })
        .collect();
    let all = sent.len();
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), all, "{sent:#?}");
}

#[test]
fn the_slowest_does_not_hold_the_others() {
    let case = Case::new();
    let stall = Misbehaviour::Stall(Duration::from_secs(10));
    case.first
        .inject(Fault::times(1, "POST", "/blobs/uploads/", stall));
    let [slow, fast] = case.destinations();
    let run = case.home.apply_vault(&case.base(), &["-t", &slow, "-t", &fast]);
    let told = |name: &str| run.stderr.find(&format!("{name}: ")).expect("it is told");
    assert!(told(&fast) < told(&slow), "{}", run.stderr);
    assert!(
        run.stdout.starts_with(&slow),
        "in the order of -t: {}",
        run.stdout
    );
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let case = Case::new();
    let refusal = Misbehaviour::answer(403, &[]);
    case.first.inject(Fault::always("PUT", "/manifests/", refusal));
    let [broken, whole] = case.destinations();
    let base = case.base();
    let arguments: Vec<&str> = ["apply", &base]
        .into_iter()
        .chain(VAULT)
        .chain(["-t", &broken, "-t", &whole])
        .collect();
    let run = case.home.run(&arguments);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stdout.starts_with(&format!("{whole}@sha256:")),
        "{}",
        run.stdout
    );
    assert_eq!(run.stdout.lines().count(), 1);
    assert!(
        run.stderr.contains(&format!("failed to push `{broken}`")),
        "{}",
        run.stderr
    );
    validate_registry(case.second.host(), "out", "v", None, ABOVE_BASE);
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let case = Case::new();
    let [first, _] = case.destinations();
    let sibling = format!("{}/out:v", case.source.host());
    let run = case.home.apply_vault(
        &case.base(),
        &["-t", &first, "-t", &sibling, "-t", "oci:out:v", "--dry-run"],
    );
    for front in [&case.source, &case.first] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            assert_eq!(count(front, method, ""), 0, "{method}");
        }
    }
    assert!(!case.home.join("out").exists());
    let lines = |word: &str| run.stdout.lines().filter(|line| line.contains(word)).count();
    assert_eq!(lines("bytes to send"), 3, "{}", run.stdout);
    assert!(lines("mount   sha256:") >= TestBase::LAYERS, "{}", run.stdout);
    assert!(lines("bytes from base") >= TestBase::LAYERS, "{}", run.stdout);
    assert!(
        lines(&format!("from {}/base", case.source.host())) >= 2 * TestBase::LAYERS,
        "{}",
        run.stdout
    );

    case.home.apply_vault(&case.base(), &["-t", &first]);
    let again = case
        .home
        .apply_vault(&case.base(), &["-t", &first, "--dry-run", "--format", "json"]);
    let plans: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(plans["plans"][0]["unchanged"], true);
    assert_eq!(plans["plans"][0]["bytes"], 0);
}

/// Bytes that do not compress, so that a layer of them is as large as they are.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}

/// A build whose one large layer goes to two registries; `arguments` come on top.
fn build_large(case: &Case, destinations: &[&str]) -> crate::onlay::Run {
    std::fs::create_dir_all(case.home.join("context")).unwrap();
    std::fs::write(case.home.join("context/large"), noise(20 << 20)).unwrap();
    case.home.write(
        "context/Dockerfile",
        "FROM scratch AS unused\nCOPY large /other\nFROM scratch\nCOPY --from=unused /other /large\nENV A=1\n",
    );
    let mut arguments = vec!["build", "context"];
    for destination in destinations {
        arguments.extend(["-t", destination]);
    }
    case.home.run(&arguments)
}

#[test]
fn a_large_layer_is_sent_while_it_is_made() {
    let case = Case::new();
    let [first, second] = case.destinations();
    build_large(&case, &[&first, &second, "oci:out:v"]).success();
    for front in [&case.first, &case.second] {
        let requests = front.requests();
        let place = |method: &str, path: &str| {
            let found = requests
                .iter()
                .position(|request| request.method == method && request.path.contains(path));
            found.unwrap_or_else(|| panic!("{method} {path}: {requests:?}"))
        };
        // The tag is looked at when the image is finished.
        assert!(place("PATCH", "/uploads/") < place("HEAD", "/manifests/v"));
        assert_eq!(
            count(front, "PATCH", ""),
            1,
            "the layer of the other stage stays here"
        );
        assert_eq!(
            count(front, "POST", "/uploads/"),
            2,
            "the layer and the configuration"
        );
        assert!(requests[place("PATCH", "/uploads/")].request_bytes > 20 << 20);
        validate_registry(front.host(), "out", "v", None, Strictness::AllLayers);
    }
    validate_layout(&case.home.join("out"), "v", Strictness::AllLayers);
}

#[test]
fn a_large_layer_that_is_cut_is_not_made_again() {
    let case = Case::new();
    let [first, second] = case.destinations();
    case.first.inject(Fault::times(
        1,
        "PATCH",
        "/uploads/",
        Misbehaviour::CutRequest { after: 9 << 20 },
    ));
    case.second.inject(Fault::times(
        1,
        "PATCH",
        "/uploads/",
        Misbehaviour::answer(411, &[]),
    ));
    build_large(&case, &[&first, &second]).success();
    for front in [&case.first, &case.second] {
        validate_registry(front.host(), "out", "v", None, Strictness::AllLayers);
    }
}

#[test]
fn a_tag_that_may_not_move_is_told_with_both_digests() {
    let case = Case::new();
    let [first, _] = case.destinations();
    let taken = case
        .home
        .run(&["apply", &case.base(), "ENV A=1", "-t", &first])
        .success();
    let sentence = "The image tag 'v' already exists in the 'out' repository and cannot be overwritten because the \
        tag is immutable.";
    let body = serde_json::json!({ "errors": [{ "code": "TAG_INVALID", "message": sentence }] });
    let refusal = Misbehaviour::Answer {
        status: 400,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    };
    case.first.inject(Fault::always("PUT", "/manifests/v", refusal));
    let run = case.home.run(&["apply", &case.base(), "ENV A=2", "-t", &first]);
    assert_eq!(run.code, Some(1));
    let told = format!(
        "the tag `v` is immutable: it names {}, not sha256:",
        taken.digest()
    );
    assert!(run.stderr.contains(&told), "{}", run.stderr);

    // Somebody else has put the same image meanwhile: as good as having done it.
    let missing = Misbehaviour::answer(404, &[]);
    case.first
        .inject(Fault::times(1, "HEAD", "/manifests/v", missing));
    case.home
        .run(&["apply", &case.base(), "ENV A=1", "-t", &first])
        .success();
}
