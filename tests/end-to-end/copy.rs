//! `onlay copy`: between registries, layouts and archives, with signatures and SBOMs.

use std::process::Command;

use onlay_testkit::{
    Fault, Front, FrontAuth, Image, Layer, Layout, Misbehaviour, Platform, Registry, Strictness, TestBase,
    entry, sha256, upload_layout, validate_layout, validate_registry,
};
use serde_json::{Value, json};

use crate::onlay::{Home, Run};

const SIGNATURE: &str = "application/vnd.example.signature.v1";
const SBOM: &str = "application/vnd.example.sbom.v1";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What a descriptor says, without more.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
}

impl Described {
    fn json(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.size })
    }

    /// The tag of the list of what refers to it.
    fn list_tag(&self) -> String {
        self.digest.replacen(':', "-", 1)
    }
}

fn write(layout: &Layout, media_type: &str, bytes: &[u8]) -> Described {
    let written = layout.write_blob(media_type, bytes);
    Described {
        media_type: written.media_type,
        digest: written.digest,
        size: written.size,
    }
}

fn tag(layout: &Layout, what: &Described, name: &str) {
    let bytes = std::fs::read(layout.blob_path(&what.digest)).unwrap();
    layout.tag(&layout.write_blob(&what.media_type, &bytes), name);
}

/// An artifact about `subject`, made by hand; without one it is an artifact of its own, as cosign's signatures are.
pub(crate) fn artifact(
    layout: &Layout,
    subject: Option<&Described>,
    artifact_type: &str,
    payload: &str,
) -> Described {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": write(layout, EMPTY, b"{}").json(),
        "layers": [write(layout, "application/octet-stream", payload.as_bytes()).json()],
        "annotations": { "made": "by hand" },
    });
    if let Some(subject) = subject {
        manifest["subject"] = subject.json();
    }
    write(layout, MANIFEST, manifest.to_string().as_bytes())
}

