//! A real registry: CNCF distribution, as Debian packages it.

use crate::http::{self, Head};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A user name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user name, without a colon.
    pub username: String,
    /// The password.
    pub password: String,
}

impl Credential {
    /// Makes a credential.
    pub fn new(username: &str, password: &str) -> Self {
        Self {
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    /// The value of the `Authorization` header.
    pub fn basic(&self) -> String {
        format!(
            "Basic {}",
            STANDARD.encode(format!("{}:{}", self.username, self.password))
        )
    }
}

/// A running `docker-registry`, empty at first, on a loopback port of its own.
///
/// Deleting is enabled. Dropping it ends the process and removes what it stored: keep it in a local variable, since
/// statics are not dropped.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    host: String,
    dir: TempDir,
}

/// How long the registry may take to answer; it takes a tenth of a second on an idle machine, and much more beside builds.
const START: Duration = Duration::from_secs(90);

/// The header by which each registry is told from all others: the directory it keeps its files in.
const IDENTITY: &str = "X-Testkit-Registry";

/// How many ports are tried: another process may take one between finding and using it.
const ATTEMPTS: usize = 3;

impl Registry {
    /// Starts a registry that everybody may read and write.
    ///
    /// # Panics
    /// When `docker-registry` (Debian package of the same name) is missing or does not come up.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), "")
    }

    /// Starts a registry that asks for `credential` by Basic authentication.
    ///
    /// # Panics
    /// As [`Self::start`], and when `htpasswd` (Debian package `apache2-utils`) is missing.
    pub fn start_with_credential(credential: &Credential) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("htpasswd");
        fs::write(&file, htpasswd(credential)).unwrap();
        Self::start_in(
            dir,
            &format!(
                "auth:\n  htpasswd:\n    realm: testkit\n    path: {}\n",
                file.display()
            ),
        )
    }

    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where the registry's log is written.
    pub fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The directory the registry stores its data under.
    pub fn storage(&self) -> PathBuf {
        self.dir.path().join("storage")
    }

    fn start_in(dir: TempDir, auth: &str) -> Self {
        for _ in 0..ATTEMPTS {
            let host = free_host();
            let mut process = spawn(dir.path(), &host, auth);
            if is_up(&mut process, &host, dir.path()) {
                return Self { process, host, dir };
            }
            process
                .kill()
                .and_then(|()| process.wait())
                .expect("a process started here can be ended");
        }
        let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        panic!("docker-registry does not answer; its log:\n{log}");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Failing means that it has ended already.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// An address on the loopback that nobody listened on a moment ago.
pub(crate) fn free_host() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
    listener.local_addr().unwrap().to_string()
}

fn spawn(dir: &Path, host: &str, auth: &str) -> Child {
    let config = format!(
        "version: 0.1\n\
         storage:\n  \
           filesystem:\n    rootdirectory: {storage}\n  \
           delete:\n    enabled: true\n\
         http:\n  addr: {host}\n  secret: testkit\n  headers:\n    {IDENTITY}: [{identity}]\n\
         {auth}",
        storage = dir.join("storage").display(),
        identity = dir.display(),
    );
    let config_file = dir.join("config.yml");
    fs::write(&config_file, config).unwrap();
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap()
        .into_parts()
        .0;
    Command::new("docker-registry")
        .arg("serve")
        .arg(config_file)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("`docker-registry`: {error}; Debian package: docker-registry"))
}

/// Waits until the registry that keeps its files in `dir` answers, or its process ends.
fn is_up(process: &mut Child, host: &str, dir: &Path) -> bool {
    let own = dir.display().to_string();
    answers(process, host, |head| head.header(IDENTITY) == Some(own.as_str()))
}

/// Waits until the registry's protocol is served there, or the process ends.
///
/// `is_own` tells by the head of an answer that it is this process which serves it: where another test has taken the port
/// in the meantime, that one's registry answers while this one is still to find out that it has none.
pub(crate) fn answers(process: &mut Child, host: &str, is_own: impl Fn(&Head) -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < START && process.try_wait().unwrap().is_none() {
        let answer = http::get(host, "/v2/", &[]);
        if answer.is_ok_and(|answer| matches!(answer.head.status(), 200 | 401) && is_own(&answer.head)) {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

fn htpasswd(credential: &Credential) -> Vec<u8> {
    let output = Command::new("htpasswd")
        .args(["-nbB", &credential.username, &credential.password])
        .output()
        .unwrap_or_else(|error| panic!("`htpasswd`: {error}; Debian package: apache2-utils"));
    assert!(
        output.status.success(),
        "htpasswd: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many tests start registries at the same time, and a free port is free for all of them.
    #[test]
    fn another_registry_at_the_same_port_is_not_taken_for_ones_own() {
        let other = Registry::start();
        let dir = tempfile::tempdir().unwrap();
        let mut process = spawn(dir.path(), other.host(), "");
        let is_up = is_up(&mut process, other.host(), dir.path());
        _ = process.kill();
        _ = process.wait();
        assert!(!is_up);
    }
}
