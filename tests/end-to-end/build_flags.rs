//! Every flag of `docker build` is done, or refused by name with a way on; none is unknown, none swallowed.

use onlay_testkit::{Strictness, validate_layout};
use serde_json::{Value, json};

use crate::onlay::{Home, Run};

/// Uses of flags, a `!` in front of those that are refused.
const USES: &str = include_str!("../../fixtures/flags/build.txt");

/// The flags that `docker build` says it has.
const HELP: [&str; 2] = [
    include_str!("../../fixtures/flags/buildx-help.txt"),
    include_str!("../../fixtures/flags/classic-help.txt"),
];

fn context(home: &Home) {
    home.write("Dockerfile", "FROM scratch AS only\nCOPY <<E /file\nE\n");
}

/// Builds the context in the home itself.
fn build(home: &Home, flags: &[&str]) -> Run {
    home.run(&[&["build", "."], flags].concat())
}

#[test]
fn every_flag_of_docker_build_is_used_below() {
    let used: Vec<&str> = uses().map(|(_, flag)| name(flag)).collect();
    let flags = HELP.iter().flat_map(|help| help.lines());
    for line in flags.filter(|line| line.starts_with('-')) {
        let (flag, _) = line.split_once(' ').unwrap();
        // Whether it loads depends on the machine; it has a test of its own.
        assert!(used.contains(&flag) || flag == "--load", "{flag}");
    }
}

#[test]
fn every_flag_of_docker_build_is_done_or_refused() {
    for (is_refused, flag) in uses() {
        let home = Home::new();
        context(&home);
        let mut arguments = vec!["build", ".", flag];
        if flag == "--push" {
            arguments.extend(["-t", "oci:out:v"]);
        }
        let run = home.run(&arguments);
        if is_refused {
            refused(flag, &run);
        } else {
            assert_eq!(run.code, Some(0), "{flag}: {}", run.stderr);
        }
    }
}

/// It ended before anything was done, with the flag's name and a way on.
#[track_caller]
fn refused(flag: &str, run: &Run) {
    let long = match name(flag) {
        "-D" => "--debug",
        "-c" => "--cpu-shares",
        "-m" => "--memory",
        other => other,
    };
    assert_eq!(run.code, Some(2), "{flag}: {}", run.stderr);
    assert!(run.stderr.contains(long), "{flag}: {}", run.stderr);
    let has_way_on = ["\nhint: ", "write ", "expected ", "use "]
        .iter()
        .any(|words| run.stderr.contains(words));
    assert!(has_way_on, "{flag}: {}", run.stderr);
    assert!(
        !run.stderr.contains("unexpected argument"),
        "{flag}: {}",
        run.stderr
    );
    assert_eq!(run.stdout, "", "{flag}");
}

fn uses() -> impl Iterator<Item = (bool, &'static str)> {
    let lines = USES.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| match line.strip_prefix("! ") {
        Some(flag) => (true, flag),
        None => (false, line),
    })
}

fn name(flag: &str) -> &str {
    flag.split('=').next().unwrap_or(flag)
}

