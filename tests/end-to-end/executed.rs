//! RUN lines that are executed, on each rung for real. They need root and a kernel that allows namespaces to it.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use onlay_testkit::{FileKind, Platform, RootFs, TestBase, flatten_layout};

use crate::onlay::{Home, Run};

const RUNGS: [&str; 3] = ["namespaces", "chroot", "ptrace"];

/// A base with a static busybox that really runs, and a place for root filesystems.
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
        Self { home, base }
    }

    fn arguments<'a>(&'a self, rung: &'a str, lines: &[&'a str]) -> Vec<&'a str> {
        let options = [
            "--platform",
            "linux/amd64",
            "--tmp-dir",
            "tmp",
            "-t",
            "oci:out",
            "--run",
            rung,
        ];
        [&["apply", &self.base], lines, &options[..]].concat()
    }

    fn run(&self, rung: &str, lines: &[&str]) -> Run {
        self.home.run(&self.arguments(rung, lines))
    }

    /// The files after the lines.
    fn files(&self, rung: &str, lines: &[&str]) -> RootFs {
        let run = self.run(rung, lines).success();
        assert!(run.stderr.contains(&format!("sandbox: {rung}")), "{}", run.stderr);
        assert!(self.is_clean());
        flatten_layout(&self.home.join("out"), "latest", &Platform::amd64())
    }

    /// Whether no root filesystem is left.
    fn is_clean(&self) -> bool {
        std::fs::read_dir(self.home.join("tmp")).unwrap().next().is_none()
    }
}

/// The processes whose command line has a text.
fn processes(text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).replace('\0', " ").starts_with(text))
        .count()
}

#[test]
fn all_rungs_leave_the_same_files() {
    let case = Case::new();
    let lines = [
        "RUN echo text > /new && chown 7:8 /new && chmod 4755 /new && ln /new /linked && ln -s new /symbolic",
        "RUN awk 'BEGIN { print 1 + 1 }' > /computed; mkfifo /pipe; mknod /device c 1 3; mkdir -p /deep/er/and/deeper",
        "RUN rm -r /deep/er && mv /computed /deep/ && sed -i s/2/3/ /deep/computed && touch /empty",
        "RUN ln /etc/passwd /etc/passwd.linked; rm /etc/group; mkdir /etc/group; chmod 1777 /deep",
    ];
    let [namespaces, chroot, ptrace] = RUNGS.map(|rung| case.files(rung, &lines));
    assert!(namespaces == chroot);
    assert!(namespaces == ptrace);
    let file = |name: &str| &namespaces.files[name];
    let new = file("new");
    assert_eq!((new.mode, new.uid, new.gid), (0o4755, 7, 8));
    assert_eq!(new.hard_link_group, file("linked").hard_link_group);
    assert_eq!(file("etc/passwd").kind, file("etc/passwd.linked").kind);
    assert_eq!(file("etc/group").kind, FileKind::Directory);
    assert_eq!(file("deep").mode, 0o1777);
    assert!(!namespaces.files.contains_key("deep/er"));
    assert!(matches!(
        file("deep/computed").kind,
        FileKind::Regular { size: 2, .. }
    ));
    // Nothing that was only there for the commands.
    let base = flatten_layout(&case.home.join("base"), "1", &Platform::amd64());
    let added = |name: &&String| !base.files.contains_key(*name);
    let mut added: Vec<&String> = namespaces.files.keys().filter(added).collect();
    added.retain(|name| !name.starts_with("deep"));
    let expected = [
        "device",
        "empty",
        "etc/passwd.linked",
        "linked",
        "new",
        "pipe",
        "symbolic",
    ];
    assert_eq!(added, expected);
}

#[test]
fn what_does_nothing_changes_nothing() {
    let case = Case::new();
    let base = flatten_layout(&case.home.join("base"), "1", &Platform::amd64());
    for rung in RUNGS {
        let files = case.files(
            rung,
            &[
                "RUN true",
                "RUN touch -r /etc/passwd /tmp/x && rm /tmp/x; chmod 755 /etc",
            ],
        );
        assert!(files == base, "{rung}");
    }
}