/// Lists artifacts under the tag of their subject, as somebody does whose registry keeps no lists.
pub(crate) fn list(layout: &Layout, subject: &Described, artifacts: &[(&Described, &str)]) {
    let entries: Vec<Value> = artifacts
        .iter()
        .map(|(artifact, artifact_type)| {
            let mut entry = artifact.json();
            entry["artifactType"] = json!(artifact_type);
            entry
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    let index = write(layout, INDEX, index.to_string().as_bytes());
    tag(layout, &index, &subject.list_tag());
}

/// The test base, signed: an index of two platforms with attestations. A signature of the index, an SBOM of the first
/// platform, a signature of the SBOM, and a signature as cosign keeps it.
struct Signed {
    home: Home,
    index: Described,
    image: Described,
    signature: Described,
    sbom: Described,
    of_sbom: Described,
    cosign: Described,
}

impl Signed {
    fn new() -> Self {
        let home = Home::new();
        home.test_base(&TestBase::FULL);
        Self::of_base(home)
    }

    /// The same with few blobs.
    fn small() -> Self {
        let home = Home::new();
        let layout = Layout::create(home.join("base"));
        let images = [Platform::amd64(), Platform::arm64()].map(|platform| image(platform, "x"));
        layout.tag(&layout.write_index_with_attestations(&images), "1");
        Self::of_base(home)
    }

    fn of_base(home: Home) -> Self {
        let layout = Layout::open(home.join("base"));
        let index = root(&layout);
        let bytes = std::fs::read(layout.blob_path(&index.digest)).unwrap();
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let first = &document["manifests"][0];
        let image = Described {
            media_type: MANIFEST.to_owned(),
            digest: first["digest"].as_str().unwrap().to_owned(),
            size: first["size"].as_u64().unwrap(),
        };
        let signature = artifact(&layout, Some(&index), SIGNATURE, "signed");
        let sbom = artifact(&layout, Some(&image), SBOM, "contents");
        let of_sbom = artifact(&layout, Some(&sbom), SIGNATURE, "contents signed");
        let cosign = artifact(
            &layout,
            None,
            "application/vnd.dev.cosign.simplesigning.v1+json",
            "cosigned",
        );
        list(&layout, &index, &[(&signature, SIGNATURE)]);
        list(&layout, &image, &[(&sbom, SBOM)]);
        list(&layout, &sbom, &[(&of_sbom, SIGNATURE)]);
        tag(&layout, &cosign, &format!("{}.sig", index.list_tag()));
        Self {
            home,
            index,
            image,
            signature,
            sbom,
            of_sbom,
            cosign,
        }
    }

    fn copy(&self, source: &str, destination: &str, more: &[&str]) -> Run {
        copy(&self.home, source, destination, more)
    }

    /// Puts everything into a registry.
    fn upload(&self, registry: &Registry) -> String {
        let place = format!("{}/base:1", registry.host());
        let copied = self.copy("oci:base:1", &place, &[]).success();
        assert_eq!(copied.digest(), self.index.digest);
        place
    }

    /// Copies to a registry that does not take one manifest, and then to one that does.
    fn cut_off_at(&self, name: &str) {
        let to = Registry::start();
        let target = front(&to);
        let failure = Misbehaviour::answer(403, &[]);
        target.inject(Fault::times(1, "PUT", &format!("/manifests/{name}"), failure));
        let cut = self.copy("oci:base:1", &format!("{}/base:1", target.host()), &[]);
        assert_eq!(cut.code, Some(1), "{name}: {}", cut.stderr);
        assert!(!has_tag(to.host(), "base", "1"), "{name}");
        self.upload(&to);
        self.verify_at(to.host(), "base", "1");
    }

    /// All is there: the image, what refers to it, and the lists of that.
    fn verify_at(&self, host: &str, repository: &str, image_tag: &str) {
        let report = validate_registry(host, repository, image_tag, None, Strictness::NoLayer);
        assert_eq!(report.digest, self.index.digest);
        assert_eq!(report.images.len(), 2);
        let lists = [
            (&self.index, &self.signature),
            (&self.image, &self.sbom),
            (&self.sbom, &self.of_sbom),
        ];
        for (subject, referrer) in lists {
            let listed = raw(host, repository, &subject.list_tag());
            let listed: Value = serde_json::from_slice(&listed).unwrap();
            assert_eq!(listed["manifests"][0]["digest"], referrer.digest, "{listed}");
            assert!(listed["manifests"][0]["artifactType"].is_string(), "{listed}");
            verify_artifact(host, repository, referrer);
        }
        let cosign = raw(host, repository, &format!("{}.sig", self.index.list_tag()));
        assert_eq!(sha256(&cosign), self.cosign.digest);
        verify_artifact(host, repository, &self.cosign);
    }
}

fn copy(home: &Home, source: &str, destination: &str, more: &[&str]) -> Run {
    let arguments: Vec<&str> = ["copy", source, destination]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    home.run(&arguments)
}

/// What the layout's only image is.
fn root(layout: &Layout) -> Described {
    let index: Value =
        serde_json::from_slice(&std::fs::read(layout.dir().join("index.json")).unwrap()).unwrap();
    let entry = &index["manifests"][0];
    Described {
        media_type: entry["mediaType"].as_str().unwrap().to_owned(),
        digest: entry["digest"].as_str().unwrap().to_owned(),
        size: entry["size"].as_u64().unwrap(),
    }
}

/// A manifest by tag or digest, past onlay.
pub(crate) fn raw(host: &str, repository: &str, reference: &str) -> Vec<u8> {
    let url = format!("http://{host}/v2/{repository}/manifests/{reference}");
    let accept = format!("Accept: {INDEX}, {MANIFEST}");
    let output = Command::new("curl")
        .args(["-sSf", "-H", &accept, &url])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A manifest is there to the byte, and so are its blobs.
fn verify_artifact(host: &str, repository: &str, artifact: &Described) {
    let manifest = raw(host, repository, &artifact.digest);
    assert_eq!(sha256(&manifest), artifact.digest);
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    for blob in [&manifest["config"], &manifest["layers"][0]] {
        let digest = blob["digest"].as_str().unwrap();
        let url = format!("http://{host}/v2/{repository}/blobs/{digest}");
        let output = Command::new("curl").args(["-sSf", &url]).output().unwrap();
        assert_eq!(sha256(&output.stdout), digest);
    }
}

fn has_tag(host: &str, repository: &str, name: &str) -> bool {
    let url = format!("http://{host}/v2/{repository}/manifests/{name}");
    let accept = format!("Accept: {INDEX}, {MANIFEST}");
    let output = Command::new("curl")
        .args(["-sSfI", "-H", &accept, &url])
        .output()
        .unwrap();
    output.status.success()
}

/// Methods and paths in order, without the repository.
fn requests(front: &Front) -> Vec<String> {
    let log = front.requests().into_iter();
    log.map(|request| {
        let path = request.path.split_once("/base/").map_or("", |(_, path)| path);
        format!("{} {path}", request.method)
    })
    .collect()
}

fn front(registry: &Registry) -> Front {
    Front::start(registry.host(), FrontAuth::Registry)
}

#[test]
fn copies_keep_every_digest_and_everything_that_refers_to_it() {
    let signed = Signed::new();
    let [first, second, third] = [(); 3].map(|()| Registry::start());
    let place = signed.upload(&first);
    signed.verify_at(first.host(), "base", "1");

    let to = format!("{}/other/name:v", second.host());
    let copied = signed.copy(&place, &to, &[]).success();
    assert_eq!(copied.stdout, format!("{to}@{}\n", signed.index.digest));
    assert!(copied.stderr.contains("4 copied"), "{}", copied.stderr);
    signed.verify_at(second.host(), "other/name", "v");

    let steps = [
        (to.as_str(), "oci:layout:v"),
        // The image, although signatures lie beside it.
        ("oci:layout", "oci-archive:image.tar:v"),
        ("oci-archive:image.tar", &format!("{}/last:v", third.host())),
    ];
    for (from, to) in steps {
        assert_eq!(signed.copy(from, to, &[]).success().digest(), signed.index.digest);
    }
    validate_layout(&signed.home.join("layout"), "v", Strictness::NoLayer);
    signed.verify_at(third.host(), "last", "v");

    let output = Command::new("skopeo")
        .current_dir(signed.home.path())
        .args([
            "--insecure-policy",
            "copy",
            "-q",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
        ])
        .args([&format!("docker://{}/last:v", third.host()), "oci:back:v"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let back = validate_layout(&signed.home.join("back"), "v", Strictness::NoLayer);
    assert_eq!(back.digest, signed.index.digest);
}

/// A copy that is there costs one HEAD on each side. With what refers to it, the lists of that are read besides, since
/// signatures are made later than images.
#[test]
fn the_second_copy_moves_nothing() {
    let home = Home::new();
    let [from, to] = [(); 2].map(|()| Registry::start());
    home.test_base(&TestBase::FULL);
    upload_layout(&home.join("base"), "1", from.host(), "base", "1", None);
    let (source, target) = (front(&from), front(&to));
    let (here, there) = (
        format!("{}/base:1", source.host()),
        format!("{}/base:1", target.host()),
    );
    copy(&home, &here, &there, &[]).success();
    // `crane copy` (3f4ff3ca) takes 24 and 81 of the same image, counted by the same fronts, and does not look for
    // signatures.
    assert_eq!((source.requests().len(), target.requests().len()), (25, 59));

    let again = |more: &[&str]| {
        source.clear_requests();
        target.clear_requests();
        let run = copy(&home, &here, &there, more).success();
        assert!(run.stderr.contains("has it already"), "{}", run.stderr);
        (requests(&source), requests(&target))
    };
    let (asked, answered) = again(&["--no-referrers"]);
    assert_eq!(
        (asked, answered),
        (
            vec!["HEAD manifests/1".to_owned()],
            vec!["HEAD manifests/1".to_owned()]
        )
    );
    let (asked, answered) = again(&[]);
    assert_eq!(answered, ["HEAD manifests/1"]);
    let referrers = asked[2].strip_prefix("GET referrers/sha256:");
    assert!(referrers.is_some() && asked.len() == 3, "{asked:?}");
    assert_eq!(asked[..2], ["HEAD manifests/1", "GET tags/list?n=1000"]);
}

#[test]
fn signatures_that_are_younger_than_the_copy_follow() {
    let signed = Signed::small();
    let [from, to] = [(); 2].map(|()| Registry::start());
    upload_layout(&signed.home.join("base"), "1", from.host(), "base", "1", None);
    let target = front(&to);
    let (here, there) = (
        format!("{}/base:1", from.host()),
        format!("{}/base:1", target.host()),
    );
    signed.copy(&here, &there, &[]).success();
    assert!(!has_tag(to.host(), "base", &signed.index.list_tag()));

    signed.upload(&from);
    let alone = signed.copy(&here, &there, &["--no-referrers"]).success();
    assert!(alone.stderr.contains("has it already"), "{}", alone.stderr);
    assert!(!has_tag(to.host(), "base", &signed.index.list_tag()));

    let late = signed.copy(&here, &there, &["--format=json"]).success();
    let printed: Value = serde_json::from_str(&late.stdout).unwrap();
    let destination = &printed["destinations"][0];
    assert_eq!(destination["unchanged"], true);
    assert_eq!(destination["referrers"], json!({ "present": 0, "copied": 4 }));
    signed.verify_at(to.host(), "base", "1");

    target.clear_requests();
    let once_more = signed.copy(&here, &there, &[]).success();
    assert!(
        once_more.stderr.contains("4 manifests there, 0 copied"),
        "{}",
        once_more.stderr
    );
    let changes = requests(&target);
    assert!(
        !changes.iter().any(|request| request.starts_with('P')),
        "{changes:?}"
    );
}

/// Whoever finds the tag finds all of it: it is put after everything, and everything after what it is made of.
#[test]
fn the_tag_comes_last() {
    let signed = Signed::small();
    let to = Registry::start();
    let target = front(&to);
    signed
        .copy("oci:base:1", &format!("{}/base:1", target.host()), &[])
        .success();
    let puts: Vec<String> = requests(&target)
        .into_iter()
        .filter_map(|request| request.strip_prefix("PUT manifests/").map(str::to_owned))
        .collect();
    let place = |name: &str| puts.iter().position(|put| put == name).unwrap();
    assert_eq!(place("1"), puts.len() - 1, "{puts:?}");
    let in_order = [
        &signed.image.digest,
        &signed.index.digest,
        &signed.signature.digest,
        &signed.index.list_tag(),
    ];
    assert!(
        in_order.windows(2).all(|pair| place(pair[0]) < place(pair[1])),
        "{puts:?}"
    );
    assert!(
        place(&signed.of_sbom.digest) < place(&signed.sbom.list_tag()),
        "{puts:?}"
    );

    // Cut off anywhere, it leaves no tag, and the next copy finishes it.
    std::thread::scope(|scope| {
        for name in &puts {
            scope.spawn(|| signed.cut_off_at(name));
        }
    });
}

#[test]
fn a_registry_that_keeps_lists_gets_no_tags_for_them() {
    let signed = Signed::small();
    let to = Registry::start();
    let target = front(&to);
    let empty = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    let answer = Misbehaviour::Answer {
        status: 200,
        headers: vec![("Content-Type".to_owned(), INDEX.to_owned())],
        body: empty.to_string().into_bytes(),
    };
    target.inject(Fault::always("GET", "/referrers/", answer));
    signed
        .copy("oci:base:1", &format!("{}/base:1", target.host()), &[])
        .success();
    for artifact in [&signed.signature, &signed.sbom, &signed.of_sbom, &signed.cosign] {
        verify_artifact(to.host(), "base", artifact);
    }
    assert!(!has_tag(to.host(), "base", &signed.index.list_tag()));
}

/// ECR answers 405 to some artifacts (containers-roadmap 2783).
#[test]
fn what_the_destination_refuses_fails_the_copy_or_is_left_out() {
    let signed = Signed::small();
    let refusal = || Misbehaviour::Answer {
        status: 405,
        headers: Vec::new(),
        body: br#"{"errors":[{"code":"UNSUPPORTED","message":"Invalid parameter"}]}"#.to_vec(),
    };
    let to = Registry::start();
    let target = front(&to);
    let there = format!("{}/base:1", target.host());
    let path = format!("/manifests/{}", signed.sbom.digest);
    target.inject(Fault::always("PUT", &path, refusal()));

    let failed = signed.copy("oci:base:1", &there, &[]);
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""));
    for words in [
        signed.sbom.digest.as_str(),
        SBOM,
        "405 UNSUPPORTED",
        "--on-refused=skip",
    ] {
        assert!(failed.stderr.contains(words), "`{words}`: {}", failed.stderr);
    }
    assert!(!has_tag(to.host(), "base", "1"));

    let skipped = signed
        .copy("oci:base:1", &there, &["--on-refused=skip", "--format=json"])
        .success();
    assert!(
        skipped
            .stderr
            .contains(&format!("left out {} ({SBOM})", signed.sbom.digest)),
        "{}",
        skipped.stderr
    );
    let printed: Value = serde_json::from_str(&skipped.stdout).unwrap();
    assert_eq!(printed["digest"], signed.index.digest);
    let [sbom, of_sbom] = &printed["destinations"][0]["leftOut"].as_array().unwrap()[..] else {
        panic!("{printed}")
    };
    assert_eq!(sbom["digest"], signed.sbom.digest);
    assert_eq!(sbom["artifactType"], SBOM);
    assert_eq!(
        of_sbom["digest"], signed.of_sbom.digest,
        "it would speak of nothing"
    );
    validate_registry(to.host(), "base", "1", None, Strictness::NoLayer);
    verify_artifact(to.host(), "base", &signed.signature);
    assert!(
        !has_tag(to.host(), "base", &signed.image.list_tag()),
        "what is not there is not listed"
    );
}

/// Attestations stand in the index, so without them it is a new one, and what spoke of the old one stays behind.
#[test]
fn an_index_without_its_refused_attestations() {
    let signed = Signed::small();
    let index: Value = serde_json::from_slice(
        &std::fs::read(Layout::open(signed.home.join("base")).blob_path(&signed.index.digest)).unwrap(),
    )
    .unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let attestation = entries.last().unwrap()["digest"].as_str().unwrap();
    let to = Registry::start();
    let target = front(&to);
    let there = format!("{}/base:1", target.host());
    let refuse = |path: &str| {
        let refusal = Misbehaviour::answer(405, &[]);
        target.inject(Fault::always("PUT", path, refusal));
    };
    refuse(&format!("/manifests/{attestation}"));
    let failed = signed.copy("oci:base:1", &there, &[]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.stderr.contains(attestation), "{}", failed.stderr);

    let skipped = signed
        .copy("oci:base:1", &there, &["--on-refused=skip"])
        .success();
    let report = validate_registry(to.host(), "base", "1", None, Strictness::NoLayer);
    assert_eq!(report.digest, skipped.digest());
    assert_ne!(report.digest, signed.index.digest);
    assert_eq!(report.images.len(), 2);
    for digest in [attestation, &signed.signature.digest, &signed.cosign.digest] {
        assert!(
            skipped.stderr.contains(&format!("left out {digest}")),
            "{}",
            skipped.stderr
        );
    }
    verify_artifact(to.host(), "base", &signed.sbom);

    // An image is never left out.
    refuse(&format!("/manifests/{}", signed.image.digest));
    let elsewhere = format!("{}/other:1", target.host());
    let lacking = signed.copy("oci:base:1", &elsewhere, &["--on-refused=skip"]);
    assert_eq!(lacking.code, Some(1), "{}", lacking.stderr);
    assert!(!has_tag(to.host(), "other", "1"));
}

fn image(platform: Platform, content: &str) -> Image {
    Image::new(platform).layer(Layer::new(&[entry::file("file", content)]))
}

#[test]
fn some_platforms_are_a_new_index_and_one_is_itself() {
    let home = Home::new();
    let layout = Layout::create(home.join("three"));
    let other = Platform::new("linux", "s390x", None);
    let images = [Platform::amd64(), Platform::arm64(), other].map(|platform| {
        let content = platform.to_string();
        image(platform, &content)
    });
    let index = layout.write_index_with_attestations(&images);
    layout.tag(&index, "v");
    let all = copy(
        &home,
        "oci:three:v",
        "oci:all:v",
        &["--platform=linux/amd64,linux/arm64,linux/s390x"],
    );
    assert_eq!(
        all.success().digest(),
        index.digest,
        "nothing is missing, so nothing is new"
    );

    let two = copy(
        &home,
        "oci:three:v",
        "oci:two:v",
        &["--platform=linux/arm64,linux/amd64"],
    )
    .success();
    assert!(
        two.stderr.contains("entries of the index were not chosen"),
        "{}",
        two.stderr
    );
    let report = validate_layout(&home.join("two"), "v", Strictness::AllLayers);
    assert_eq!((report.digest, report.images.len()), (two.digest(), 2));
    let written = std::fs::read(home.join("two/blobs").join(two.digest().replacen(':', "/", 1))).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(
        written["manifests"].as_array().unwrap().len(),
        4,
        "two attestations: {written}"
    );

    let one = copy(&home, "oci:three:v", "oci:one:v", &["--platform=linux/arm64"]).success();
    assert_eq!(one.digest(), layout.write_image(&images[1]).digest);
    validate_layout(&home.join("one"), "v", Strictness::AllLayers);
    let again = copy(&home, "oci:one:v", "oci:one2:v", &["--platform=linux/arm64/v8"]).success();
    assert_eq!(again.digest(), one.digest());
    for (place, platform) in [("oci:three:v", "linux/riscv64"), ("oci:one:v", "linux/amd64")] {
        let missing = copy(&home, place, "oci:none:v", &["--platform", platform]);
        assert_eq!(missing.code, Some(1));
        assert!(
            missing.stderr.contains(&format!("no image for {platform}")),
            "{}",
            missing.stderr
        );
        assert!(!home.join("none").exists());
    }
}

#[test]
fn indexes_of_indexes() {
    let home = Home::new();
    let layout = Layout::create(home.join("nested"));
    let mut inner = layout.write_index(&[image(Platform::amd64(), "x")]);
    let from = Registry::start();
    for (depth, tag) in ["one", "two", "three", "four"].into_iter().enumerate() {
        let entry = json!({ "mediaType": INDEX, "digest": inner.digest, "size": inner.size });
        let image = layout.write_image(&image(Platform::arm64(), tag));
        let image = json!({ "mediaType": MANIFEST, "digest": image.digest, "size": image.size });
        let outer = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry, image] });
        inner = layout.write_blob(INDEX, outer.to_string().as_bytes());
        layout.tag(&inner, tag);
        let to = format!("{}/base:{tag}", from.host());
        let copied = copy(&home, &format!("oci:nested:{tag}"), &to, &[]);
        if depth < 2 {
            assert_eq!(copied.success().digest(), inner.digest);
            let back = format!("oci:back{tag}:v");
            assert_eq!(copy(&home, &to, &back, &[]).success().digest(), inner.digest);
        } else {
            assert_eq!(copied.code, Some(1));
            assert!(
                copied.stderr.contains("is inside too many others"),
                "{}",
                copied.stderr
            );
            assert!(!has_tag(from.host(), "base", tag));
        }
    }
    let chosen = copy(
        &home,
        "oci:nested:one",
        "oci:chosen:v",
        &["--platform=linux/amd64"],
    );
    assert!(
        chosen.stderr.contains("index within its index"),
        "{}",
        chosen.stderr
    );
}

