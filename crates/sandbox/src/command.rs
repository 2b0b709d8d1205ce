use std::fmt;

use serde::{Deserialize, Serialize};

use crate::User;

/// What is executed, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments. A program without a slash is looked for in the directories of `PATH`, inside the
    /// root filesystem.
    pub arguments: Vec<String>,
    /// All of the environment; nothing else is passed on.
    pub environment: Vec<(String, String)>,
    /// Variables behind those, whose values are secret.
    pub secret_environment: Vec<(String, SecretText)>,
    /// An absolute path inside the root filesystem; it is made if it is missing.
    pub working_directory: String,
    /// Who runs it.
    pub user: User,
    /// What it reaches of the network.
    pub network: Network,
    /// Places that are mounts to the command, in the order in which they are mounted.
    pub mounts: Vec<MountPoint>,
    /// A script, if the command is one.
    pub script: Option<ScriptFile>,
}

/// A place of the root filesystem that is a mount to the command: what is there was put there before
/// ([`Root::update`](crate::Root::update)), and whoever put it there takes it away again.
///
/// Only [`Rung::Namespaces`](crate::Rung::Namespaces) has mounts; on the others nothing keeps a command from writing to
/// what is read-only, or from removing the place, so whoever asked for it must look afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// Its path below the root directory, through no symbolic link.
    pub path: String,
    /// What is mounted.
    pub kind: MountKind,
}

/// What is mounted at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    /// What is there.
    Writable,
    /// What is there, and it stays as it is.
    ReadOnly,
    /// Memory of a size in bytes, or as the kernel likes it.
    Memory(Option<u64>),
}

/// A script that a command finds at `/dev/pipes/NAME`, as in BuildKit (dockerfile.md 1.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptFile {
    /// The file's name.
    pub name: String,
    /// Its text.
    pub content: String,
}

/// A text that is for the command alone: it prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Takes a text into custody.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Gives it to the command's environment.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What a command reaches of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// What the machine reaches.
    #[default]
    Host,
    /// Nothing, but for a loopback of its own on [`Rung::Namespaces`](crate::Rung::Namespaces), and sockets among its own
    /// processes on the others.
    None,
}
