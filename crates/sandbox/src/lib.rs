//! RUN lines that have to be executed: a private root filesystem, a supervisor, and what changed.
//!
//! - [`Root`] is a directory that holds a [`Tree`](onlay_layer::Tree), file by file. Brought up to date before a command
//!   runs and looked at afterwards, it tells what the command changed, as a tree again.
//! - [`Sandbox`] runs a [`Command`] in such a directory, on a [`Rung`] of a ladder: what the machine allows is tried
//!   once, from the top, and [`Sandbox::find`] says which rung it is and why.
//! - [`supervise_if_asked`] is the other side. Commands are never started from the process that builds, which has
//!   threads, credentials and connections, but from the same program once more: single-threaded, without environment,
//!   with one socket. It must be the first thing that `main` calls.
//!
//! # What a command can reach
//!
//! | | namespaces | chroot | ptrace |
//! | --- | --- | --- | --- |
//! | files | the root directory, as its whole file system (`pivot_root`) | the root directory (`chroot`, without `CAP_SYS_CHROOT`) | those of the root directory that are opened for it; Landlock refuses others if a call slips by |
//! | processes | its own (a PID namespace) | its own, by name, below `/proc`; signals those of its user without Landlock 6 | its own below `/proc`; signals stay inside by Landlock 6, or are checked |
//! | capabilities | those of Docker's default | the same but `CAP_SYS_CHROOT` | none, and plays those of Docker's default |
//! | network | the machine's, or none | the machine's, or no sockets but local ones | the same |
//! | descriptors, environment, standard input | none, the image's, empty | the same | the same |
//!
//! On the third rung a call that a thread makes itself, `execve`, `connect` and `bind` to a socket among files, passes twice:
//! between the two another thread of the same process could change the path in its memory. Landlock stops what would be
//! executed or opened then; a socket of the machine's that everybody may connect to is not stopped.
//!
//! When a command has ended, whatever it left running is killed; the same happens when the building process ends,
//! however it does.
//!
//! It is the only crate with `unsafe` code, all of it in the supervisor: `fork` in a process of one
//! thread, and the few calls that have no safe form.

mod below;
mod command;
mod error;
mod ladder;
mod order;
mod records;
mod root;
mod run;
mod rung;
mod stubs;
mod supervisor;
mod user;

pub use command::{Command, MountKind, MountPoint, Network, ScriptFile, SecretText};
pub use error::{SandboxError, Status};
pub use ladder::{Obstacle, Sandbox};
pub use root::{Root, RootError};
pub use run::Stop;
pub use rung::Rung;
pub use supervisor::{landlock_version, supervise_if_asked};
pub use user::{User, UserError};
