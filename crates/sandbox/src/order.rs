//! What goes over the socket between the building process and the supervisor: one order, one report.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Command, Rung};

/// What the supervisor is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// To try what a rung needs, and nothing else.
    Probe(Rung),
    /// To run a command.
    Run {
        rung: Rung,
        /// The directory that is the command's root filesystem.
        root: PathBuf,
        command: Command,
        /// Files that are shown in place of the image's, by their path there.
        files: Vec<(String, PathBuf)>,
        /// Where it is recorded what the files are that onlay can only own itself; written anew at the end.
        records: PathBuf,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// A probe succeeded.
    Possible,
    Exited(i32),
    Killed(i32),
    /// The program could not be executed: the error's number.
    Program(i32),
    /// Something before that failed: what, and the error's number.
    Failed {
        step: String,
        errno: i32,
    },
}

impl Report {
    pub(crate) fn failed(step: &str, errno: nix::errno::Errno) -> Self {
        Self::Failed {
            step: step.to_owned(),
            errno: errno as i32,
        }
    }
}

/// The longest message, in bytes: far more than the longest command that Linux takes.
const MAX_SIZE: u32 = 16 * 1024 * 1024;

/// Sends a message: its length, then JSON.
pub(crate) fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len())
        .ok()
        .filter(|length| *length <= MAX_SIZE)
        .ok_or(io::ErrorKind::InvalidInput)?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(&text)
}

/// Receives a message.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_SIZE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length as usize];
    from.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
