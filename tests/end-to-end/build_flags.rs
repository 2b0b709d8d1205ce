//! Every flag of `docker build` is done, or refused by name with a way on; none is unknown, none swallowed.

use onlay_testkit::{Strictness, validate_layout};
use serde_json::{Value, json};

use crate::onlay::{Home, Run};

const FLAGS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fixtures/flags/build.txt"
));

/// What must be done when it is given, beside the flags of the table that are refused.
const REFUSED: &[&str] = &[
    "--add-host",
    "--allow",
    "--attest",
    "--builder",
    "--cache-from",
    "--cache-to",
    "--cgroup-parent",
    "--cpu-period",
    "--cpu-quota",
    "--cpu-shares",
    "--cpuset-cpus",
    "--cpuset-mems",
    "--debug",
    "-D",
    "--detach",
    "--invoke",
    "--isolation=hyperv",
    "--memory",
    "-m",
    "--memory-swap",
    "--network=host",
    "--policy",
    "--print",
    "--provenance=mode=max",
    "--root",
    "--sbom=true",
    "--secret",
    "--security-opt",
    "--server-config",
    "--shm-size",
    "--squash",
    "--ssh",
    "--stream",
    "--ulimit",
];

fn context(home: &Home) {
    home.write("Dockerfile", "FROM scratch AS only\nCOPY <<E /file\nE\n");
}

/// Builds the context in the home itself.
fn build(home: &Home, flags: &[&str]) -> Run {
    home.run(&[&["build", "."], flags].concat())
}

#[test]
fn every_flag_of_docker_build_is_known() {
    let flags = FLAGS.lines().filter(|line| line.starts_with('-'));
    for flag in flags {
        let home = Home::new();
        context(&home);
        let mut arguments = vec!["build", ".", flag];
        if matches!(flag, "--push") {
            arguments.extend(["-t", "oci:out:v"]);
        }
        let run = home.run(&arguments);
        assert!(
            !run.stderr.contains("unexpected argument"),
            "{flag}: {}",
            run.stderr
        );
        let name = flag.split('=').next().unwrap_or(flag);
        let is_refused = REFUSED.iter().any(|refused| *refused == flag || *refused == name);
        if is_refused {
            let long = match name {
                "-D" => "--debug",
                "-m" => "--memory",
                other => other,
            };
            assert_eq!(run.code, Some(2), "{flag}: {}", run.stderr);
            assert!(run.stderr.contains(&format!("`{long}")), "{flag}: {}", run.stderr);
            assert!(
                run.stderr.contains("is not supported: "),
                "{flag}: {}",
                run.stderr
            );
        } else if flag == "--load" {
            assert_eq!(run.code, Some(2), "{}", run.stderr);
            assert!(run.stderr.contains("give it one with -t"), "{}", run.stderr);
        } else {
            assert_eq!(run.code, Some(0), "{flag}: {}", run.stderr);
        }
    }
}

#[test]
fn all_refusals_come_at_once() {
    let home = Home::new();
    context(&home);
    let run = build(
        &home,
        &["--ssh=default", "--squash", "--squash=false", "-t", "oci:out:v"],
    );
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("--ssh") && run.stderr.contains("--squash"),
        "{}",
        run.stderr
    );
    assert!(!home.join("out").exists());
}

#[test]
fn outputs_name_places() {
    let home = Home::new();
    context(&home);
    let name = ["-t", "example.com/app:7"];
    let layout = build(
        &home,
        &[&name[..], &["-o", "type=oci,dest=out,tar=false"]].concat(),
    )
    .success();
    let report = validate_layout(&home.join("out"), "7", Strictness::NoLayer);
    assert_eq!(layout.digest(), report.digest);
    let both = ["-o", "type=oci,dest=out.tar", "-o", "type=docker,dest=docker.tar"];
    build(&home, &[&name[..], &both].concat()).success();
    assert!(home.join("out.tar").exists() && home.join("docker.tar").exists());
    let run = build(&home, &["-o", "out"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("type=oci,dest=FILE"), "{}", run.stderr);
}

#[test]
fn a_build_without_destination_says_so() {
    let home = Home::new();
    context(&home);
    let run = build(&home, &[]).success();
    assert!(run.stderr.contains("nothing was published"), "{}", run.stderr);
    let run = build(&home, &["--push"]);
    assert_eq!(run.code, Some(2));
    let run = build(&home, &["-t", "myapp"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("`-t myapp`"), "{}", run.stderr);
}

#[test]
fn files_tell_scripts_what_was_made() {
    let home = Home::new();
    context(&home);
    let run = build(
        &home,
        &[
            "-t",
            "oci:out:v",
            "--iidfile",
            "iid",
            "--metadata-file",
            "metadata.json",
            "--quiet",
        ],
    );
    let digest = run.success().digest();
    let read = |name: &str| std::fs::read_to_string(home.join(name)).unwrap();
    let metadata: Value = serde_json::from_str(&read("metadata.json")).unwrap();
    assert_eq!(metadata["containerimage.digest"], json!(digest));
    assert_eq!(metadata["containerimage.config.digest"], json!(read("iid")));
    assert_eq!(metadata["containerimage.descriptor"]["digest"], json!(digest));
}

#[test]
fn annotations_go_where_they_say() {
    let home = Home::new();
    context(&home);
    build(
        &home,
        &[
            "--annotation",
            "a=1",
            "--annotation",
            "manifest:b:c=2",
            "-t",
            "oci:out:v",
        ],
    )
    .success();
    let report = validate_layout(&home.join("out"), "v", Strictness::NoLayer);
    let blob = report.digest.replacen(':', "/", 1);
    let manifest = std::fs::read(home.join("out/blobs").join(blob)).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["annotations"], json!({"a": "1", "b:c": "2"}));
    for text in [
        "index-descriptor:a=1",
        "manifest[linux/amd64]:a=1",
        "other:a=1",
        "novalue",
    ] {
        let run = build(&home, &["--annotation", text, "-t", "oci:out:v"]);
        assert_eq!(run.code, Some(2), "{text}");
    }
}

#[test]
fn checks_are_buildkits() {
    let home = Home::new();
    home.write("Dockerfile", "from scratch as Only\nMAINTAINER me\nCMD true\n");
    let run = build(&home, &["--check"]);
    assert_eq!(run.code, Some(1));
    for rule in ["StageNameCasing", "MaintainerDeprecated", "JSONArgsRecommended"] {
        assert!(run.stdout.contains(rule), "{}", run.stdout);
    }
    assert!(
        run.stderr.contains("3 warnings") || run.stderr.contains("warnings have been found"),
        "{}",
        run.stderr
    );
    let run = build(&home, &["--check", "--format", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["warnings"][0]["ruleName"], json!("StageNameCasing"));
    let run = build(&home, &["--call=targets,format=json"]).success();
    let targets: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(targets["targets"][0]["name"], json!("only"), "{targets}");

    let run = build(&home, &["-t", "oci:out:v"]).success();
    assert!(
        run.stderr.contains("warning: MaintainerDeprecated"),
        "{}",
        run.stderr
    );
    home.write("Dockerfile", "# check=error=true\nFROM scratch\nMAINTAINER me\n");
    let run = build(&home, &["-t", "oci:strict:v"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("MaintainerDeprecated"), "{}", run.stderr);
    assert!(!home.join("strict").exists(), "nothing is published");
    home.write("Dockerfile", "FROM scratch\nUSER me\n");
    build(&home, &["--check"]).success();
}
