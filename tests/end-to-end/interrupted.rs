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
    wait_until(reached);
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

/// Waits for what a run is to come to, for as long as a busy machine may take: a signal that is sent before shows nothing.
fn wait_until(is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "it does not come to that"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
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

/// A number that looks random and is the same in every run.
fn scattered(seed: u64) -> u64 {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state ^= state >> 29;
    state.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}

/// At whatever moment it is killed: the tag names nothing or the whole image, and the next run completes it.
#[test]
fn killed_a_hundred_times_the_next_run_completes_it() {
    let home = Home::new();
    let registry = Registry::start();
    home.test_base(&TestBase::FULL);
    upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
    let base = format!("{}/base:1", registry.host());
    let arguments = |name: &str| -> Vec<String> {
        let destination = format!("{}/{name}:v", registry.host());
        let words = ["apply", &base]
            .into_iter()
            .chain(VAULT)
            .chain(["-t", &destination]);
        words.map(str::to_owned).collect()
    };
    let start = std::time::Instant::now();
    home.run(&arguments("first")).success();
    let cold = start.elapsed();
    let start = std::time::Instant::now();
    let digest = home.run(&arguments("second")).success().digest();
    let (shortest, longest) = (Duration::from_millis(2), cold.max(start.elapsed()));
    let mut absent = 0;
    for round in 0..100_u64 {
        let name = format!("out{round}");
        let mut child = home
            .command(&arguments(&name))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let share = f64::from(u32::try_from(scattered(round) % 1000).unwrap()) / 1000.0;
        std::thread::sleep(shortest + longest.mul_f64(share));
        // It may have ended already.
        let _ = child.kill();
        child.wait().unwrap();
        let check = || onlay_testkit::check_registry(registry.host(), &name, "v", None, Strictness::NoLayer);
        match check() {
            Ok(report) => assert_eq!(report.digest, digest),
            Err(problems) => {
                let is_absent = problems.iter().any(|problem| problem.contains("404"));
                assert!(
                    is_absent,
                    "round {round}: half an image has the tag: {problems:?}"
                );
                absent += 1;
            }
        }
        assert_eq!(home.run(&arguments(&name)).success().digest(), digest);
        assert_eq!(check().expect("it is whole").digest, digest);
    }
    assert!(
        (10..100).contains(&absent),
        "the kills were spread badly: {absent} came before the tag"
    );
}

/// SIGTERM while the tag itself is on its way: the answer is waited for, so that it is known what became of it.
#[test]
fn a_tag_that_is_being_moved_is_waited_for() {
    let home = Home::new();
    let registry = Registry::start();
    let base = home.test_base(&TestBase::FULL);
    let front = Front::start(registry.host(), FrontAuth::Registry);
    front.inject(Fault::times(
        1,
        "PUT",
        "/manifests/v",
        Misbehaviour::Stall(Duration::from_secs(2)),
    ));
    let destination = format!("{}/out:v", front.host());
    let child = home
        .command(&["apply", &base, "ENV A=1", "-t", &destination])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let is_moving = || {
        let requests = front.requests();
        requests
            .iter()
            .any(|request| request.method == "PUT" && request.path.ends_with("/manifests/v"))
    };
    wait_until(is_moving);
    let terminated = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(terminated.success());
    let run = Run::of(child.wait_with_output().unwrap());
    assert!(run.stderr.contains(&format!("{destination}: ")), "{}", run.stderr);
    validate_registry(registry.host(), "out", "v", None, Strictness::NoLayer);
}
