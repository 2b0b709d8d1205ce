//! The edges between the crates, as DESIGN has them: dependencies only point up, siblings do not know each other.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate may use of this workspace. A new edge is a change of the design: say so in the commit.
const EDGES: &[(&str, &[&str])] = &[
    ("oci", &[]),
    ("dockerfile", &["oci"]),
    ("image", &["oci"]),
    ("layer", &["oci"]),
    ("store", &["oci"]),
    ("context", &["oci"]),
    ("stream", &[]),
    ("http", &[]),
    ("fetch", &["oci", "store", "http"]),
    ("registry", &["oci", "http"]),
    ("ecr", &["oci", "http", "registry"]),
    ("base", &["oci", "registry", "store", "layer", "stream"]),
    ("push", &["oci", "registry", "store", "stream"]),
    ("shell", &["oci", "layer"]),
    ("sandbox", &["oci", "layer"]),
    (
        "build",
        &[
            "oci",
            "dockerfile",
            "image",
            "layer",
            "store",
            "context",
            "fetch",
            "shell",
            "sandbox",
            "base",
            "stream",
        ],
    ),
    (
        "mirror",
        &["oci", "dockerfile", "store", "registry", "push", "build"],
    ),
    (
        "cli",
        &[
            "mirror",
            "oci",
            "dockerfile",
            "image",
            "layer",
            "store",
            "context",
            "stream",
            "http",
            "fetch",
            "registry",
            "ecr",
            "base",
            "push",
            "shell",
            "sandbox",
            "build",
        ],
    ),
    ("testkit", &[]),
];

/// Crates that do no I/O have nothing in their dependencies that does.
const PURE: &[&str] = &["oci", "dockerfile", "image", "shell"];
const RUNTIMES: &[&str] = &["tokio", "reqwest", "hyper", "fs-err", "aws-sdk-ecr", "tempfile"];

/// Crates that block, and so can be read and tested without a runtime.
const BLOCKING: &[&str] = &["layer", "store", "context", "sandbox"];

/// The dependencies of each crate: of this workspace, and all, both without those of tests only.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .expect("a list of dependencies");
            let used = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null());
            let names = used
                .filter_map(|dependency| dependency["name"].as_str())
                .map(short);
            (short(package["name"].as_str().expect("a name")), names.collect())
        })
        .collect()
}

/// The folder's name for crates of this workspace, the package's for others.
fn short(package: &str) -> String {
    match package {
        "onlay" => "cli".to_owned(),
        other => other.strip_prefix("onlay-").unwrap_or(other).to_owned(),
    }
}

#[test]
fn crates_use_what_the_design_lets_them() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in EDGES {
        let used = dependencies
            .get(*name)
            .unwrap_or_else(|| panic!("crate `{name}` is missing"));
        for dependency in used
            .iter()
            .filter(|dependency| ours.contains(dependency.as_str()))
        {
            assert!(
                allowed.contains(&dependency.as_str()),
                "`{name}` must not use `{dependency}`"
            );
        }
    }
    let members = dependencies
        .keys()
        .filter(|name| !["tests", "benches"].contains(&name.as_str()));
    for name in members {
        assert!(
            ours.contains(name.as_str()),
            "crate `{name}` is not in the table of the design"
        );
    }
}

#[test]
fn pure_crates_have_no_runtime() {
    let dependencies = dependencies();
    for name in PURE {
        for runtime in RUNTIMES {
            assert!(
                !dependencies[*name].contains(*runtime),
                "`{name}` must do no I/O, but uses `{runtime}`"
            );
        }
    }
    for name in BLOCKING {
        assert!(
            !dependencies[*name].contains("tokio"),
            "`{name}` must not need a runtime"
        );
    }
}
