//! RUN lines of a Debian, executed on every rung and in containers with every profile that pods have, against BuildKit.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use onlay_testkit::{Platform, RootFs, flatten_layout, flatten_tar};

use crate::dockerd::Dockerd;
use crate::onlay::{Home, Run};

/// How a container is started, and the rung that it allows.
const PROFILES: &[(&str, &[&str], &str)] = &[
    ("root", &[], "chroot"),
    ("user", &["--user=1000:1000"], "ptrace"),
    (
        "restricted",
        &[
            "--user=1000:1000",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--read-only",
        ],
        "ptrace",
    ),
    ("tracing", &["--cap-add=SYS_PTRACE"], "chroot"),
];

/// Accounts, packages, scripts, capabilities, links, deep trees, and users.
///
/// Not in it: a hard link to a file of a layer below. This engine's BuildKit writes both names again, newer ones do not.
const DOCKERFILE: &str = r#"
FROM debian-base
COPY hello.deb /tmp/
RUN useradd -m -u 1234 worker && groupadd -g 4321 extra && usermod -aG extra worker
RUN dpkg -i /tmp/hello.deb
RUN perl -e 'open F, ">/etc/made"; print F "x"; close F; chown 1234, 5, "/etc/made"; chmod 0640, "/etc/made"'
RUN setcap cap_net_raw+ep /usr/bin/true && test "$(getcap /usr/bin/true)" && cp -a /usr/bin/true /srv/copied
RUN su worker -c 'touch ~/mine; id > ~/id; cat /etc/shadow > ~/shadow 2>&1; true'
RUN python3 -c 'import os; os.makedirs("/srv/a/b"); os.chown("/srv/a", 7, 8); open("/srv/a/first", "w").write("one"); os.link("/srv/a/first", "/srv/a/link"); os.mkfifo("/srv/pipe"); os.symlink("nowhere", "/srv/symlink"); os.lchown("/srv/symlink", 3, 4)'
RUN mkdir /srv/x && tar -C /usr/share -cf - perl-base | tar -C /srv/x -xf - && cp -a /srv/x /srv/y && rm -rf /srv/x/perl-base
RUN d=/srv/deep; for i in $(seq 1 200); do d=$d/directory$i; done; mkdir -p $d && echo x > $d/file && chmod 700 $d
RUN chmod 4755 /srv/copied && install -o worker -g extra -m 2750 -d /srv/shared && touch /srv/shared/of-root && rm /etc/motd
USER worker
RUN id > ~/as-user; echo $HOME >> ~/as-user; touch /etc/not 2>/dev/null || echo refused >> ~/as-user; touch /srv/shared/of-worker
USER root
RUN chown -R worker:extra /srv/deep && mknod /srv/device c 1 3 && rm -rf /tmp/hello.deb
"#;

/// Lines that are interpreted.
const INTERPRETED: &str = r#"
FROM debian-base
RUN mkdir -p /etc/vault/deep && chmod 777 /etc/vault && touch /etc/vault/deep/file
RUN chown -R 100:1000 /etc/vault && ln -s vault /etc/link && rm -rf /usr/share/doc
WORKDIR /srv/work
VOLUME ["/etc/vault"]
"#;

/// What has the time in it, or what only one of the builders makes.
const VOLATILE: &[&str] = &[
    ".dockerenv",
    "dev",
    "proc",
    "sys",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "etc/mtab",
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/cache/ldconfig/aux-cache",
];

/// A directory with the base, the Dockerfiles and what they copy, for everybody to read.
struct Bench {
    home: Home,
}

impl Bench {
    fn new() -> Self {
        let home = Home::new();
        let archive =
            std::env::var("ONLAY_DEBIAN_BASE").expect("scripts/test says where the files of a Debian are");
        home.write("context/Dockerfile", DOCKERFILE);
        home.write("context/interpreted", INTERPRETED);
        package(&home.join("context/hello.deb"), &home.join("package"));
        home.write(
            "base-context/Dockerfile",
            "FROM scratch\nADD debian.tar /\nCMD [\"bash\"]\n",
        );
        std::fs::copy(archive, home.join("base-context/debian.tar")).unwrap();
        home.run(&["build", "base-context", "-t", "oci:base:1"]).success();
        for directory in ["out", "tmp"] {
            std::fs::create_dir(home.join(directory)).unwrap();
        }
        let open = Command::new("chmod")
            .args(["-R", "a+rwX"])
            .arg(home.path())
            .status();
        assert!(open.unwrap().success());
        Self { home }
    }

    fn at(&self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }

    fn files(&self, name: &str) -> RootFs {
        flatten_layout(&self.home.join("out").join(name), "1", &Platform::amd64()).without(VOLATILE)
    }
}