#[test]
fn what_cannot_be_copied_is_refused_by_name() {
    let home = Home::new();
    let registry = Registry::start();
    let source = front(&registry);
    let schema1 = Misbehaviour::Answer {
        status: 200,
        headers: vec![(
            "Content-Type".to_owned(),
            "application/vnd.docker.distribution.manifest.v1+prettyjws".to_owned(),
        )],
        body: br#"{"schemaVersion":1,"name":"old","tag":"1","fsLayers":[],"history":[]}"#.to_vec(),
    };
    source.inject(Fault::always("GET", "/manifests/", schema1.clone()));
    source.inject(Fault::always("HEAD", "/manifests/", schema1));
    let old = copy(&home, &format!("{}/base:1", source.host()), "oci:out:v", &[]);
    assert_eq!(old.code, Some(1));
    assert!(
        old.stderr.contains("Docker's schema 1, which is not supported"),
        "{}",
        old.stderr
    );

    let short = copy(&home, "oci:x:v", "name:1", &[]);
    assert_eq!(short.code, Some(2));
    assert!(short.stderr.contains("docker.io/name:1"), "{}", short.stderr);
    let missing = copy(&home, &format!("{}/none:1", registry.host()), "oci:out:v", &[]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("404"), "{}", missing.stderr);
}

