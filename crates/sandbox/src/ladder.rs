use std::fmt;
use std::io;

use crate::order::{Order, Report};
use crate::run::{Stop, ask};
use crate::{Rung, SandboxError};

/// The rung that this machine allows.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub(crate) rung: Rung,
    obstacles: Vec<Obstacle>,
}

/// Why a rung cannot be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The rung.
    pub rung: Rung,
    /// What was refused: `unshare`.
    pub step: String,
    /// The system's words.
    pub reason: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.rung, self.step, self.reason)
    }
}

impl Sandbox {
    /// Finds the best rung that this machine allows, or looks at the one that is wanted. Each is tried for real, in a
    /// process of its own.
    ///
    /// # Errors
    /// None is possible; the error has the obstacle of each.
    pub fn find(wanted: Option<Rung>) -> Result<Self, SandboxError> {
        let mut obstacles = Vec::new();
        let candidates = Rung::ALL.into_iter();
        for rung in candidates.filter(|rung| wanted.is_none_or(|wanted| wanted == *rung)) {
            match Self::obstacle(rung)? {
                None => return Ok(Self { rung, obstacles }),
                Some(obstacle) => obstacles.push(obstacle),
            }
        }
        Err(SandboxError::NoRung(obstacles))
    }

    /// What stands in the way of a rung here, if anything.
    ///
    /// # Errors
    /// The supervisor could not be started.
    pub fn obstacle(rung: Rung) -> Result<Option<Obstacle>, SandboxError> {
        let obstacle = |step: String, errno: i32| Obstacle {
            rung,
            step,
            reason: io::Error::from_raw_os_error(errno).to_string(),
        };
        match ask(&Order::Probe(rung), &Stop::default(), &mut |_| ())? {
            Report::Failed { step, errno } => Ok(Some(obstacle(step, errno))),
            _ => Ok(None),
        }
    }

    /// The rung.
    pub fn rung(&self) -> Rung {
        self.rung
    }
}

/// `chroot (namespaces: unshare: Operation not permitted)`: the rung, and why no better one.
impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rung)?;
        if self.obstacles.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = self.obstacles.iter().map(Obstacle::to_string).collect();
        write!(f, " ({})", texts.join("; "))
    }
}
