//! How many requests an `onlay apply` takes, counted in the log of a front: each sum is stated with its parts.
//!
//! For a base of `L` layers and lines that make `N`, with the base's listings and documents known from an earlier run,
//! one platform takes `5 + L + 2N`: a HEAD for where the base's tag points and one for where the destination's does, one
//! request for each layer of the base, two for each new layer and for the configuration, a PUT for the tag. Within the
//! base's own repository nothing is asked about its layers. A further platform takes one request for each layer that it
//! does not share, two for its configuration and a PUT for its manifest; the new layers are the same for all platforms.

use std::collections::{BTreeMap, BTreeSet};

use onlay_testkit::entry::dir;
use onlay_testkit::{
    Front, FrontAuth, Image, ImageReport, Layer, Layout, LoggedRequest, Platform, Registry, Strictness,
    TestBase, upload_layout, validate_registry,
};

use crate::onlay::{Home, Run, VAULT};

/// A registry with a base of one layer, whose listing and documents are known, and a front before it.
struct Case {
    home: Home,
    registry: Registry,
    front: Front,
}

const ONE_PLATFORM: [&str; 2] = ["--platform", "linux/amd64"];

impl Case {
    /// `images`, one for each platform.
    fn new(images: &[Image]) -> Self {
        let home = Home::new();
        let layout = Layout::create(home.join("base"));
        let root = match images {
            [image] => layout.write_image(image),
            images => layout.write_index(images),
        };
        layout.tag(&root, "1");
        Self::of_layout(home)
    }

    fn of_layout(home: Home) -> Self {
        let registry = Registry::start();
        upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
        let front = Front::start(registry.host(), FrontAuth::Registry);
        let case = Self {
            home,
            registry,
            front,
        };
        case.apply(&VAULT, &["-t", "oci:warm"]);
        case.front.clear_requests();
        case
    }

    fn base(&self) -> String {
        format!("{}/base:1", self.front.host())
    }

    fn apply(&self, lines: &[&str], more: &[&str]) -> Run {
        let base = self.base();
        let arguments: Vec<&str> = ["apply", &base]
            .into_iter()
            .chain(lines.iter().copied())
            .chain(more.iter().copied())
            .collect();
        self.home.run(&arguments).success()
    }

    /// Applies lines for a destination behind the base's front, and counts what that takes.
    fn count(&self, lines: &[&str], repository: &str, more: &[&str]) -> BTreeMap<&'static str, usize> {
        self.front.clear_requests();
        let destination = format!("{}/{repository}:v", self.front.host());
        let arguments: Vec<&str> = ["-t", &destination]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        self.apply(lines, &arguments);
        validate_registry(self.registry.host(), repository, "v", None, Strictness::NoLayer);
        kinds(&self.front.requests())
    }
}

fn small_base(platform: Platform) -> Image {
    Image::new(platform).layer(Layer::new(&[dir("etc")]))
}

fn kinds(requests: &[LoggedRequest]) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for request in requests {
        *kinds.entry(kind(request)).or_default() += 1;
    }
    kinds
}

fn kind(request: &LoggedRequest) -> &'static str {
    let (is_manifest, is_mount) = (
        request.path.contains("/manifests/"),
        request.path.contains("mount="),
    );
    match (request.method.as_str(), is_manifest, is_mount) {
        ("GET", true, _) => "pull manifest",
        ("GET", false, _) => "pull blob",
        ("HEAD", true, _) => "look for manifest",
        ("HEAD", false, _) => "look for blob",
        ("POST", _, true) => "mount",
        ("POST", _, false) => "start upload",
        ("PUT", true, _) => "put manifest",
        ("PUT", false, _) => "send blob",
        _ => "other",
    }
}

fn sum(counts: &BTreeMap<&'static str, usize>) -> usize {
    counts.values().sum()
}

