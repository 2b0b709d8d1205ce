//! COPY and ADD: out of contexts, stages and images, onto a base with every trap in it.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use onlay_testkit::{Platform, Strictness, TestBase, flatten_layout, validate_layout};

use crate::onlay::{Home, Run};

const ABOVE_BASE: Strictness = Strictness::LayersAbove(TestBase::LAYERS);

/// Builds a Dockerfile in the context `context` into the layout `out`, on the test base as `base`.
fn build(home: &Home, dockerfile: &str, more: &[&str]) -> Run {
    let base = home.test_base(&TestBase::FULL);
    home.write("context/Dockerfile", dockerfile);
    let stand_in = format!("base={}", base.replacen("oci:", "oci-layout://", 1));
    let mut arguments = vec![
        "build",
        "--build-context",
        &stand_in,
        "-t",
        "oci:out:v",
        "context",
    ];
    arguments.extend(more);
    home.run(&arguments)
}

#[test]
fn files_land_where_the_base_leads_them() {
    let home = Home::new();
    home.write("context/tool", "tool");
    home.write("context/dir/inner/file", "file");
    let dockerfile = "FROM base\nCOPY tool /bin/tool\nCOPY dir /tmp\nCOPY tool /bin/\n";
    build(&home, dockerfile, &[]).success();
    validate_layout(&home.join("out"), "v", ABOVE_BASE);
    let base = flatten_layout(&home.join("base"), "1", &Platform::amd64());
    let after = flatten_layout(&home.join("out"), "v", &Platform::amd64());
    assert_eq!(after.files["tmp"].mode, 0o1777);
    assert_eq!(after.files["usr/bin/tool"].mode, 0o644);
    assert_eq!(after.files["tmp/inner/file"].uid, 0);
    let added = ["usr/bin/tool", "tmp/inner", "tmp/inner/file"];
    let difference = after.without(&added).difference(&base);
    assert!(difference.is_empty(), "{difference:?}");
}

#[test]
fn stages_and_images_are_copied_from() {
    let home = Home::new();
    let dockerfile = "\
        FROM base AS one\n\
        RUN mkdir /made && echo x > /made/file && chmod 600 /made/file\n\
        COPY --chown=1000:1001 <<conf /made/\nhello\nconf\n\
        FROM scratch AS unneeded\n\
        COPY not-there /\n\
        FROM scratch\n\
        COPY --from=one /made /copied\n\
        COPY --from=0 /etc/passwd /etc/\n\
        COPY --from=base /etc/passwd /etc/again\n\
        COPY --chown=root:root <<a <<b /two/\n1\na\n2\nb\n";
    build(&home, dockerfile, &[]).success();
    validate_layout(&home.join("out"), "v", Strictness::NoLayer);
    let base = flatten_layout(&home.join("base"), "1", &Platform::amd64());
    let after = flatten_layout(&home.join("out"), "v", &Platform::amd64());
    assert_eq!(after.files["copied/file"].mode, 0o600);
    assert_eq!(
        (after.files["copied/conf"].uid, after.files["copied/conf"].gid),
        (1000, 1001)
    );
    assert_eq!(after.files["etc/passwd"], base.files["etc/passwd"]);
    assert_eq!(after.files["etc/again"], base.files["etc/passwd"]);
    assert!(after.files.contains_key("two/b"));
}

