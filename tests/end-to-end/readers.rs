//! Independent readers accept what was made, and read the same files from it.

use std::process::{Command, Output};

use onlay_testkit::{Platform, TestBase, flatten_directory, flatten_layout};

use crate::onlay::Home;

#[track_caller]
fn run(program: &str, arguments: &[&str], home: &Home) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(home.path())
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn skopeo_inspects_and_copies() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let applied = home.apply_vault(&base, &["-t", "oci:out:v"]);
    let inspected = run("skopeo", &["inspect", "--raw", "oci:out:v"], &home);
    assert_eq!(onlay_testkit::sha256(&inspected.stdout), applied.digest());
    run(
        "skopeo",
        &["copy", "--all", "--preserve-digests", "oci:out:v", "oci:copy:v"],
        &home,
    );

    home.apply_vault(&base, &["-t", "oci-archive:image.tar:v"]);
    run("skopeo", &["inspect", "oci-archive:image.tar:v"], &home);
}

#[test]
fn umoci_unpacks_the_same_files() {
    let home = Home::new();
    let base = home.test_base(&TestBase::READABLE_BY_OLD_TOOLS);
    home.apply_vault(&base, &["-t", "oci:out:v", "--platform=linux/amd64"]);
    run("umoci", &["unpack", "--image", "out:v", "bundle"], &home);
    let unpacked = flatten_directory(&home.join("bundle/rootfs")).without_xattrs();
    let computed = flatten_layout(&home.join("out"), "v", &Platform::amd64()).without_xattrs();
    let difference = computed.difference(&unpacked);
    assert!(difference.is_empty(), "{difference:#?}");
}
