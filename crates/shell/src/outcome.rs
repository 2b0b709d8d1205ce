use onlay_layer::{ImagePath, Tree};

use crate::errno::Errno;

/// What interpreting a line comes to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The command succeeds.
    Done(Done),
    /// The command fails, as it would when executed; the image is not built.
    Failed(Failure),
    /// The layers read so far do not decide it: read more, then interpret the line again.
    Needs(Need),
    /// The line is more than what is interpreted here; nothing of it was kept.
    NotUnderstood(NotUnderstood),
}

/// A command that succeeded.
#[derive(Clone, Debug)]
pub struct Done {
    /// The tree behind it.
    pub tree: Tree,
    /// What it writes to standard output and standard error, in that order in time.
    pub output: Vec<u8>,
}

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    /// What it writes to standard output and standard error, in that order in time.
    pub output: Vec<u8>,
    /// The simple command that failed last, as the line has it.
    pub command: String,
    /// Where that command stands in the line, in bytes.
    pub offset: usize,
    /// Whether the image lacks what the command needs, so that onlay's own tools would help.
    pub cause: FailureCause,
}

/// Why a command failed, as far as the caller can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// It says so itself.
    Command,
    /// The image has no such shell.
    NoShell,
    /// The image has no such command.
    NoCommand,
}

/// A question about the image that a further layer must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The paths in question.
    pub paths: Vec<ImagePath>,
    /// What the answer will probably be.
    pub expectation: Expectation,
}

/// What the answer to a [`Need`] will probably be, which tells how to read layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// They are there: read from the top down, and stop when each path was found.
    Presence,
    /// They are absent, or stand in the lowest layer, or all names of a directory are asked for: read all layers that
    /// remain, at once.
    Absence,
}

/// Where a line is more than what is interpreted here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{token}`: {reason}")]
pub struct NotUnderstood {
    /// The piece of the line, or of what it expands to.
    pub token: String,
    /// Where it stands in the line, in bytes; of what came by expansion, where the command stands.
    pub offset: usize,
    /// What about it.
    pub reason: Reason,
}

/// Why a token is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// No command of this name is interpreted.
    #[error("not a command that is interpreted")]
    Command,
    /// The command is, with this option it is not.
    #[error("not an option of `{command}` that is interpreted")]
    Option {
        /// The command.
        command: &'static str,
    },
    /// The command is, used like this it is not.
    #[error("not a use of `{command}` that is interpreted")]
    Usage {
        /// The command.
        command: &'static str,
    },
    /// A piece of the shell's language that is not interpreted.
    #[error("{0} not interpreted")]
    Syntax(&'static str),
    /// The text is not shell.
    #[error("not expected here")]
    Unexpected,
    /// The text ends inside of something.
    #[error("{0} is not closed")]
    Unclosed(&'static str),
    /// SHELL names another shell than sh, or options that are not interpreted.
    #[error("not a shell that is interpreted, expected sh, dash, ash or bash with `-c`")]
    Shell,
    /// The command or shell is not of a make whose behaviour is known.
    #[error("`{path}` is of a make whose behaviour is not known, expected busybox, dash, bash or GNU")]
    Flavour {
        /// Where the image has it.
        path: ImagePath,
    },
    /// The line runs as a user other than root.
    #[error("only commands of root are interpreted")]
    User,
    /// The working directory is missing, or no directory.
    #[error("the working directory cannot be entered: {0}")]
    WorkingDirectory(Errno),
    /// The path is mounted over while a RUN runs, so the image does not say what is there.
    #[error("what is there while a RUN runs does not come from the image")]
    Mounted,
    /// The bytes of a file of the image are asked for, which the tree does not hold.
    #[error("the contents of this file are not at hand")]
    Contents,
    /// A variable that changes how the shell works, or that the shell sets itself.
    #[error("this variable is the shell's own")]
    Variable,
    /// Too much of something: a bound against lines that never end or fill the memory.
    #[error("more than {limit} {of}")]
    Limit {
        /// The bound.
        limit: usize,
        /// Of what.
        of: &'static str,
    },
}
