//! `RUN --mount`, of every type and on each rung for real. They need root and a kernel that allows namespaces to it.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use onlay_testkit::{FileKind, Platform, RootFs, TestBase, flatten_layout};

use crate::onlay::{Home, Run};

const RUNGS: [&str; 3] = ["namespaces", "chroot", "ptrace"];

struct Case {
    home: Home,
    base: String,
}

impl Case {
    fn new() -> Self {
        let home = Home::new();
        let base = home.test_base(&TestBase {
            busybox: Some("/bin/busybox".into()),
            ..TestBase::FULL
        });
        std::fs::create_dir(home.join("tmp")).unwrap();
        std::fs::create_dir(home.join("context")).unwrap();
        Self { home, base }
    }

    fn build(&self, rung: &str, lines: &str, more: &[&str]) -> Run {
        let text = format!("FROM base\n{lines}\n");
        std::fs::write(self.home.join("Dockerfile"), text).unwrap();
        let named = format!("base=oci-layout://{}", self.base.trim_start_matches("oci:"));
        let arguments = [
            &[
                "build",
                "-f",
                "Dockerfile",
                "--platform",
                "linux/amd64",
                "--tmp-dir",
                "tmp",
            ],
            &["--cache-dir", "cache", "-t", "oci:out", "--run", rung][..],
            more,
            &["--build-context", &named, "context"],
        ];
        self.home.run(&arguments.concat())
    }

    /// What it prints when it does not succeed.
    fn refusal(&self, rung: &str, lines: &str, more: &[&str]) -> String {
        let run = self.build(rung, lines, more);
        assert_ne!(run.code, Some(0), "{lines}: {}", run.stderr);
        run.stderr
    }

    fn files(&self, rung: &str, lines: &str, more: &[&str]) -> RootFs {
        let run = self.build(rung, lines, more).success();
        assert!(
            std::fs::read_dir(self.home.join("tmp")).unwrap().next().is_none(),
            "{}",
            run.stderr
        );
        flatten_layout(&self.home.join("out"), "latest", &Platform::amd64())
    }

    fn base_files(&self) -> RootFs {
        flatten_layout(&self.home.join("base"), "1", &Platform::amd64())
    }
}

/// The names that are not in the base.
fn added(files: &RootFs, base: &RootFs) -> Vec<String> {
    let added = files.files.keys().filter(|name| !base.files.contains_key(*name));
    added.cloned().collect()
}

