//! A second real registry, which shares nothing with the first: the program of the crate `container-registry`.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::registry::{answers, free_host};

/// A running `container-registry`, empty at first, on a loopback port of its own.
///
/// It is small, and different in all that clients tend to take for granted: blobs come by one PATCH and an empty PUT, an
/// upload's place is not below `blobs/`, repositories have two components, only `/v2/` says that a password is wanted,
/// and there are neither lists of tags nor referrers, indexes nor mounts. Dropping it ends the process.
#[derive(Debug)]
pub struct ContainerRegistry {
    process: Child,
    host: String,
    _storage: TempDir,
}

impl ContainerRegistry {
    /// Starts one that wants `password`, from whatever user.
    ///
    /// # Panics
    /// When `container-registry` (crate of the same name, with the feature `bin`) is missing or does not come up.
    pub fn start(password: &str) -> Self {
        let storage = tempfile::tempdir().unwrap();
        let host = free_host();
        let mut process = Command::new("container-registry")
            .args(["--bind", &host, "--password", password, "--storage"])
            .arg(storage.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("`container-registry`: {error}; `scripts/test` installs it"));
        // Nothing in its answers tells it from another of its kind.
        assert!(
            answers(&mut process, &host, |_| true),
            "container-registry does not answer"
        );
        Self {
            process,
            host,
            _storage: storage,
        }
    }

    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl Drop for ContainerRegistry {
    fn drop(&mut self) {
        // Failing means that it has ended already.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