#[test]
fn one_line_on_one_layer_takes_eight_requests() {
    let case = Case::new(&[small_base(Platform::amd64())]);
    let counts = case.count(&VAULT[..1], "out", &[]);
    let expected = BTreeMap::from([
        ("look for manifest", 2),
        ("mount", 1),
        // The layer and the configuration.
        ("start upload", 2),
        ("send blob", 2),
        ("put manifest", 1),
    ]);
    assert_eq!(counts, expected);
    assert_eq!(sum(&counts), 8);
    // In the base's own repository its layer is there.
    assert_eq!(sum(&case.count(&VAULT[..1], "base", &[])), 7);
    // A line that changes the configuration only makes no layer.
    assert_eq!(sum(&case.count(&["ENV a=b"], "environment", &[])), 6);
}

#[test]
fn another_registry_that_has_the_base_takes_eight_requests_too() {
    let case = Case::new(&[small_base(Platform::amd64())]);
    let registry = Registry::start();
    let there = Front::start(registry.host(), FrontAuth::Registry);
    case.apply(&VAULT, &["-t", &format!("{}/out:before", there.host())]);
    case.front.clear_requests();
    there.clear_requests();
    case.apply(&VAULT[..1], &["-t", &format!("{}/out:v", there.host())]);
    validate_registry(registry.host(), "out", "v", None, Strictness::NoLayer);
    assert_eq!(
        kinds(&case.front.requests()),
        BTreeMap::from([("look for manifest", 1)])
    );
    let counts = kinds(&there.requests());
    let expected = BTreeMap::from([
        ("look for manifest", 1),
        ("look for blob", 1),
        ("start upload", 2),
        ("send blob", 2),
        ("put manifest", 1),
    ]);
    assert_eq!(counts, expected);
    assert_eq!(sum(&counts) + 1, 8);
}

#[test]
fn another_registry_that_lacks_the_base_gets_its_layers_once() {
    let case = Case::new(&[small_base(Platform::amd64())]);
    let registry = Registry::start();
    let there = Front::start(registry.host(), FrontAuth::Registry);
    case.apply(&VAULT[..1], &["-t", &format!("{}/out:v", there.host())]);
    validate_registry(registry.host(), "out", "v", None, Strictness::NoLayer);
    // The layer is read because it must be copied, not for its listing.
    let read = BTreeMap::from([("look for manifest", 1), ("pull blob", 1)]);
    assert_eq!(kinds(&case.front.requests()), read);
    let counts = kinds(&there.requests());
    // Beside looking, each of the three blobs takes two.
    assert_eq!((counts["start upload"], counts["send blob"]), (3, 3));
    assert_eq!(sum(&counts), 9);
}

#[test]
fn layers_and_platforms_take_what_is_stated() {
    let home = Home::new();
    home.test_base(&TestBase::FULL);
    let case = Case::of_layout(home);
    let (layers, new) = (TestBase::LAYERS, 2);
    let one = case.count(&VAULT, "one", &ONE_PLATFORM);
    assert_eq!(sum(&one), 5 + layers + 2 * new, "{one:#?}");
    assert_eq!(one.get("pull blob"), None);

    let all = case.count(&VAULT, "all", &[]);
    assert_eq!(all["look for manifest"], 2);
    assert_eq!(all.get("pull manifest"), None);
    // Two manifests and their index.
    assert_eq!(all["put manifest"], 3);
    // The new layers once, the configurations for each platform.
    assert_eq!((all["start upload"], all["send blob"]), (new + 2, new + 2));
    let own_layers = layers_of_second_image(&case, "all");
    assert_eq!(all["mount"], layers + own_layers);
    let index = 1;
    assert_eq!(sum(&all), sum(&one) + own_layers + 3 + index);
    assert_eq!(all.get("pull blob"), None);
}

