use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a command is kept apart from the machine it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// Namespaces of its own for mounts, processes, IPC and the host's name, and a root file system of its own.
    Namespaces,
    /// `chroot` into a private directory: for root where namespaces are forbidden.
    Chroot,
    /// System calls are caught and carried out in a private directory, owners are recorded: for everybody.
    Ptrace,
}

impl Rung {
    /// Whether the files of a root directory have their owners on disk; they are recorded otherwise.
    pub fn owns_files(self) -> bool {
        self != Self::Ptrace
    }

    /// All of them, the best first.
    pub const ALL: [Self; 3] = [Self::Namespaces, Self::Chroot, Self::Ptrace];

    /// As it is written: `namespaces`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Chroot => "chroot",
            Self::Ptrace => "ptrace",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rung {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|rung| rung.name() == text).ok_or(())
    }
}
