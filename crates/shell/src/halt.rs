use crate::errno::Errno;
use crate::outcome::{Need, NotUnderstood, Reason};

/// Why interpretation ends before the end of the text.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The shell, or the subshell, exits.
    Exit(u8),
    /// A further layer must be read.
    Need(Need),
    /// A piece that is not understood; the offset is known further up.
    Refused(String, Reason),
    /// The same, with its place.
    NotUnderstood(NotUnderstood),
}

impl Halt {
    pub(crate) fn refused(token: impl AsRef<[u8]>, reason: Reason) -> Self {
        Self::Refused(String::from_utf8_lossy(token.as_ref()).into_owned(), reason)
    }

    /// Gives a refusal its place, if it has none yet.
    pub(crate) fn at(self, offset: usize) -> Self {
        match self {
            Self::Refused(token, reason) => Self::NotUnderstood(NotUnderstood {
                token,
                offset,
                reason,
            }),
            other => other,
        }
    }
}

/// How a system call ends without success: the kernel refuses, or it cannot be said what the kernel would do.
#[derive(Debug)]
pub(crate) enum CallError {
    Errno(Errno),
    Halt(Halt),
}

impl From<Errno> for CallError {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Halt> for CallError {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// What a system call gives.
pub(crate) type Called<T> = Result<T, CallError>;

/// Parts what a command handles (the kernel's refusal) from what it passes on.
pub(crate) trait Settle<T> {
    fn settle(self) -> Result<Result<T, Errno>, Halt>;
}

impl<T> Settle<T> for Called<T> {
    fn settle(self) -> Result<Result<T, Errno>, Halt> {
        match self {
            Ok(value) => Ok(Ok(value)),
            Err(CallError::Errno(errno)) => Ok(Err(errno)),
            Err(CallError::Halt(halt)) => Err(halt),
        }
    }
}
