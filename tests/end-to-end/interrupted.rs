//! A run that is cut off publishes nothing half, and the next one completes it.

use std::time::Duration;

use onlay_testkit::{
    Fault, Front, FrontAuth, Misbehaviour, Registry, Strictness, TestBase, upload_layout, validate_registry,
};

use crate::onlay::{Home, Run, VAULT};

fn cut_off(signal: &str, expected_code: Option<i32>) {
    let home = Home::new();
    let registry = Registry::start();
    home.test_base(&TestBase::FULL);
    upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
    let front = Front::start(registry.host(), FrontAuth::Registry);
    // The push stands still in the middle of its manifests.
    front.inject(Fault::times(
        1,
        "PUT",
        "/manifests/sha256:",
        Misbehaviour::Stall(Duration::from_secs(20)),
    ));
    let base = format!("{}/base:1", front.host());
    let destination = format!("{}/out:v", front.host());
    let arguments: Vec<&str> = ["apply", &base]
        .into_iter()
        .chain(VAULT)
        .chain(["-t", &destination])
        .collect();
    let child = home
        .command(&arguments)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let reached = || {
        front
            .requests()
            .iter()
            .any(|request| request.method == "PUT" && request.path.contains("/manifests/"))
    };
    for _ in 0..200 {
        if reached() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(200));
    let kill = std::process::Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, expected_code, "{}", run.stderr);
    assert!(run.stdout.is_empty());
    let tagged = onlay_testkit::check_registry(registry.host(), "out", "v", None, Strictness::NoLayer);
    assert!(tagged.is_err(), "the tag is there");

    home.run(&arguments).success();
    validate_registry(
        registry.host(),
        "out",
        "v",
        None,
        Strictness::LayersAbove(TestBase::LAYERS),
    );
}

#[test]
fn by_sigterm() {
    cut_off("-TERM", Some(143));
}

#[test]
fn by_ctrl_c() {
    cut_off("-INT", Some(130));
}

#[test]
fn by_kill() {
    cut_off("-KILL", None);
}
