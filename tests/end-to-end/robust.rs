//! What a machine or a mistake may do to a run: nothing panics, and nothing is silently something else.

use std::fs::File;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::Stdio;
use std::time::{Duration, Instant};

use onlay_testkit::TestBase;

use crate::onlay::{Home, Run};

#[test]
fn nobody_has_to_read_what_is_printed() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let arguments = ["apply", &base, "RUN mkdir /q", "-t", "oci:out:v"];
    let full = || File::options().write(true).open("/dev/full").unwrap();

    let output = home.command(&arguments).stdout(full()).output().unwrap();
    let run = Run::of(output);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr
            .contains("failed to print to standard output: oci:out:v@sha256:"),
        "{}",
        run.stderr
    );

    let status = home
        .command(&arguments)
        .stdout(Stdio::null())
        .stderr(full())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));

    let mut closed = home.command(&arguments);
    let mut child = closed
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn archives_take_the_place_of_files_only() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let write = |name: &str| home.run(&["apply", &base, "ENV A=b", "--platform=linux/amd64", "-t", name]);
    let pipe = home.join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for scheme in ["oci-archive", "docker-archive"] {
        let run = write(&format!("{scheme}:pipe"));
        assert_eq!(run.code, Some(1));
        assert!(run.stderr.contains("no regular file"), "{}", run.stderr);
    }
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());

    std::fs::write(home.join("real.tar"), "").unwrap();
    symlink("real.tar", home.join("link.tar")).unwrap();
    write("oci-archive:link.tar").success();
    assert!(
        std::fs::symlink_metadata(home.join("link.tar"))
            .unwrap()
            .is_symlink()
    );
    assert!(std::fs::metadata(home.join("real.tar")).unwrap().len() > 1024);
}

#[test]
fn names_of_whiteouts_are_refused() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    home.write("context/.wh.etc", "");
    for line in [
        "RUN touch /.wh.etc",
        "RUN mkdir /etc/.wh..wh..opq",
        "COPY .wh.etc /",
    ] {
        let run = home.run(&["apply", &base, line, "--context", "context", "-t", "oci:out:v"]);
        assert_eq!(run.code, Some(1), "{line}");
        assert!(run.stderr.contains("named like a whiteout"), "{}", run.stderr);
    }
}

#[test]
fn files_for_scripts_are_looked_at_first() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    for flag in ["--iidfile=missing/iid", "--metadata-file=base"] {
        let run = home.run(&["apply", &base, "ENV A=b", "-t", "oci:out:v", flag]);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(!home.join("out").exists(), "something was published");
    }
}

#[test]
fn variables_that_double_are_stopped() {
    let home = Home::new();
    let doubling = "ENV A=$A$A\n".repeat(40);
    home.write(
        "Dockerfile",
        &format!("FROM scratch\nENV A=xxxxxxxxxx\n{doubling}"),
    );
    let run = home.run(&["build", "."]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("this expands to"), "{}", run.stderr);
}

/// Not a measurement: what took minutes takes a second, and the limit is where something is wrong.
#[test]
fn many_names_and_deep_paths_are_no_trap() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let names: String = (0..20_000).map(|number| format!(" /tmp/{number}")).collect();
    let deep = "/a".repeat(1_000);
    home.write("lines", &format!("RUN touch{names}\nRUN mkdir -p {deep}\n"));
    let start = Instant::now();
    home.run(&["apply", &base, "-f", "lines", "-t", "oci:out:v"])
        .success();
    assert!(start.elapsed() < Duration::from_secs(120));
    home.write("lines", &format!("RUN mkdir -p {}\n", "/a".repeat(100_000)));
    let run = home.run(&["apply", &base, "-f", "lines"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("File name too long"), "{}", run.stderr);
}