fn size(files: &RootFs, name: &str) -> u64 {
    match &files.files[name].kind {
        FileKind::Regular { size, .. } => *size,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn files_are_mounted_and_gone_afterwards() {
    let case = Case::new();
    std::fs::write(case.home.join("context/a"), "of the context").unwrap();
    std::fs::create_dir(case.home.join("context/dir")).unwrap();
    std::fs::write(case.home.join("context/dir/b"), "below").unwrap();
    let lines = "RUN mkdir /etc/over && echo kept > /etc/over/kept\n\
        FROM scratch AS other\nCOPY a /stage/a\n\
        FROM base\n\
        RUN mkdir /etc/over && echo kept > /etc/over/kept\n\
        RUN --mount=target=/src --mount=type=bind,from=other,source=/stage,target=/etc/over,rw \
            --mount=type=bind,source=dir/b,target=/new/deep/file --mount=type=tmpfs,target=/mem \
            cat /src/a /src/dir/b /etc/over/a /new/deep/file > /out; echo x > /etc/over/thrown; echo y > /mem/away; \
            test ! -e /etc/over/kept && test $(wc -c < /new/deep/file) = 5\n\
        RUN test -e /etc/over/kept && test ! -e /etc/over/a && test ! -e /src && test ! -e /mem && test ! -e /new";
    let mut all = RUNGS.map(|rung| case.files(rung, lines, &[])).into_iter();
    let first = all.next().unwrap();
    assert_eq!(
        added(&first, &case.base_files()),
        ["etc/over", "etc/over/kept", "out"]
    );
    assert_eq!(size(&first, "out"), 14 + 5 + 14 + 5);
    assert!(all.all(|other| other == first));
}

#[test]
fn lines_over_mounted_files_are_interpreted_where_they_can_be() {
    let case = Case::new();
    std::fs::write(case.home.join("context/a"), "of the context").unwrap();
    let lines = "RUN --mount=target=/src --mount=type=tmpfs,target=/mem cp /src/a /copied && touch /mem/x";
    let interpreted = case.files("interpret", lines, &[]);
    assert_eq!(added(&interpreted, &case.base_files()), ["copied"]);
    assert!(
        RUNGS
            .iter()
            .all(|rung| case.files(rung, lines, &[]) == interpreted)
    );
    let failed = case.refusal("interpret", "RUN --mount=type=cache,target=/c touch /c/x", &[]);
    assert!(failed.contains("a cache, a secret or an agent"), "{}", failed);
}

#[test]
fn what_is_read_only_cannot_be_written() {
    let case = Case::new();
    std::fs::write(case.home.join("context/a"), "of the context").unwrap();
    for rung in RUNGS.iter().chain(&["auto"]) {
        for line in ["echo x > /src/a", "rm /src/a", "touch /src/new", "chmod 700 /src"] {
            let run = case.build(rung, &format!("RUN --mount=target=/src {line}"), &[]);
            assert_ne!(run.code, Some(0), "{rung} {line}");
        }
        let gone = case.build(rung, "RUN --mount=target=/src,rw rm -r /src", &[]);
        assert_ne!(gone.code, Some(0), "{rung}: {}", gone.stderr);
    }
    // Writing is thrown away where it is allowed, and the context stays as it is.
    let files = case.files(
        "namespaces",
        "RUN --mount=target=/src,rw rm /src/a && echo x > /src/b",
        &[],
    );
    assert!(files == case.base_files());
    assert_eq!(std::fs::read_dir(case.home.join("context")).unwrap().count(), 1);
}

#[test]
fn caches_are_kept_from_build_to_build_and_from_line_to_line() {
    let case = Case::new();
    let base = case.base_files();
    let add = "RUN --mount=type=cache,target=/var/cache/c echo line >> /var/cache/c/lines; \
        chown 7:8 /var/cache/c/lines; chmod 4711 /var/cache/c/lines; ln -sf lines /var/cache/c/link\n";
    let show = "RUN --mount=type=cache,id=/var/cache/c,target=/elsewhere,ro \
        stat -c '%a %u %g' /elsewhere/lines /elsewhere > /shown; wc -l < /elsewhere/link >> /shown; cat /shown";
    for (index, rung) in RUNGS.iter().enumerate() {
        let run = case.build(rung, &format!("{add}{add}{show}"), &[]).success();
        assert!(run.stderr.contains("4711 7 8"), "{rung}: {}", run.stderr);
        assert!(run.stderr.contains("755 0 0"), "{rung}: {}", run.stderr);
        let lines = (index + 1) * 2;
        let ends = run
            .stderr
            .lines()
            .any(|line| line.trim_end().ends_with(&format!(" {lines}")));
        assert!(ends, "{rung} {lines}: {}", run.stderr);
        let files = flatten_layout(&case.home.join("out"), "latest", &Platform::amd64());
        assert_eq!(added(&files, &base), ["shown"]);
    }
    // What a failed command left is kept too, and one with another owner is another cache's beginning.
    let failing = "RUN --mount=type=cache,id=f,target=/f,uid=5,gid=6,mode=0700 touch /f/x && false";
    assert_ne!(case.build("namespaces", failing, &[]).code, Some(0));
    let found =
        "RUN --mount=type=cache,id=f,target=/f test -e /f/x && test \"$(stat -c '%a %u %g' /f)\" = '700 5 6'";
    case.build("chroot", found, &[]).success();
}

#[test]
fn a_cache_starts_from_what_it_is_given() {
    let case = Case::new();
    std::fs::write(case.home.join("context/a"), "of the context").unwrap();
    let lines = "FROM scratch AS seed\nCOPY a /seed/a\nFROM base\n\
        RUN --mount=type=cache,target=/c,from=seed,source=/seed ls /c && echo b > /c/b\n\
        RUN --mount=type=cache,target=/c,from=seed,source=/seed test -e /c/a && test -e /c/b\n\
        RUN --mount=type=cache,target=/c test ! -e /c/a";
    case.build("namespaces", lines, &[]).success();
}

#[test]
fn secrets_are_seen_by_the_line_that_asks_and_by_nothing_else() {
    let case = Case::new();
    let secret = "hunter2-of-the-test";
    std::fs::write(case.home.join("secret"), secret).unwrap();
    let lines = "RUN --mount=type=secret,id=s --mount=type=secret,id=s,target=/root/.token,mode=0444,uid=3,gid=4 \
            --mount=type=secret,id=s,env=TOKEN --mount=type=secret,id=missing \
            test \"$(cat /run/secrets/s)\" = \"$TOKEN\" && test \"$(stat -c '%a %u %g' /run/secrets/s)\" = '400 0 0' && \
            test \"$(stat -c '%a %u %g' /root/.token)\" = '444 3 4' && printf %s \"$TOKEN\" | wc -c > /length && \
            test ! -e /run/secrets/missing\n\
        RUN test ! -e /run/secrets && test ! -e /root/.token && test -z \"$TOKEN\"";
    for rung in RUNGS {
        let files = case.files(rung, lines, &["--secret", "id=s,src=secret"]);
        assert!(added(&files, &case.base_files()).contains(&"length".to_owned()));
        let text = std::fs::read_dir(case.home.join("out/blobs/sha256"))
            .unwrap()
            .flatten();
        for blob in text {
            let bytes = std::fs::read(blob.path()).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(secret));
        }
        let required = "RUN --mount=type=secret,id=none,required true";
        let failed = case.refusal(rung, required, &[]);
        assert!(failed.contains("--secret id=none"), "{}", failed);
        assert!(!failed.contains(secret));
    }
    let failed = case.refusal("auto", "RUN true", &["--secret", "id=x,src=absent"]);
    assert!(failed.contains("absent"), "{}", failed);
    let of_environment = "RUN --mount=type=secret,id=HOME,env=WHERE test -n \"$WHERE\"";
    case.build("namespaces", of_environment, &["--secret", "id=HOME,env=HOME"])
        .success();
}

#[test]
fn an_agent_is_asked_through_a_socket_of_the_line() {
    let case = Case::new();
    let socket = case.home.join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut question = [0; 4];
            client.read_exact(&mut question).unwrap();
            client.write_all(b"answer to ").unwrap();
            client.write_all(&question).unwrap();
        }
    });
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).unwrap();
    let agent = format!("default={}", socket.display());
    let lines = "RUN --mount=type=ssh,required test -S \"$SSH_AUTH_SOCK\" && \
        test \"$SSH_AUTH_SOCK\" = /run/buildkit/ssh_agent.0 && \
        test \"$(stat -c %a /run/buildkit/ssh_agent.0)\" = 600\n\
        RUN --mount=type=ssh,id=other test -n \"$SSH_AUTH_SOCK\" && test ! -e /run/buildkit\n\
        RUN test -z \"$SSH_AUTH_SOCK\"";
    // Of the programs at hand only perl can speak to such a socket.
    let archive =
        std::env::var("ONLAY_DEBIAN_BASE").expect("scripts/test says where the files of a Debian are");
    std::fs::copy(archive, case.home.join("context/debian.tar")).unwrap();
    let asking = "FROM scratch\nADD debian.tar /\nRUN --mount=type=ssh <<EOF\n#!/usr/bin/perl\n\
        use IO::Socket::UNIX;\nmy $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die;\n\
        print $s '1234'; $s->flush; read($s, my $answer, 14); die $answer if $answer ne 'answer to 1234';\nEOF";
    for rung in RUNGS {
        case.build(rung, asking, &["--ssh", &agent]).success();
        let files = case.files(rung, lines, &["--ssh", &agent]);
        assert!(files == case.base_files(), "{rung}");
        let failed = case.refusal(
            rung,
            "RUN --mount=type=ssh,id=o,required true",
            &["--ssh", &agent],
        );
        assert!(failed.contains("--ssh o"), "{}", failed);
    }
}

