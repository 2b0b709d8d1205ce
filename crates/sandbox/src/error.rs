use std::io;

use crate::Obstacle;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Status {
    /// Tells whether it ended well.
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// As shells count it: a signal is 128 and its number.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }
}

/// Why a command could not be run. That it failed is a [`Status`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// This machine allows no rung, or not the one that was asked for.
    #[error("this machine allows no sandbox: {}", obstacles(.0))]
    NoRung(Vec<Obstacle>),
    /// There is no such program in the image.
    #[error("`{program}` is not in the image, or cannot be executed")]
    Program {
        /// As the command names it.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// The place for the command could not be prepared.
    #[error("{step} failed")]
    Setup {
        /// What was being done: `mounting /proc`.
        step: String,
        /// What the system says.
        source: io::Error,
    },
    /// The supervisor could not be started, or ended without an answer.
    #[error("the sandbox's supervisor could not be spoken to")]
    Supervisor {
        /// What the system says.
        source: io::Error,
    },
}

fn obstacles(obstacles: &[Obstacle]) -> String {
    let texts: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
