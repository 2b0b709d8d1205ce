//! The main job: a directory, its mode and a volume on an image that exists.

use onlay_testkit::Platform;
use onlay_testkit::TestBase;
use onlay_testkit::{Registry, upload_layout};
use onlay_testkit::{Strictness, validate_layout, validate_registry};

use crate::onlay::{Home, VAULT};

const ABOVE_BASE: Strictness = Strictness::LayersAbove(TestBase::LAYERS);

#[test]
fn the_readme_example_works_without_registry_and_network() {
    let home = Home::new();
    let base = format!(
        "oci:{}",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/base")
    );
    let first = home.apply_vault(&base, &["-t", "oci:out:vault"]);
    let second = home.apply_vault(&base, &["-t", "oci:again:vault"]);
    assert_eq!(first.digest(), second.digest());
    let report = validate_layout(&home.join("out"), "vault", Strictness::NoLayer);
    assert_eq!(report.images.len(), 2);
    for image in &report.images {
        assert_eq!(
            image.config["config"]["Volumes"]["/etc/vault"],
            serde_json::json!({})
        );
    }
}

#[test]
fn apply_and_build_give_one_digest_in_registry_and_layout() {
    let home = Home::new();
    let registry = Registry::start();
    let host = registry.host();
    let layout = home.test_base(&TestBase::FULL);
    upload_layout(&home.join("base"), "1", host, "hashicorp/vault", "1.14", None);

    let base = format!("{host}/hashicorp/vault:1.14");
    let dockerfile = home.write(
        "context/Dockerfile",
        &format!("FROM {base}\n{}\n", VAULT.join("\n")),
    );
    let context = home.join("context").display().to_string();
    let platform = ["--platform", "linux/amd64"];

    let applied = format!("{host}/ecsclone/hashicorp/vault:1.14");
    let applied = home.apply_vault(&base, &["-t", &applied, platform[0], platform[1]]);
    let built = format!("{host}/ecsclone/built:1");
    let built = home
        .run(&[
            "build",
            "-f",
            &dockerfile,
            "-t",
            &built,
            platform[0],
            platform[1],
            &context,
        ])
        .success();
    let on_disk = home.apply_vault(&layout, &["-t", "oci:out", platform[0], platform[1]]);
    let from_registry = home.apply_vault(&base, &["-t", "oci:out2:x", platform[0], platform[1]]);

    let digest = applied.digest();
    for other in [built, on_disk, from_registry] {
        assert_eq!(other.digest(), digest);
    }
    assert_eq!(
        applied.stdout,
        format!("{host}/ecsclone/hashicorp/vault:1.14@{digest}\n")
    );
    let report = validate_registry(host, "ecsclone/hashicorp/vault", "1.14", None, ABOVE_BASE);
    assert_eq!(report.digest, digest);
    validate_layout(&home.join("out"), "latest", ABOVE_BASE);
}

#[test]
fn every_platform_gets_the_same_small_layers() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    home.apply_vault(&base, &["-t", "oci:out:v"]);
    let report = validate_layout(&home.join("out"), "v", ABOVE_BASE);
    let [amd64, arm64] =
        [Platform::amd64(), Platform::arm64()].map(|platform| report.image(&platform).clone());
    let new = |image: &onlay_testkit::ImageReport| image.layers[TestBase::LAYERS..].to_vec();
    let (on_amd64, on_arm64) = (new(&amd64), new(&arm64));
    assert_eq!(on_amd64.len(), 2);
    for (one, other) in on_amd64.iter().zip(&on_arm64) {
        assert_eq!(one.digest, other.digest);
        assert!(one.size < 1024, "{} bytes", one.size);
        assert_eq!(one.names, ["etc/", "etc/vault/"]);
    }
}

#[test]
fn the_merged_tree_changes_by_the_directory_and_nothing_else() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    home.apply_vault(&base, &["-t", "oci:out:v"]);
    let flatten = |directory: &str, tag: &str| {
        onlay_testkit::flatten_layout(&home.join(directory), tag, &Platform::amd64())
    };
    let (before, after) = (flatten("base", "1"), flatten("out", "v"));
    assert_eq!(after.files["etc/vault"].mode, 0o777);
    let difference = after.without(&["etc/vault"]).difference(&before);
    assert!(difference.is_empty(), "{difference:?}");
}

#[test]
fn the_second_run_reads_no_layer_of_the_base() {
    use onlay_testkit::{Front, FrontAuth};

    let home = Home::new();
    let registry = Registry::start();
    home.test_base(&TestBase::FULL);
    upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
    let front = Front::start(registry.host(), FrontAuth::Registry);
    let base = format!("{}/base:1", front.host());
    let blobs_read = || {
        let is_read = |request: &&onlay_testkit::LoggedRequest| {
            request.method == "GET" && request.path.contains("/blobs/")
        };
        front
            .requests()
            .iter()
            .filter(is_read)
            .map(|request| request.path.clone())
            .collect::<Vec<_>>()
    };
    let first = home.apply_vault(&base, &["-t", &format!("{}/first:1", front.host()), "--explain"]);
    let read = blobs_read();
    let once: std::collections::BTreeSet<&String> = read.iter().collect();
    assert_eq!(once.len(), read.len(), "no blob is read twice: {read:#?}");
    assert!(read.len() > 2 + TestBase::LAYERS, "{read:#?}");
    assert!(first.stderr.contains("executed: nothing"), "{}", first.stderr);

    front.clear_requests();
    let second = home.apply_vault(&base, &["-t", &format!("{}/second:1", front.host()), "--explain"]);
    assert!(blobs_read().is_empty(), "{:#?}", front.requests());
    assert!(
        second.stderr.contains("listings from the cache"),
        "{}",
        second.stderr
    );
    assert_eq!(first.digest(), second.digest());

    // The same again: one look at the tag, and nothing is sent.
    front.clear_requests();
    home.apply_vault(&base, &["-t", &format!("{}/second:1", front.host())]);
    let sent: Vec<_> = front
        .requests()
        .into_iter()
        .filter(|request| !["GET", "HEAD"].contains(&request.method.as_str()))
        .collect();
    assert!(sent.is_empty(), "{sent:#?}");
}