#[test]
fn lines_see_each_other_whoever_carries_them_out() {
    let case = Case::new();
    let lines = [
        "RUN mkdir /interpreted && echo one > /interpreted/file",
        "RUN awk '{ print $0 \" and more\" }' /interpreted/file > /executed",
        "RUN cat /executed /interpreted/file > /both && rm /executed",
        "WORKDIR /work",
        "RUN awk 'END { print NR }' /both > count; pwd > where",
    ];
    let run = case.run("auto", &lines).success();
    let executed = run.stderr.matches(": executed").count();
    let interpreted = run.stderr.matches(": interpreted").count();
    assert_eq!((executed, interpreted), (2, 3), "{}", run.stderr);
    for (path, content) in [
        ("/both", "one and more\none\n"),
        ("/work/count", "2\n"),
        ("/work/where", "/work\n"),
    ] {
        let shown = case.home.run(&["cat", "oci:out", path]).success();
        assert_eq!(shown.stdout, content);
    }
}

#[test]
fn users_groups_and_homes_are_the_images() {
    let case = Case::new();
    for rung in RUNGS {
        let lines = [
            "RUN echo 'worker:x:1234:1235::/home/worker:/bin/sh' >> /etc/passwd; echo 'extra:x:4321:worker' >> /etc/group",
            "RUN mkdir -m 777 /w",
            "USER worker",
            "RUN (id -u; id -g; id -G; echo $HOME) > /w/id; touch /w/mine; touch /etc/not && exit 1; true",
            "USER 77:88",
            "RUN (id -u; id -g; echo $HOME) > /w/numbers",
        ];
        let files = case.files(rung, &lines);
        let mine = &files.files["w/mine"];
        assert_eq!((mine.uid, mine.gid), (1234, 1235), "{rung}");
        let shown = |path: &str| case.home.run(&["cat", "oci:out", path]).success().stdout;
        assert_eq!(shown("/w/id"), "1234\n1235\n1235 4321\n/home/worker\n");
        assert_eq!(shown("/w/numbers"), "77\n88\n/\n");
    }
    let run = case.run("chroot", &["USER nosuch", "RUN true"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("unable to find user nosuch"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_callers_umask_is_nothing_to_the_command() {
    let case = Case::new();
    for rung in RUNGS {
        let lines = [
            "USER 77:88",
            "RUN cat /etc/hosts /etc/resolv.conf > /dev/null && ls -d /dev /proc /sys > /tmp/list && umask >> /tmp/list",
        ];
        let command = case.home.command(&case.arguments(rung, &lines));
        let mut wrapped = Command::new("/bin/sh");
        wrapped
            .args(["-c", r#"umask 077 && exec "$0" "$@""#])
            .arg(command.get_program());
        wrapped.args(command.get_args()).current_dir(case.home.path());
        Run::of(wrapped.env("HOME", case.home.path()).output().unwrap()).success();
        let shown = case.home.run(&["cat", "oci:out", "/tmp/list"]).success();
        assert_eq!(shown.stdout, "/dev\n/proc\n/sys\n0022\n", "{rung}");
    }
}

#[test]
fn failures_are_told_as_buildkit_tells_them() {
    let case = Case::new();
    for rung in RUNGS {
        let run = case.run(rung, &["RUN echo said; echo loud >&2; exit 7"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
        for words in [
            "[linux/amd64]   | said\n[linux/amd64]   | loud\n",
            "process \"/bin/sh -c echo said; echo loud >&2; exit 7\" did not complete successfully: exit code: 7",
            "--> argument 1:1:1",
        ] {
            assert!(run.stderr.contains(words), "{}", run.stderr);
        }
        let run = case.run(rung, &["RUN kill -9 $$"]);
        assert!(run.stderr.contains("killed by signal 9"), "{}", run.stderr);
        let run = case.run(rung, &[r#"RUN ["nosuch", "x"]"#]);
        assert!(
            run.stderr.contains("`nosuch` is not in the image"),
            "{}",
            run.stderr
        );
        assert!(case.is_clean());
    }
}

#[test]
fn nothing_of_the_machine_gets_in() {
    let case = Case::new();
    let outside = case.home.write("outside", "secret-of-the-machine");
    let home = Home::new().with_variable("SECRET", "secret-of-the-machine");
    for rung in RUNGS {
        let line = "RUN env; cat /proc/1/environ /proc/1/maps; ls -l /proc/self/fd /proc/1/fd; cat 3<&0; \
                    cat $(find / -name outside 2>/dev/null); head -c 4 /proc/1/exe; echo end";
        let mut arguments = case.arguments(rung, &[line]);
        arguments.extend(["--progress=plain"]);
        let mut command = home.command(&arguments);
        // A descriptor that somebody left open.
        let mut wrapped = Command::new("/bin/sh");
        wrapped
            .args(["-c", r#"exec 9<"$0" && exec "$@""#, &outside])
            .arg(command.get_program());
        wrapped.args(command.get_args()).current_dir(case.home.path());
        wrapped
            .env("SECRET", "secret-of-the-machine")
            .env("HOME", home.path());
        let run = Run::of(wrapped.output().unwrap()).success();
        assert!(run.stderr.contains("| end"), "{}", run.stderr);
        assert!(!run.stderr.contains("secret-of-the-machine"), "{}", run.stderr);
        assert!(!run.stderr.contains("outside ->"), "{}", run.stderr);
        assert!(!run.stderr.contains("ELF"), "{}", run.stderr);
        command.stdin(Stdio::null());
    }
}

#[test]
fn what_programs_look_for_in_proc_is_there() {
    let case = Case::new();
    for rung in RUNGS {
        let lines = [
            "RUN readlink /proc/self/exe > /said; grep -c processor /proc/cpuinfo | grep -c '[1-9]' >> /said; \
             grep -c ' / ' /proc/mounts >> /said; echo through > /dev/stdout; exec 3< /said; wc -l < /dev/fd/3 >> /said; \
             grep -c . /proc/1/environ >> /said; grep '^Uid:' /proc/self/status >> /said; \
             ! cat /proc/self/fd/../../1/root/etc/hostname >> /said",
            "RUN mkdir -m 777 /w",
            "USER 77:88",
            "RUN echo also > /dev/stderr && grep ^Uid: /proc/self/status > /w/said",
        ];
        // As for who may look: a process of namespaces sees a first one there.
        let run = case.run(rung, &lines).success();
        assert!(
            run.stderr.contains("| through") && run.stderr.contains("| also"),
            "{rung}: {}",
            run.stderr
        );
        let said = case.home.run(&["cat", "oci:out", "/said"]).success().stdout;
        let said: Vec<&str> = said.lines().collect();
        assert_eq!(said[1..4], ["1", "1", "3"], "{rung}: {said:?} {}", run.stderr);
        assert_eq!(said.last(), Some(&"Uid:\t0\t0\t0\t0"), "{rung}: {said:?}");
        let said = case.home.run(&["cat", "oci:out", "/w/said"]).success().stdout;
        assert_eq!(said, "Uid:\t77\t77\t77\t77\n", "{rung}");
    }
}

#[test]
fn a_command_cannot_get_out() {
    let case = Case::new();
    for rung in RUNGS {
        let lines = [
            "RUN mkdir -p /tmp/jail; chroot /tmp/jail /bin/true && exit 1; mount -t tmpfs none /tmp && exit 1; \
             cd ../../../../..; ls > /tmp/up; true",
            "RUN sleep 4321 & kill -9 -1; true",
        ];
        let marker = thread::spawn(|| Command::new("sleep").arg("5432").spawn().unwrap());
        let mut marker = marker.join().unwrap();
        let files = case.files(rung, &lines);
        // It has killed what was its own, and nobody else.
        assert!(marker.try_wait().unwrap().is_none(), "{rung}");
        marker.kill().unwrap();
        marker.wait().unwrap();
        assert_eq!(processes("sleep 4321"), 0);
        assert!(files.files.contains_key("tmp/up"));
    }
}

#[test]
fn nothing_is_left_running() {
    let case = Case::new();
    for rung in RUNGS {
        case.files(rung, &["RUN sleep 6543 & (setsid sleep 6543 &) ; true"]);
        assert_eq!(processes("sleep 6543"), 0, "{rung}");
    }
}

#[test]
fn an_interrupted_build_takes_its_command_along() {
    let case = Case::new();
    for (rung, signal) in [
        ("namespaces", "INT"),
        ("chroot", "TERM"),
        ("ptrace", "INT"),
        ("namespaces", "KILL"),
        ("chroot", "KILL"),
        ("ptrace", "KILL"),
    ] {
        let mut command = case
            .home
            .command(&case.arguments(rung, &["RUN sleep 7654 & sleep 7654"]));
        let mut process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while processes("sleep 7654") < 2 {
            assert!(start.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(10));
        }
        let id = process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &id])
                .status()
                .unwrap()
                .success()
        );
        process.wait().unwrap();
        let end = Instant::now();
        while processes("sleep 7654") > 0 {
            assert!(end.elapsed() < Duration::from_secs(60), "{rung} {signal}");
            thread::sleep(Duration::from_millis(10));
        }
        // Who is killed cannot clean up.
        assert!(signal == "KILL" || case.is_clean(), "{rung} {signal}");
    }
    // The next one does, and leaves nothing itself.
    case.files("chroot", &["RUN true"]);
}

#[test]
fn a_base_with_links_that_lead_out_writes_nothing_outside() {
    let case = Case::new();
    let trap = case.home.join("trap");
    std::fs::create_dir(&trap).unwrap();
    std::fs::write(trap.join("passwd"), "worker:x:0:0::/:/bin/sh\n").unwrap();
    let link = format!(
        "RUN rm -r /dev /proc /sys; mv /etc /real && ln -s {} /etc",
        trap.display()
    );
    for rung in RUNGS {
        let run = case.run(rung, &[&link, "RUN true"]);
        let left: Vec<_> = std::fs::read_dir(&trap).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{rung}: {left:?} {}", run.stderr);
    }
}

#[test]
fn the_network_is_shut_where_that_is_asked() {
    let case = Case::new();
    let line = "RUN --network=none ls /sys/class/net > /devices; ping -c 1 127.0.0.1";
    case.files("namespaces", &[line]);
    let shown = case.home.run(&["cat", "oci:out", "/devices"]).success();
    assert_eq!(shown.stdout, "lo\n");
    for rung in ["chroot", "ptrace"] {
        let line = "RUN --network=none busybox ping -c 1 127.0.0.1 2> /said; \
                    echo | busybox nc 127.0.0.1 1 2>> /said; true";
        case.files(rung, &[line]);
        let shown = case.home.run(&["cat", "oci:out", "/said"]).success();
        let refused = shown
            .stdout
            .matches("Address family not supported by protocol")
            .count();
        assert_eq!(refused, 2, "{rung}: {}", shown.stdout);
    }
}

#[test]
fn what_the_machine_or_the_user_does_not_allow() {
    let case = Case::new();
    let line = "RUN awk 'BEGIN { print 1 }'";
    let run = case.run("never", &["RUN true"]);
    assert!(run.stderr.contains("`--run=never`"), "{}", run.stderr);
    let run = case.run("interpret", &[line]);
    assert!(
        run.stderr.contains("`--run=interpret` forbids: `awk`"),
        "{}",
        run.stderr
    );
    let arm = [
        "apply",
        &case.base,
        line,
        "-t",
        "oci:out",
        "--platform",
        "linux/arm64",
    ];
    let run = case.home.run(&arm);
    assert!(
        run.stderr
            .contains("executed for linux/arm64, which this machine"),
        "{}",
        run.stderr
    );

    // Somebody who may do nothing special.
    let open = |path: &str| {
        Command::new("chmod")
            .args(["-R", "a+rwX"])
            .arg(case.home.join(path))
            .status()
            .unwrap()
    };
    assert!(open("").success());
    let as_user = |rung: &str| {
        let mut command = case.home.command(&case.arguments(rung, &[line]));
        Run::of(command.uid(1000).gid(1000).output().unwrap())
    };
    let run = as_user("auto").success();
    for words in [
        "sandbox: ptrace (",
        "namespaces: unshare: Operation not permitted",
        "chroot: chroot: Operation not permitted",
    ] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    let run = as_user("chroot");
    assert_eq!(run.code, Some(1));
    let words = "this machine allows no sandbox: chroot: chroot: Operation not permitted";
    assert!(run.stderr.contains(words), "{}", run.stderr);
}