#[test]
fn scripts_with_an_interpreter_of_their_own_are_executed() {
    let case = Case::new();
    let lines = "RUN <<EOF\n#!/bin/sh -e\nfalse || echo 42 > /answer\ntest \"$0\" = /dev/pipes/EOF\nEOF\n";
    for rung in RUNGS.iter().chain(&["auto"]) {
        let files = case.files(rung, lines, &[]);
        assert_eq!(added(&files, &case.base_files()), ["answer"], "{rung}");
        assert_eq!(size(&files, "answer"), 3);
    }
}

#[test]
fn mounts_that_make_no_sense_are_refused() {
    let case = Case::new();
    let check = |mount: &str, expected: &str| {
        let printed = case.refusal("auto", &format!("RUN --mount={mount} true"), &[]);
        assert!(printed.contains(expected), "{mount}: {printed}");
    };
    check("type=cache", "cannot be mounted over");
    check("type=tmpfs,target=/", "cannot be mounted over");
    check(
        "target=/x,source=nothing",
        "`nothing` is not in the build context",
    );
    check(
        "target=/x,from=nowhere.example.invalid/x",
        "nowhere.example.invalid",
    );
    check(
        "target=/etc/passwd",
        "a directory can only be mounted over a directory",
    );
    check("type=tmpfs,target=/etc/passwd/x", "nothing can be mounted at");
}

#[test]
fn a_link_on_the_way_to_a_mount_stays_inside() {
    let case = Case::new();
    std::fs::write(case.home.join("context/a"), "of the context").unwrap();
    let lines = "RUN mkdir /real && ln -s ../../../../real /link\n\
        RUN --mount=target=/link/m cp /real/m/a /copied\n\
        RUN test ! -e /real/m";
    for rung in RUNGS {
        let files = case.files(rung, lines, &[]);
        assert_eq!(
            added(&files, &case.base_files()),
            ["copied", "link", "real"],
            "{rung}"
        );
    }
}