#[test]
fn a_signature_that_is_another_one_stops_the_copy() {
    let signed = Signed::small();
    let [from, to] = [(); 2].map(|()| Registry::start());
    signed.upload(&from);
    let source = front(&from);
    let path = format!("/manifests/{}", signed.signature.digest);
    let other = raw(from.host(), "base", &signed.sbom.digest);
    source.inject(Fault::always("GET", &path, Misbehaviour::ReplaceBody(other)));
    let (here, there) = (
        format!("{}/base:1", source.host()),
        format!("{}/base:1", to.host()),
    );
    let stopped = signed.copy(&here, &there, &["--on-refused=skip"]);
    assert_eq!(stopped.code, Some(1));
    let expected = format!("expected {}", signed.signature.digest);
    assert!(stopped.stderr.contains(&expected), "{}", stopped.stderr);
    assert!(!has_tag(to.host(), "base", "1"));
}

/// A list may be older than what it names, or wrong.
#[test]
fn lists_that_name_what_is_not_there() {
    let home = Home::new();
    let layout = Layout::create(home.join("base"));
    layout.tag(&layout.write_image(&image(Platform::amd64(), "x")), "1");
    let image = root(&layout);
    let elsewhere = artifact(
        &layout,
        Some(&write(&layout, MANIFEST, b"{}")),
        SIGNATURE,
        "of another",
    );
    let gone = artifact(&layout, Some(&image), SIGNATURE, "gone");
    std::fs::remove_file(layout.blob_path(&gone.digest)).unwrap();
    let here = artifact(&layout, Some(&image), SBOM, "here");
    list(
        &layout,
        &image,
        &[(&elsewhere, SIGNATURE), (&gone, SIGNATURE), (&here, SBOM)],
    );
    let to = Registry::start();
    let copied = copy(&home, "oci:base", &format!("{}/base:1", to.host()), &[]).success();
    for (artifact, reason) in [
        (&gone, "does not have it"),
        (&elsewhere, "speaks of something else"),
    ] {
        let line = copied.stderr.lines().find(|line| line.contains(&artifact.digest));
        assert!(
            line.is_some_and(|line| line.contains(reason)),
            "{}",
            copied.stderr
        );
    }
    verify_artifact(to.host(), "base", &here);
    let listed = raw(to.host(), "base", &image.list_tag());
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(listed["manifests"].as_array().unwrap().len(), 1);
}

