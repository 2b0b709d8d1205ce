//! Bad input: what, where, expected and found, what to do; the exit code; and nothing is published.

use onlay_testkit::entry::{dir, file};
use onlay_testkit::{Image, Layer, Layout, Platform, TestBase};

use crate::onlay::Home;

/// Applies lines to the test base; they must fail with this code and all of these words, and publish nothing.
#[track_caller]
fn refused(lines: &[&str], code: i32, words: &[&str]) {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let mut arguments = vec!["apply", &base];
    arguments.extend(lines);
    arguments.extend(["-t", "oci:out:v"]);
    let run = home.run(&arguments);
    assert_eq!(run.code, Some(code), "{}", run.stderr);
    assert!(run.stdout.is_empty(), "{}", run.stdout);
    for word in words {
        assert!(run.stderr.contains(word), "`{word}` is not in:\n{}", run.stderr);
    }
    assert!(!home.join("out/index.json").exists(), "something was published");
}

#[test]
fn lines_that_are_wrong() {
    refused(
        &["RNU mkdir /x"],
        2,
        &[
            "unknown instruction `RNU`",
            "argument 1:1:1",
            "did you mean `RUN`?",
        ],
    );
    refused(
        &["ENV A=1", "COPY --form=x a b"],
        2,
        &[
            "unknown flag `--form`",
            "argument 2:1:6",
            "did you mean `--from`?",
        ],
    );
    refused(&["CMD [1]"], 2, &["array of strings", "argument 1:1:6"]);
    refused(&["FROM other"], 2, &["FROM is not allowed here"]);
    refused(&["EXPOSE 70000"], 2, &["70000"]);
    refused(&["STOPSIGNAL FOO"], 2, &["FOO"]);
    // All errors, not only the first.
    refused(&["RNU x", "XYZZY y"], 2, &["RNU", "XYZZY"]);
}

#[test]
fn what_this_version_does_not_do_is_refused_by_name() {
    refused(
        &["RUN --mount=type=cache,target=/x true"],
        1,
        &["argument 1:1:5", "a cache, a secret or an agent"],
    );
    refused(
        &["RUN apt-get update"],
        1,
        &["`apt-get`", "argument 1:1:5", "executed"],
    );
    refused(&["RUN mkdir /ok && curl -O x"], 1, &["`curl`", "argument 1:1:18"]);
}

#[test]
fn what_cannot_be_copied() {
    refused(
        &["COPY a /b"],
        1,
        &["argument 1:1:1", "no build context", "--context DIR"],
    );
    let out = ["--context", "."];
    refused(
        &["ENV A=1", "COPY nothing /b", out[0], out[1]],
        1,
        &["argument 2:1:6", "`/nothing` is not in the build context"],
    );
    refused(
        &["COPY --from=3 a /b"],
        1,
        &["argument 1:1:13", "there is no stage 3"],
    );
    refused(
        &["COPY --chown=nobody-here <<E /x\nE"],
        1,
        &["`nobody-here`", "/etc/passwd"],
    );
    refused(&["COPY --chmod=9 <<E /x\nE"], 1, &["invalid `--chmod=9`"]);
    refused(&["COPY <<E /bin/sh/x\nE"], 1, &["is not a directory"]);
}

#[test]
fn commands_that_fail_fail_as_they_would() {
    refused(
        &["RUN mkdir /etc"],
        1,
        &[
            "can't create directory '/etc': File exists",
            "exit code 1",
            "argument 1:1:5",
        ],
    );
    refused(
        &["RUN mkdir /a/b"],
        1,
        &["can't create directory '/a/b': No such file or directory"],
    );
    refused(
        &["RUN chmod 777 /nosuch"],
        1,
        &["/nosuch: No such file or directory"],
    );
    refused(&["RUN mkdir /ok && false"], 1, &["exit code 1"]);
    refused(&["RUN exit 7"], 1, &["exit code 7"]);
    refused(&["RUN chown nosuchuser /etc"], 1, &["nosuchuser"]);
}

