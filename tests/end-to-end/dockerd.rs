//! A `dockerd` of the test's own: private socket, private storage, no network of its own; ended when dropped.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) struct Dockerd {
    process: Child,
    directory: TempDir,
}

/// How long the daemon may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Debian's client, which needs no plugin to build with BuildKit; another `docker` may come first in the path.
const CLIENT: &str = "/usr/bin/docker";

impl Dockerd {
    /// Starts the daemon, and waits until it answers.
    pub(crate) fn start() -> Self {
        // Overlays cannot lie on overlays, and a temporary directory may be one or be in memory.
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("daemon.json"), "{}").unwrap();
        let log = std::fs::File::create(at("log")).unwrap();
        let process = Command::new("/usr/sbin/dockerd")
            .args(["--host", &socket(directory.path())])
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--config-file")
            .arg(at("daemon.json"))
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .args(["--insecure-registry", "127.0.0.0/8"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("dockerd: {error}; Debian package: docker.io"));
        let mut daemon = Self { process, directory };
        daemon.wait();
        daemon
    }

    fn wait(&mut self) {
        let start = Instant::now();
        while !self.answers() {
            let ended = self.process.try_wait().unwrap().is_some();
            if ended || start.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
                panic!("dockerd does not answer:\n{log}");
            }
            thread::sleep(POLL);
        }
    }

    fn answers(&self) -> bool {
        let output = self.command(&["version"]).output();
        let output = output.unwrap_or_else(|error| panic!("{CLIENT}: {error}; Debian package: docker.io"));
        output.status.success()
    }

    /// Prints which builder it is: the version of the daemon is that of its BuildKit.
    #[expect(clippy::print_stdout, reason = "the report of a run names its oracle")]
    pub(crate) fn name_the_builder(&self) {
        let version = self.docker(&["version", "--format", "{{.Server.Version}}"]);
        println!("the builder is BuildKit of Docker {version}");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(CLIENT);
        command
            .args(["--host", &socket(self.directory.path())])
            .args(arguments)
            .env("DOCKER_BUILDKIT", "1")
            // The tester's own credentials and proxies stay out of it.
            .env("DOCKER_CONFIG", self.directory.path());
        command
    }

    /// Builds by BuildKit, which names its steps; the legacy builder means other things by some lines, and is refused.
    #[track_caller]
    pub(crate) fn build(&self, dockerfile: &str, tag: &str, context: &str) {
        let arguments = ["build", "--progress=plain", "--network=none", "-f", dockerfile];
        let output = self
            .command(&[&arguments[..], &["--tag", tag, context]].concat())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{dockerfile}: {stderr}");
        assert!(
            stderr.contains("[internal] load build definition"),
            "not BuildKit: {stderr}"
        );
    }

    /// Runs the client, which must succeed, and gives what it printed.
    #[track_caller]
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn socket(directory: &Path) -> String {
    format!("unix://{}", directory.join("socket").display())
}

impl Drop for Dockerd {
    /// Asks the daemon to end, so that it ends containerd too and unmounts its storage; kills it only if it does not.
    fn drop(&mut self) {
        let id = self.process.id().to_string();
        let asked = Command::new("kill")
            .arg(&id)
            .status()
            .is_ok_and(|status| status.success());
        let start = Instant::now();
        while asked && start.elapsed() < PATIENCE {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