#[test]
fn foreign_layers_stay_where_they_are() {
    let home = Home::new();
    let layout = Layout::create(home.join("base"));
    let own = write(&layout, "application/vnd.oci.image.layer.v1.tar", &[0; 1024]);
    let config = json!({
        "architecture": "amd64",
        "os": "windows",
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", "a".repeat(64)), own.digest] },
    });
    let config = write(
        &layout,
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    );
    let foreign = json!({
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": format!("sha256:{}", "b".repeat(64)),
        "size": 1000,
        "urls": ["https://mcr.example/layer"],
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.json(),
        "layers": [foreign, own.json()],
    });
    let manifest = write(&layout, MANIFEST, manifest.to_string().as_bytes());
    tag(&layout, &manifest, "1");
    let copied = copy(&home, "oci:base:1", "oci:out:1", &[]).success();
    assert_eq!(copied.digest(), manifest.digest);
    assert!(
        copied.stderr.contains("1 foreign layers are not in"),
        "{}",
        copied.stderr
    );
    assert!(
        home.join("out/blobs")
            .join(own.digest.replacen(':', "/", 1))
            .exists()
    );
}

#[test]
fn an_archive_of_dockers_is_an_image_alone() {
    let home = Home::new();
    let layout = Layout::create(home.join("base"));
    let written = layout.write_image(&image(Platform::amd64(), "x"));
    layout.tag(&written, "1");
    let saved = copy(&home, "oci:base:1", "docker-archive:image.tar:app:1", &[]).success();
    assert_eq!(saved.digest(), written.digest);
    assert!(
        saved.stderr.contains("no place for what refers to an image"),
        "{}",
        saved.stderr
    );
    let to = Registry::start();
    let loaded = copy(
        &home,
        "docker-archive:image.tar",
        &format!("{}/base:1", to.host()),
        &[],
    )
    .success();
    let report = validate_registry(to.host(), "base", "1", None, Strictness::AllLayers);
    assert_eq!(report.digest, loaded.digest());
}