#[test]
fn archives_are_unpacked_by_their_content() {
    let home = Home::new();
    home.write("context/tree/a/file", "file");
    let tar = |flags: &str, name: &str| {
        let status = Command::new("tar")
            .args(["--owner=7:7", "--group=8:8", flags, name, "-C", "tree", "a"])
            .current_dir(home.join("context"))
            .status();
        assert!(status.unwrap().success());
    };
    for (flags, name) in [
        ("-cf", "plain"),
        ("-czf", "gz"),
        ("-cjf", "bz2"),
        ("-cJf", "xz"),
        ("-cf", "kept"),
    ] {
        tar(flags, name);
    }
    home.write("context/text.tar.gz", "no archive");
    let dockerfile = "FROM scratch\n\
        ADD plain /1\nADD gz /2\nADD bz2 /3\nADD xz --chown= /4\n";
    let dockerfile = dockerfile.replace("ADD xz --chown= /4", "ADD --chown=5 xz /4");
    build(
        &home,
        &format!("{dockerfile}ADD --unpack=false kept /kept\nADD text.tar.gz /text\n"),
        &[],
    )
    .success();
    let after = flatten_layout(&home.join("out"), "v", &Platform::amd64());
    for (place, owner) in [("1", (7, 8)), ("2", (7, 8)), ("3", (7, 8)), ("4", (5, 5))] {
        let file = &after.files[&format!("{place}/a/file")];
        assert_eq!((file.uid, file.gid), owner, "{place}");
    }
    assert!(after.files.contains_key("kept") && after.files.contains_key("text"));
}

#[test]
fn a_checkout_gives_one_digest_wherever_and_whenever_it_was_made() {
    let digest = |seconds: i64| {
        let home = Home::new();
        home.write("context/bin/run", "#!/bin/sh\n");
        home.write("context/Dockerfile", "FROM base\nCOPY bin /opt/bin/\n");
        let run = home.join("context/bin/run");
        std::fs::set_permissions(&run, PermissionsExt::from_mode(0o755)).unwrap();
        let git = |arguments: &[&str]| {
            let output = Command::new("git")
                .current_dir(home.join("context"))
                .args(["-c", "user.name=t", "-c", "user.email=t@example"])
                .args(arguments)
                .env("GIT_COMMITTER_DATE", "1769846400 +0000")
                .env("GIT_AUTHOR_DATE", "1769846400 +0000")
                .output();
            assert!(output.unwrap().status.success());
        };
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-qm", "first"]);
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs());
        std::fs::File::open(&run).unwrap().set_modified(time).unwrap();
        build(&home, "FROM base\nCOPY bin /opt/bin/\n", &[])
            .success()
            .digest()
    };
    assert_eq!(digest(1_780_000_000), digest(1_790_000_000));
}

#[test]
fn what_is_ignored_is_not_there() {
    let home = Home::new();
    home.write("context/.dockerignore", "secret*\n");
    home.write("context/secret.txt", "s");
    home.write("context/open.txt", "o");
    build(&home, "FROM scratch\nCOPY *.txt /\n", &[]).success();
    let after = flatten_layout(&home.join("out"), "v", &Platform::amd64());
    assert!(after.files.contains_key("open.txt") && !after.files.contains_key("secret.txt"));
    let run = build(&home, "FROM scratch\nCOPY secret.txt /\n", &[]);
    assert_eq!(run.code, Some(1));
    for words in [
        "Dockerfile:2:6",
        "`/secret.txt` is not in the build context",
        ".dockerignore",
    ] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let home = Home::new();
    home.write("context/a", "a");
    home.write("context/b", "b");
    let dockerfile = "FROM scratch\nCOPY a /\nCOPY a b /\nCOPY . /\n";
    home.write("context/.dockerignore", "Dockerfile\n.dockerignore\n");
    build(&home, dockerfile, &[]).success();
    let report = validate_layout(&home.join("out"), "v", Strictness::NoLayer);
    let names: Vec<_> = report.images[0]
        .layers
        .iter()
        .map(|layer| layer.names.clone())
        .collect();
    assert_eq!(names, [vec!["a"], vec!["b"], vec![]]);

    // On top of the image itself: the same bytes, found by their digest.
    let again = "FROM again\nCOPY . /\n";
    home.write("context/Dockerfile", again);
    home.run(&[
        "build",
        "--build-context",
        "again=oci-layout://out:v",
        "-t",
        "oci:out:w",
        "context",
    ])
    .success();
    let report = validate_layout(&home.join("out"), "w", Strictness::NoLayer);
    assert!(
        report.images[0].layers[3].names.is_empty(),
        "{:?}",
        report.images[0].layers
    );
}