/// How many layers the second image of an index does not share with the first.
fn layers_of_second_image(case: &Case, repository: &str) -> usize {
    let report = validate_registry(case.registry.host(), repository, "v", None, Strictness::NoLayer);
    let digests = |image: &ImageReport| -> BTreeSet<String> {
        image.layers.iter().map(|layer| layer.digest.clone()).collect()
    };
    let [first, second] = &report.images[..] else {
        panic!("{:?}", report.images);
    };
    digests(second).difference(&digests(first)).count()
}

#[test]
fn what_is_there_already_takes_one_head() {
    let case = Case::new(&[small_base(Platform::amd64()), small_base(Platform::arm64())]);
    let registry = Registry::start();
    let there = Front::start(registry.host(), FrontAuth::Registry);
    let destination = format!("{}/out:v", there.host());
    case.apply(&VAULT, &["-t", &destination]);
    let digest = validate_registry(registry.host(), "out", "v", None, Strictness::NoLayer).digest;
    there.clear_requests();
    case.front.clear_requests();
    let again = case.apply(&VAULT, &["-t", &destination]);
    assert_eq!(again.digest(), digest);
    assert_eq!(
        kinds(&there.requests()),
        BTreeMap::from([("look for manifest", 1)])
    );
    assert_eq!(
        kinds(&case.front.requests()),
        BTreeMap::from([("look for manifest", 1)])
    );
}

#[test]
fn a_tag_that_has_moved_is_read_again() {
    let case = Case::new(&[small_base(Platform::amd64())]);
    let before = case.apply(&VAULT, &["-t", "oci:before"]).digest();
    let layout = Layout::create(case.home.join("moved"));
    let moved = small_base(Platform::amd64()).layer(Layer::new(&[dir("srv")]));
    layout.tag(&layout.write_image(&moved), "1");
    upload_layout(
        &case.home.join("moved"),
        "1",
        case.registry.host(),
        "base",
        "1",
        None,
    );
    case.front.clear_requests();
    let after = case.apply(&VAULT, &["-t", "oci:after"]).digest();
    assert_ne!(before, after);
    assert_eq!(kinds(&case.front.requests())["pull manifest"], 1);
    // And from then on it is known.
    case.front.clear_requests();
    assert_eq!(case.apply(&VAULT, &["-t", "oci:again"]).digest(), after);
    assert_eq!(kinds(&case.front.requests()).get("pull manifest"), None);
}

#[test]
fn what_a_digest_names_is_not_asked_for_twice() {
    let case = Case::new(&[small_base(Platform::amd64()), small_base(Platform::arm64())]);
    let run = case.apply(&[], &["-t", &format!("{}/copy:v", case.front.host())]);
    let base = format!("{}/copy@{}", case.front.host(), run.digest());
    let apply = || {
        let arguments = ["apply", &base, VAULT[0], "-t", "oci:out"];
        case.home.run(&arguments).success();
    };
    apply();
    case.front.clear_requests();
    apply();
    let requests = case.front.requests();
    let are_layers = requests
        .iter()
        .all(|request| request.method == "GET" && request.path.contains("/blobs/"));
    assert!(are_layers, "{requests:#?}");
}

#[test]
fn each_tag_is_put_once() {
    let case = Case::new(&[small_base(Platform::amd64()), small_base(Platform::arm64())]);
    let tags = ["a:1", "a:2", "b:1"].map(|name| format!("{}/{name}", case.front.host()));
    let arguments: Vec<&str> = tags.iter().flat_map(|tag| ["-t", tag.as_str()]).collect();
    case.apply(&VAULT, &arguments);
    let requests = case.front.requests();
    for path in ["/v2/a/manifests/1", "/v2/a/manifests/2", "/v2/b/manifests/1"] {
        let puts = requests
            .iter()
            .filter(|request| request.method == "PUT" && request.path == path);
        assert_eq!(puts.count(), 1, "{path}");
    }
    for repository in ["a", "b"] {
        validate_registry(case.registry.host(), repository, "1", None, Strictness::NoLayer);
    }
}