#[test]
fn arguments_that_are_wrong() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let check = |arguments: &[&str], code: i32, words: &[&str]| {
        let run = home.run(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}\n{}", run.stderr);
        for word in words {
            assert!(run.stderr.contains(word), "`{word}` is not in:\n{}", run.stderr);
        }
    };
    check(&["apply", "Bad/UPPER:x y", "ENV A=1"], 2, &["Bad/UPPER"]);
    check(
        &["apply", &base, "ENV A=1", "-t", "myapp"],
        2,
        &["names no registry"],
    );
    check(
        &["apply", &base, "ENV A=1", "--platform", "linux"],
        2,
        &["os/architecture"],
    );
    check(
        &["apply", &base, "ENV A=1", "--platform", "linux/s390x"],
        1,
        &["linux/s390x", "linux/amd64, linux/arm64"],
    );
    check(&["apply", &base, "ENV A=1", "--timestamp", "noon"], 2, &["noon"]);
    check(&["apply", "oci:missing:1", "ENV A=1"], 1, &["missing"]);
    check(&["build", "-f", "nosuch", "."], 2, &["nosuch"]);
    check(&["build", "nosuchdir"], 2, &["nosuchdir"]);
    check(&["push"], 2, &["push"]);
    home.write("Dockerfile", "FROM scratch AS alpha\nENV A=1\n");
    check(
        &["build", "--target", "alph", "--no-push", "."],
        2,
        &["did you mean `alpha`?"],
    );
}

#[test]
fn a_base_with_hostile_layers() {
    let hostile = [
        (
            vec![dir("etc"), file("../../outside", "x")],
            "climbs out with `..`",
        ),
        (vec![file("/absolute", "x")], "is absolute"),
    ];
    for (entries, words) in hostile {
        let home = Home::new();
        let layout = Layout::create(home.join("base"));
        let manifest = layout.write_image(&Image::new(Platform::amd64()).layer(Layer::new(&entries)));
        layout.tag(&manifest, "1");
        let run = home.run(&[
            "apply",
            "oci:base:1",
            "RUN mkdir /etc/vault",
            "--shell=builtin",
            "-t",
            "oci:out:v",
        ]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(run.stderr.contains("layer 1 of 1"), "{}", run.stderr);
        assert!(!home.join("out/index.json").exists());
    }
}

/// The bytes of a base on disk are checked wherever they are read.
#[test]
fn a_base_that_is_damaged() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    for entry in std::fs::read_dir(home.join("base/blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let intact = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let run = home.run(&[
            "apply",
            &base,
            "RUN mkdir /etc/vault",
            "-t",
            "oci:out:v",
            "--cache-dir",
            "none",
        ]);
        // The one blob that nobody needs is an attestation's.
        if run.code == Some(0) {
            std::fs::remove_dir_all(home.join("out")).unwrap();
        } else {
            assert_eq!(run.code, Some(1), "{}", run.stderr);
            assert!(!home.join("out/index.json").exists(), "{}", run.stderr);
        }
        let _ = std::fs::remove_dir_all(home.join("none"));
        std::fs::write(&path, intact).unwrap();
    }
}

#[test]
fn nothing_panics_on_arguments_at_random() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let lines = [
        "",
        " ",
        "\u{0}",
        "RUN",
        "RUN \\",
        "RUN <<EOF",
        "RUN <<",
        "ENV",
        "ENV =",
        "ENV A=\"",
        "ENV A=${",
        "VOLUME [",
        "VOLUME [\"\"]",
        "WORKDIR",
        "WORKDIR \u{fffd}",
        "USER",
        "EXPOSE 1-99999999999",
        "HEALTHCHECK --retries=99999999999 CMD x",
        "ONBUILD ONBUILD",
        "SHELL []",
        "RUN echo $((1/0))",
        "RUN ${x:?}",
        "RUN mkdir -m 99999 /x",
        "RUN chmod u+ /etc",
        "RUN [ ",
        "RUN (((",
        "# comment",
        "RUN cd /nosuch",
        "WORKDIR /etc/passwd",
        "WORKDIR /a/../../..",
        "RUN rm -rf /",
        "RUN mkdir \"\"",
        "RUN mkdir $(",
        "RUN `",
        "RUN ''",
    ];
    for line in lines {
        if line.contains('\u{0}') {
            continue;
        }
        let run = home.run(&["apply", &base, line]);
        assert!(matches!(run.code, Some(0..=2)), "{line:?}: {run:?}");
        assert!(!run.stderr.contains("panicked"), "{line:?}: {}", run.stderr);
    }
}
