//! Same inputs, same bytes: whatever the user, umask, time zone, locale, directory, number of threads, processor or day.

use std::os::unix::process::CommandExt;
use std::process::Command;

use onlay_testkit::TestBase;

use crate::onlay::{Home, Run, VAULT};

/// Lines that touch every part of a layer.
const LINES: [&str; 5] = [
    "RUN mkdir -p /opt/new/deep && chmod 2755 /opt/new && echo hello > /opt/new/deep/file && ln -s file /opt/new/deep/link",
    "RUN rm -rf /usr/share && touch /tmp/x && chown app /tmp/x",
    "WORKDIR /srv/app",
    "ENV A=1",
    "RUN cp /etc/passwd /srv/app/ && mv /etc/group /srv/app/",
];

fn digest_of(command: &mut Command) -> String {
    Run::of(command.output().unwrap()).success().digest()
}

#[test]
fn under_every_condition() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let apply: Vec<&str> = ["apply", &base]
        .into_iter()
        .chain(LINES)
        .chain(VAULT)
        .chain(["--shell=builtin"])
        .collect();
    let expected = home.run(&apply).success().digest();

    let elsewhere = Home::new();
    let at = |variable: &str, value: &str| {
        let mut command = elsewhere.command(&apply);
        command.env(variable, value);
        command
    };
    assert_eq!(digest_of(&mut at("TZ", "Pacific/Kiritimati")), expected);
    assert_eq!(digest_of(&mut at("LC_ALL", "tr_TR.UTF-8")), expected);
    assert_eq!(digest_of(&mut at("HOME", "/nonexistent")), expected);
    assert_eq!(digest_of(at("TMPDIR", "/nonexistent").current_dir("/")), expected);

    // Another user and umask: the base and the binary must be readable for it.
    let open = |path: &std::path::Path| {
        Command::new("chmod")
            .args(["-R", "a+rX"])
            .arg(path)
            .status()
            .unwrap();
    };
    open(home.path());
    open(elsewhere.path());
    let mut other_user = Command::new("sh");
    let script = "umask 077; exec \"$0\" \"$@\"";
    other_user
        .args(["-c", script, env!("CARGO_BIN_EXE_onlay")])
        .args(&apply)
        .env_clear()
        .current_dir("/");
    let nobody = 65534;
    if rustix_is_root() {
        other_user.uid(nobody).gid(nobody);
    }
    assert_eq!(digest_of(&mut other_user), expected);

    // One processor of those there are.
    let mut one = Command::new("taskset");
    one.args(["-c", "0", env!("CARGO_BIN_EXE_onlay")])
        .args(&apply)
        .env_clear();
    assert_eq!(digest_of(&mut one), expected);
}

fn rustix_is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// zlib-rs has faster code for newer processors, which must not choose other matches.
#[test]
fn the_compressor_on_older_processors() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    // A file of the base is written again, so that there is something to compress.
    let apply = [
        "apply",
        &base,
        "RUN cp -r /usr /copy",
        "RUN chmod -R u+w /copy",
        "--shell=builtin",
    ];
    let expected = home.run(&apply).success().digest();
    for processor in ["qemu64", "Nehalem", "Haswell"] {
        let mut emulated = Command::new("qemu-x86_64");
        emulated
            .args(["-cpu", processor, env!("CARGO_BIN_EXE_onlay")])
            .args(apply)
            .env_clear()
            .env("HOME", home.path());
        assert_eq!(digest_of(&mut emulated), expected, "{processor}");
    }
}

#[test]
fn the_time_is_asked_for_or_the_bases() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let plain = home.apply_vault(&base, &["-t", "oci:plain"]);
    assert!(plain.stderr.contains("from the base"), "{}", plain.stderr);

    let fixed = home.apply_vault(&base, &["--timestamp", "2026-01-31T08:00:00Z"]);
    let seconds = home.apply_vault(&base, &["--timestamp", "1769846400"]);
    assert_eq!(fixed.digest(), seconds.digest());
    assert_ne!(fixed.digest(), plain.digest());

    let home = home.with_variable("SOURCE_DATE_EPOCH", "1769846400");
    let variable = home.apply_vault(&base, &[]);
    assert_eq!(variable.digest(), fixed.digest());
    assert!(
        variable
            .stderr
            .contains("2026-01-31T08:00:00Z, from SOURCE_DATE_EPOCH"),
        "{}",
        variable.stderr
    );
}

/// In a git checkout the commit's time is the build's, whatever the files' own times are.
#[test]
fn a_git_checkout_gives_its_commit_time() {
    let home = Home::new();
    let base = home
        .test_base(&TestBase::FULL)
        .replacen("oci:", "oci-layout://", 1);
    home.write("checkout/Dockerfile", "FROM base\nENV A=1\n");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .current_dir(home.join("checkout"))
            .args(["-c", "user.name=t", "-c", "user.email=t@example"])
            .args(arguments);
        command
            .env("GIT_COMMITTER_DATE", "1769846400 +0000")
            .env("HOME", home.path());
        assert!(command.output().unwrap().status.success());
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    let build = [
        "build",
        "--build-context",
        &format!("base={base}"),
        "--no-push",
        "checkout",
    ];
    let run = home.run(&build).success();
    assert!(
        run.stderr
            .contains("created 2026-01-31T08:00:00Z, from the context's commit"),
        "{}",
        run.stderr
    );
}
