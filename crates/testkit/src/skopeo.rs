//! Filling a registry by an independent tool.

use crate::registry::Credential;
use std::path::Path;
use std::process::Command;

/// Copies an image of an OCI layout into a registry with every platform, and keeps all digests.
///
/// # Panics
/// When `skopeo` (Debian package of the same name) is missing or fails, with its words.
pub fn upload_layout(
    layout: &Path,
    layout_tag: &str,
    host: &str,
    repository: &str,
    tag: &str,
    credential: Option<&Credential>,
) {
    let mut command = Command::new("skopeo");
    command.args([
        "--insecure-policy",
        "copy",
        "--quiet",
        "--all",
        "--preserve-digests",
        "--dest-tls-verify=false",
    ]);
    if let Some(Credential { username, password }) = credential {
        command.arg(format!("--dest-creds={username}:{password}"));
    }
    command.arg(format!("oci:{}:{layout_tag}", layout.display()));
    command.arg(format!("docker://{host}/{repository}:{tag}"));
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("`skopeo`: {error}; Debian package: skopeo"));
    assert!(
        output.status.success(),
        "skopeo: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
