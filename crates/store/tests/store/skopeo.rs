//! An independent reader; `scripts/test` installs it.

use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;
use onlay_oci::{Digest, Manifest, Reference};
use onlay_store::{DockerArchive, Layout, OciArchive};

use crate::support::{layer, write_image};

struct Written {
    directory: tempfile::TempDir,
    layout: Layout,
    image: Manifest,
}

fn written() -> Written {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("layout")).unwrap();
    let image = write_image(&layout, "1.0", "a");
    Written {
        directory,
        layout,
        image,
    }
}

#[test]
fn layouts() {
    let written = written();
    let location = format!("oci:{}:1.0", written.directory.path().join("layout").display());
    assert_eq!(manifest_of(&location), written.image.bytes()[..]);
    copy(&location, &written.directory.path().join("copy"));
}

#[test]
fn oci_archives() {
    let written = written();
    let file = written.directory.path().join("image.tar");
    OciArchive::write(&written.layout, &file).unwrap();
    let location = format!("oci-archive:{}:1.0", file.display());
    assert_eq!(manifest_of(&location), written.image.bytes()[..]);
    copy(&location, &written.directory.path().join("copy"));
}

#[test]
fn docker_archives() {
    let written = written();
    let file = written.directory.path().join("image.tar");
    let name: Reference = "hashicorp/vault:1.14".parse().unwrap();
    DockerArchive::write(&written.layout, &written.image, Some(&name), &file).unwrap();
    let location = format!("docker-archive:{}:hashicorp/vault:1.14", file.display());
    let manifest: serde_json::Value = serde_json::from_slice(&manifest_of(&location)).unwrap();
    let config = written.image.config().digest.to_string();
    assert_eq!(manifest["config"]["digest"], config);
    for index in 0..3 {
        let diff_id = Digest::of(&layer(&format!("a-{index}"))).to_string();
        assert_eq!(manifest["layers"][index]["digest"], diff_id);
    }
    copy(&location, &written.directory.path().join("copy"));
}

fn manifest_of(location: &str) -> Vec<u8> {
    skopeo(&["inspect", "--raw", location]).stdout
}

/// Copies the image, which reads and verifies every blob.
fn copy(location: &str, directory: &Path) {
    let destination = format!("dir:{}", directory.display());
    skopeo(&["copy", "--quiet", "--insecure-policy", location, &destination]);
    assert!(fs::read(directory.join("manifest.json")).is_ok());
}

fn skopeo(arguments: &[&str]) -> Output {
    let output = Command::new("skopeo").args(arguments).output();
    let output = output.expect("skopeo is installed: apt-get install skopeo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {errors}");
    output
}
