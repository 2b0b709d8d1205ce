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
    /// An absolute path inside the root filesystem; it is made if it is missing.
    pub working_directory: String,
    /// Who runs it.
    pub user: User,
    /// What it reaches of the network.
    pub network: Network,
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
