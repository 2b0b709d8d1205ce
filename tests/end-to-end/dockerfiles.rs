//! The Dockerfiles of `tests/dockerfiles` give what BuildKit made of them, which is recorded there.
//!
//! `scripts/compare-with-docker` lays the cases out, builds them and compares. What it built is then merged again by
//! the test kit and validated, so that no fault of the script can hide one of onlay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use onlay_testkit::{Platform, RootFs, Strictness, flatten_layout, validate_layout};
use serde_json::{Value, json};

use crate::onlay::{Home, Run};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// How many layers the image has that most cases build on.
const BASE_LAYERS: usize = 3;

#[test]
fn dockerfiles_give_what_buildkit_made_of_them() {
    let home = Home::new();
    let work = home.join("work");
    let comparison = Command::new(format!("{REPOSITORY}/scripts/compare-with-docker"))
        .args(["--recorded", "--keep"])
        .arg(&work)
        .env("ONLAY", env!("CARGO_BIN_EXE_onlay"))
        .output();
    let comparison = Run::of(comparison.expect("python3 runs"));
    let cases = recorded();
    assert!(
        comparison.code == Some(0) && cases.len() >= 100,
        "{} cases\n{}{}",
        cases.len(),
        comparison.stdout,
        comparison.stderr
    );

    let base = flatten_layout(&work.join("images"), "base", &Platform::amd64());
    for (name, expected) in cases {
        check(
            &work.join("cases").join(&name).join("onlay"),
            &name,
            &expected,
            &base,
        );
    }
}

/// The same where nothing is interpreted: a command that runs leaves what BuildKit's left.
#[test]
fn dockerfiles_with_run_lines_give_the_same_when_executed() {
    let runs = |name: &String| {
        let directory = PathBuf::from(REPOSITORY).join("tests/dockerfiles").join(name);
        let texts = ["Dockerfile", "context/Dockerfile"].map(|file| fs::read_to_string(directory.join(file)));
        texts
            .into_iter()
            .flatten()
            .any(|text| text.lines().any(|line| line.starts_with("RUN ")))
    };
    let cases: Vec<String> = recorded().into_keys().filter(runs).collect();
    assert!(cases.len() >= 20, "{cases:?}");
    for rung in ["namespaces", "chroot", "ptrace"] {
        let comparison = Command::new(format!("{REPOSITORY}/scripts/compare-with-docker"))
            .args(["--recorded", &format!("--run={rung}")])
            .args(&cases)
            .env("ONLAY", env!("CARGO_BIN_EXE_onlay"))
            .output();
        let comparison = Run::of(comparison.expect("python3 runs"));
        assert!(
            comparison.code == Some(0),
            "{rung}\n{}{}",
            comparison.stdout,
            comparison.stderr
        );
    }
}

/// What was recorded of each case, by its name; without those that fail, and those that differ on purpose.
fn recorded() -> BTreeMap<String, Value> {
    let directory = PathBuf::from(REPOSITORY).join("tests/dockerfiles");
    let allowed = fs::read_to_string(directory.join("allowed-differences.toml")).unwrap();
    fs::read_dir(directory)
        .unwrap()
        .filter_map(|case| {
            let case = case.unwrap();
            let name = case.file_name().into_string().unwrap();
            let expected = fs::read(case.path().join("expected.json")).ok()?;
            let expected: Value = serde_json::from_slice(&expected).unwrap();
            let same = expected.get("failure").is_none() && !allowed.contains(&format!("\"{name}\""));
            same.then_some((name, expected))
        })
        .collect()
}

fn check(layout: &Path, name: &str, expected: &Value, base: &RootFs) {
    let on_base = expected["base"] == true;
    let strictness = if on_base {
        Strictness::LayersAbove(BASE_LAYERS)
    } else {
        Strictness::NoLayer
    };
    validate_layout(layout, "result", strictness);
    // A manifest that is not in an index is taken whatever its platform.
    let after = lines(&flatten_layout(layout, "result", &Platform::amd64()));
    let before = if on_base { lines(base) } else { BTreeMap::new() };
    let removed: Vec<_> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    let changed: BTreeMap<_, _> = after
        .iter()
        .filter(|(path, line)| before.get(*path) != Some(*line))
        .collect();
    assert_eq!(json!(changed), expected["tree"], "{name}");
    assert_eq!(json!(removed), expected["removed"], "{name}");
}

/// A line for each path, in the words of `expected.json`, which are those of the test kit without the path.
fn lines(files: &RootFs) -> BTreeMap<String, String> {
    let lines = files.to_string();
    let paths = files.files.keys();
    paths
        .zip(lines.lines())
        .map(|(path, line)| (path.clone(), line.replacen(&format!(" {path}"), "", 1)))
        .collect()
}