/// A package with a configuration file, and a script that makes a user.
fn package(file: &Path, work: &Path) {
    let write = |name: &str, text: &str| {
        let path = work.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    write(
        "DEBIAN/control",
        "Package: hello-onlay\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: a test\n",
    );
    write("DEBIAN/conffiles", "/etc/hello.conf\n");
    write("etc/hello.conf", "a = 1\n");
    write("usr/share/hello/data", "data\n");
    let script = "#!/bin/sh\nset -e\nuseradd -r -u 222 hello-service || true\nchown hello-service: /usr/share/hello/data\n";
    let script = write("DEBIAN/postinst", script);
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let built = Command::new("dpkg-deb")
        .args(["--root-owner-group", "-b"])
        .args([work, file])
        .output();
    assert!(built.unwrap().status.success());
}

/// What Docker's builder makes of the Dockerfile.
fn of_buildkit(docker: &Dockerd, bench: &Bench) -> RootFs {
    docker.docker(&["import", &bench.at("base-context/debian.tar"), "debian-base"]);
    docker.build(&bench.at("context/Dockerfile"), "built", &bench.at("context"));
    let container = docker.docker(&["create", "built", "true"]);
    let tar = bench.home.join("exported.tar");
    docker.docker(&["export", "-o", &tar.display().to_string(), &container]);
    flatten_tar(&std::fs::read(tar).unwrap()).without(VOLATILE)
}

#[track_caller]
fn assert_same(name: &str, found: &RootFs, expected: &RootFs) {
    let difference = expected.difference(found);
    assert!(difference.is_empty(), "{name}:\n{}", difference.join("\n"));
}

#[test]
fn a_debian_is_the_same_in_every_profile_and_for_buildkit() {
    let bench = Bench::new();
    let docker = Dockerd::start();
    let expected = of_buildkit(&docker, &bench);
    assert!(expected.files["home/worker/as-user"].uid == 1234);

    let program = env!("CARGO_BIN_EXE_onlay");
    let mount = |from: &str, to: &str| format!("--volume={from}:{to}");
    let in_container = |profile: &[&str], arguments: &[&str]| -> String {
        let fixed = ["run", "--rm", "--network=none", "--workdir=/out"].map(str::to_owned);
        let mounts = [
            mount(program, "/onlay:ro"),
            mount(&bench.at("base"), "/base:ro"),
            mount(&bench.at("context"), "/context:ro"),
            mount(&bench.at("out"), "/out"),
        ];
        let mut all: Vec<String> = [&fixed[..], &mounts].concat();
        all.extend(profile.iter().map(|&option| option.to_owned()));
        let script = r#"/onlay build /context --build-context debian-base=oci-layout:///base:1 --tmp-dir /out "$@" \
            > /out/said 2>&1 || { cat /out/said >&2; exit 1; }; cat /out/said; rm /out/said"#;
        all.extend(["debian-base", "sh", "-c", script, "onlay"].map(str::to_owned));
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        docker.docker(&all)
    };
    let mut digests = Vec::new();
    for (name, profile, rung) in PROFILES {
        let said = in_container(profile, &["-t", &format!("oci:{name}:1")]);
        assert!(said.contains(&format!("sandbox: {rung}")), "{name}: {said}");
        assert_same(name, &bench.files(name), &expected);

        let destination = format!("oci:{name}-interpreted:1");
        let interpreted = [
            "-f",
            "/context/interpreted",
            "--run=interpret",
            "-t",
            &destination,
        ];
        let said = in_container(profile, &interpreted);
        let digest = said
            .lines()
            .last()
            .and_then(|line| line.rsplit_once('@'))
            .unwrap();
        digests.push(digest.1.to_owned());
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn a_debian_is_the_same_on_every_rung_and_for_every_user() {
    let bench = Bench::new();
    let build = |name: &str, rung: &str, user: u32| -> RootFs {
        let destination = format!("oci:out/{name}:1");
        let run = format!("--run={rung}");
        let arguments = [
            "build",
            "context",
            "--build-context=debian-base=oci-layout://base:1",
            "--tmp-dir=tmp",
            &run,
            "-t",
            &destination,
        ];
        let mut command = bench.home.command(&arguments);
        command.uid(user).gid(user);
        Run::of(command.output().unwrap()).success();
        bench.files(name)
    };
    let expected = build("namespaces", "namespaces", 0);
    assert_same("chroot", &build("chroot", "chroot", 0), &expected);
    assert_same("ptrace", &build("ptrace", "ptrace", 0), &expected);
    assert_same("user", &build("user", "auto", 1000), &expected);
    let left: Vec<PathBuf> = std::fs::read_dir(bench.home.join("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// What programs do that scripts do not: threads, processes of other users, sockets among files, places without names.
const UNUSUAL: &str = r#"
FROM debian-base
COPY unusual.py /
RUN python3 /unusual.py > /said
RUN printf '#!/bin/sh\necho $# $0\n' > /script && chmod +x /script && mkdir /many && cd /many && seq -f 'a-longer-name-%g' 1 5000 | xargs touch && ls | xargs -n 2000 /script >> /said
RUN bash -c 'cat <(echo through) >> /said; for i in $(seq 1 40); do (sleep 0.01; echo $i) & done; wait' | sort -n | tail -n 1 >> /said
RUN mkfifo /pipe; (echo late > /pipe &); cat /pipe >> /said; timeout 1 sleep 9; echo $? >> /said; sh -c 'kill -TERM $$'; echo $? >> /said
RUN ln -s / /srv/root; ln -s ../../../../etc /srv/up; cp /srv/root/srv/up/hostname /srv/copied 2>/dev/null; cd /srv/root/srv/root/usr/../../..; pwd >> /said; readlink -f /srv/up/passwd >> /said
USER nobody
RUN (touch /etc/x; rm -f /etc/passwd; chmod 777 /etc; chown nobody /script; ls /root; kill -9 1) 2>&1 | grep -c -e denied -e permitted > /tmp/refused
"#;

const UNUSUAL_PROGRAM: &str = r#"
import os, socket, subprocess, tempfile, threading
wrong = []
def work(number):
    for turn in range(30):
        path = "/tmp/w%d-%d" % (number, turn)
        open(path, "w").write("x")
        os.chmod(path, 0o600); os.rename(path, path + "b"); os.stat(path + "b"); os.unlink(path + "b")
        if subprocess.run(["/bin/sh", "-c", "echo %d" % turn], capture_output=True).stdout != b"%d\n" % turn:
            wrong.append(turn)
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(wrong)
for turn in range(1000):
    os.chdir("/usr/share" if turn % 2 else "/tmp")
children = []
for number in range(60):
    child = os.fork()
    if child == 0:
        os.chdir("/"); os.setgroups([]); os.setgid(number + 1); os.setuid(number + 1)
        open("/tmp/of-%d" % number, "w").close()
        try: os.setuid(0)
        except PermissionError: os._exit(0)
        os._exit(1)
    children.append(child)
print(sum(os.waitpid(child, 0)[1] for child in children), os.getuid(), os.getcwd())
print([(os.stat("/tmp/of-%d" % number).st_uid, os.stat("/tmp/of-%d" % number).st_gid) for number in (0, 30, 59)])
listener = socket.socket(socket.AF_UNIX); listener.bind("/tmp/socket"); listener.listen(1)
client = socket.socket(socket.AF_UNIX); client.connect("/tmp/socket")
server, _ = listener.accept(); client.send(b"hi")
print(server.recv(2), oct(os.stat("/tmp/socket").st_mode))
with tempfile.TemporaryFile() as file: print(file.write(b"x"), os.fstat(file.fileno()).st_nlink)
place = os.open("/etc/passwd", os.O_PATH); os.chmod("/proc/self/fd/%d" % place, 0o640); print(oct(os.stat("/etc/passwd").st_mode))
os.chmod("/etc/passwd", 0o644)
os.symlink("nowhere", "/tmp/link"); link = os.open("/tmp/link", os.O_PATH | os.O_NOFOLLOW); print(os.readlink("", dir_fd=link))
os.setxattr("/tmp/socket" if False else "/etc/group", "user.a", b"1"); print(os.getxattr("/etc/group", "user.a"), os.listxattr("/etc/group")); os.removexattr("/etc/group", "user.a")
print(os.access("/etc/shadow", os.W_OK), os.umask(0o027), os.umask(0o022), os.getresuid(), os.getgroups())
"#;

#[test]
fn unusual_programs_do_the_same_on_every_rung() {
    let bench = Bench::new();
    bench.home.write("context/unusual", UNUSUAL);
    bench.home.write("context/unusual.py", UNUSUAL_PROGRAM);
    let said = |rung: &str, user: u32| {
        let destination = format!("oci:out/{rung}-{user}:1");
        let run = format!("--run={rung}");
        let context = "--build-context=debian-base=oci-layout://base:1";
        let arguments = [
            "build",
            "-f",
            "context/unusual",
            "context",
            context,
            "--tmp-dir=tmp",
            &run,
            "-t",
            &destination,
        ];
        let mut command = bench.home.command(&arguments);
        let run = Run::of(command.uid(user).gid(user).output().unwrap()).success();
        let show = |path: &str| bench.home.run(&["cat", &destination, path]).success().stdout;
        (show("/said"), show("/tmp/refused"), run.stderr)
    };
    let (expected, refused, _) = said("namespaces", 0);
    assert!(
        expected.starts_with("[]\n0 0 /usr/share\n[(1, 1), (31, 31), (60, 60)]\n"),
        "{expected}"
    );
    assert!(
        expected.ends_with("late\n124\n143\n/srv/root\n/etc/passwd\n"),
        "{expected}"
    );
    assert_eq!(refused, "6\n");
    for (rung, user) in [("chroot", 0), ("ptrace", 1000)] {
        let (found, refused, told) = said(rung, user);
        assert_eq!(found, expected, "{rung} {user}: {told}");
        assert_eq!(refused, "6\n", "{rung} {user}: {told}");
    }
}
