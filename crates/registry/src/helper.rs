//! Credential helpers: programs that keep credentials, and are spoken to on standard input and output.
//!
//! What a helper prints is either a credential or an explanation, and nothing tells which; so its words are read and
//! never shown. What it is told goes to its standard input: other processes can read arguments.
//!
//! Source: docker/docker-credential-helpers README "Development".

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Credential, KeychainError, Secret};

/// A program `docker-credential-NAME`, which keeps credentials by the names of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialHelper {
    name: String,
    directory: Option<PathBuf>,
}

/// What a helper prints, and what it is told to keep.
#[derive(Deserialize, Serialize)]
struct Kept {
    #[serde(rename = "ServerURL", default)]
    server: String,
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// What a helper can be asked to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Get,
    Store,
    Erase,
}

/// How long a helper may take; some ask a person.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The words that mean "none", in whatever else a helper says.
const NOT_FOUND: &str = "credentials not found";

impl CredentialHelper {
    /// Names a helper: what follows `docker-credential-`. It is looked for where the system looks for programs.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            directory: None,
        }
    }

    /// Looks for the program in this directory only.
    #[must_use]
    pub fn in_directory(self, directory: impl Into<PathBuf>) -> Self {
        let directory = Some(directory.into());
        Self { directory, ..self }
    }

    /// The program's name.
    pub fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    /// Asks for what is kept for a server; none if there is nothing.
    ///
    /// # Errors
    /// The helper cannot be run, fails, or prints something else. That must not pass for "nothing".
    pub async fn get(&self, server: &str) -> Result<Option<Credential>, KeychainError> {
        let (status, printed) = self.run(Operation::Get, server.as_bytes()).await?;
        if !status.success() {
            return match says_not_found(&printed) {
                true => Ok(None),
                false => Err(self.failed(Operation::Get, status.to_string())),
            };
        }
        let kept: Kept = serde_json::from_slice(&printed)
            .map_err(|_| self.failed(Operation::Get, "its answer is not what helpers print".to_owned()))?;
        Ok(Some(Credential::of_login(&kept.username, &kept.secret)))
    }

    /// Gives a user's name and password into the helper's keeping, in the place of what it has for this server.
    ///
    /// # Errors
    /// The helper cannot be run or fails.
    pub async fn store(&self, server: &str, username: &str, password: &Secret) -> Result<(), KeychainError> {
        let kept = Kept {
            server: server.to_owned(),
            username: username.to_owned(),
            secret: password.reveal().to_owned(),
        };
        let told = serde_json::to_vec(&kept)
            .map_err(|_| self.failed(Operation::Store, "it cannot be told this".to_owned()))?;
        match self.run(Operation::Store, &told).await? {
            (status, _) if status.success() => Ok(()),
            (status, _) => Err(self.failed(Operation::Store, status.to_string())),
        }
    }

    /// Makes the helper forget what it keeps for a server, and tells whether there was anything.
    ///
    /// # Errors
    /// The helper cannot be run or fails.
    pub async fn erase(&self, server: &str) -> Result<bool, KeychainError> {
        // Helpers differ in whether erasing nothing is a failure, so that is found out first.
        if self.get(server).await?.is_none() {
            return Ok(false);
        }
        match self.run(Operation::Erase, server.as_bytes()).await? {
            (status, _) if status.success() => Ok(true),
            (status, _) => Err(self.failed(Operation::Erase, status.to_string())),
        }
    }

    /// Runs the program and gives all that it printed.
    async fn run(&self, operation: Operation, told: &[u8]) -> Result<(ExitStatus, Vec<u8>), KeychainError> {
        let failed = |what: String| self.failed(operation, what);
        if self.name.is_empty() || self.name.contains('/') {
            return Err(failed("that is no name of a helper".to_owned()));
        }
        let program = match &self.directory {
            Some(directory) => directory.join(self.program()),
            None => PathBuf::from(self.program()),
        };
        let mut child = Command::new(program)
            .arg(operation.word())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read is told apart by what it answers.
            let _ = stdin.write_all(told).await;
        }
        let output = tokio::time::timeout(TIMEOUT, child.wait_with_output())
            .await
            .map_err(|_| failed(format!("no answer within {} seconds", TIMEOUT.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        let printed = match output.status.success() {
            true => output.stdout,
            false => [output.stdout, output.stderr].concat(),
        };
        Ok((output.status, printed))
    }

    fn failed(&self, operation: Operation, what: String) -> KeychainError {
        KeychainError::Helper {
            program: self.program(),
            operation: operation.word(),
            what,
        }
    }
}

impl Operation {
    fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Store => "store",
            Self::Erase => "erase",
        }
    }
}

fn says_not_found(printed: &[u8]) -> bool {
    String::from_utf8_lossy(printed).contains(NOT_FOUND)
}

/// What helpers answered, for a while; shared between clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Arc<Mutex<BTreeMap<(String, String), Answer>>>);

#[derive(Debug)]
struct Answer {
    credential: Option<Credential>,
    at: Instant,
}

/// How long an answer is kept. Helpers do not say how long theirs are good for, and those of clouds give out passwords
/// that die.
///
/// Source: registry.md §3.3.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Whether an earlier answer will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// If it is not too old.
    Kept,
    /// It was refused.
    Renewed,
}

impl Answers {
    /// What a helper keeps for a server. It is run once at a time, so that it is not asked twice for one thing.
    pub(crate) async fn get(
        &self,
        helper: &CredentialHelper,
        server: &str,
        freshness: Freshness,
    ) -> Result<Option<Credential>, KeychainError> {
        let mut answers = self.0.lock().await;
        let key = (helper.name.clone(), server.to_owned());
        let kept = answers.get(&key).filter(|answer| answer.at.elapsed() < LIFETIME);
        if let (Some(answer), Freshness::Kept) = (kept, freshness) {
            return Ok(answer.credential.clone());
        }
        answers.remove(&key);
        let credential = helper.get(server).await?;
        let answer = Answer {
            credential: credential.clone(),
            at: Instant::now(),
        };
        answers.insert(key, answer);
        Ok(credential)
    }
}