#[test]
fn all_refusals_come_at_once() {
    let home = Home::new();
    context(&home);
    let run = build(
        &home,
        &[
            "--ulimit=nofile=1",
            "--squash",
            "--squash=false",
            "-t",
            "oci:out:v",
        ],
    );
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("--ulimit") && run.stderr.contains("--squash"),
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
fn docker_loads_what_it_is_given() {
    let home = Home::new();
    context(&home);
    let run = Run::of(
        home.command(&["build", ".", "--load", "-t", "app"])
            .env("PATH", home.path())
            .output()
            .unwrap(),
    );
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("-o type=docker,dest=FILE"), "{}", run.stderr);

    // A program that stands in for Docker, and keeps what it is given.
    let docker = home.write(
        "bin/docker",
        "#!/bin/sh\nset -e\n[ \"$1\" = load ]\nshift $(($# - 1))\ncat \"$1\" >> \"$HOME/loaded.tar\"\n",
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(docker, mode).unwrap();
    let path = format!("{}:/usr/bin:/bin", home.join("bin").display());
    for flags in [&["--load"][..], &["-o", "type=docker"]] {
        let arguments = [
            &["build", ".", "-t", "app", "--metadata-file", "made.json"],
            flags,
        ]
        .concat();
        let run = Run::of(home.command(&arguments).env("PATH", &path).output().unwrap()).success();
        assert!(!run.stderr.contains("nothing was published"), "{}", run.stderr);
        let archive = std::fs::read(home.join("loaded.tar")).unwrap();
        let archive = String::from_utf8_lossy(&archive);
        assert!(archive.contains(r#""RepoTags":["app:latest"]"#), "{archive}");
        std::fs::remove_file(home.join("loaded.tar")).unwrap();
        let made = std::fs::read_to_string(home.join("made.json")).unwrap();
        assert!(made.contains("app:latest"), "{made}");
    }
    let run = build(
        &home,
        &["--load", "--platform", "linux/amd64", "--platform=linux/arm64"],
    );
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("one platform"), "{}", run.stderr);
}

#[test]
fn what_is_not_to_be_published_is_not() {
    let home = Home::new();
    context(&home);
    for flag in ["--push=false", "--no-push"] {
        let run = build(&home, &["-t", "oci:out:v", flag]).success();
        assert!(!run.stderr.contains("nothing was published"), "{}", run.stderr);
        assert!(!home.join("out").exists(), "{flag}");
    }
    for flags in [
        ["--no-push", "--push"],
        ["--no-push", "--load"],
        ["--no-push", "-otype=cacheonly"],
    ] {
        let run = build(&home, &[&flags[..], &["-t", "oci:out:v"]].concat());
        assert_eq!(run.code, Some(2), "{flags:?}");
    }
}

#[test]
fn platforms_may_be_given_one_by_one() {
    let home = Home::new();
    context(&home);
    let both = ["--platform", "linux/amd64", "--platform", "linux/arm64"];
    let apart = build(&home, &[&both[..], &["-t", "oci:out:v"]].concat()).success();
    let together = build(&home, &["--platform=linux/amd64,linux/arm64", "-t", "oci:out:w"]).success();
    assert_eq!(apart.digest(), together.digest());
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
        "index:a=1",
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
    home.write("Dockerfile", "FROM base\nUSER me\n");
    let run = build(&home, &["--check", "--build-context=base=oci-layout://nowhere"]).success();
    let said = "the base `oci:nowhere` was not looked at";
    assert!(run.stderr.contains(said), "{}", run.stderr);
}

#[test]
fn programs_are_told_a_json_object_a_line() {
    let home = Home::new();
    context(&home);
    let objects = |flags: &[&str]| -> Vec<Value> {
        let run = build(&home, flags).success();
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        run.stderr.lines().map(parse).collect()
    };
    let told = objects(&["-t", "oci:out:v", "--progress=json", "--explain"]);
    let events: Vec<&str> = told
        .iter()
        .filter_map(|object| object["event"].as_str())
        .collect();
    assert_eq!(events, ["step", "created", "published", "network"]);
    assert_eq!(told[0]["place"], json!("./Dockerfile:2"));
    assert_eq!(told[0]["how"], json!("copied"));
    assert_eq!(told[2]["name"], json!("oci:out:v"));
    let told = objects(&["--progress=rawjson"]);
    let name = told[0]["vertexes"][0]["name"].as_str().unwrap();
    assert!(name.ends_with("Dockerfile:2] COPY <<E /file"), "{name}");
    let warnings = &told.last().unwrap()["warnings"];
    assert_eq!(warnings[0]["level"], json!(1), "{warnings}");
    let run = build(&home, &["--progress=none"]).success();
    assert_eq!(run.stderr, "");
}
