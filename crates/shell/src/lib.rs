//! RUN lines interpreted over the tree of an image.
//!
//! Most RUN lines that only touch files need no process, no privileges and no root filesystem: what `mkdir`, `chmod` or
//! `cp` do to files is known. [`interpret()`] does it to a [`Tree`](onlay_layer::Tree), for every platform alike.
//!
//! ```
//! use onlay_layer::{ImagePath, Lookup, Tree};
//! use onlay_shell::{CommandLine, Line, Outcome, Tools, interpret};
//!
//! let line = Line {
//!     command: CommandLine::Shell("mkdir /vault && chmod 777 /vault"),
//!     shell: &["/bin/sh".to_owned(), "-c".to_owned()],
//!     environment: &[],
//!     working_directory: b"/",
//!     user: "root",
//!     tools: Tools::Builtin,
//! };
//! let Outcome::Done(done) = interpret(&line, &Tree::scratch()) else { panic!("it is understood, and succeeds") };
//! let Lookup::Found(vault) = done.tree.lookup(&ImagePath::root().join(b"vault")?) else { panic!("it is there") };
//! assert_eq!(vault.metadata.mode, 0o777);
//! # Ok::<(), onlay_layer::PathError>(())
//! ```
//!
//! # What it promises
//!
//! - A line is interpreted only if every token of it is understood: the whole of it is parsed and checked before
//!   anything is run, and what only turns up when it runs (`$command`) stops it with nothing kept.
//! - It fails exactly where the real commands fail, with their exit status and their words.
//! - Where shells and commands differ, it does as the image's own do: busybox, dash, bash, GNU. It tells them by the
//!   files of the image, and takes none for another.
//! - What the layers read so far do not decide is asked for ([`Outcome::Needs`]), never guessed.
//!
//! # What it leaves out
//!
//! Users other than root; functions, loops with conditions, arithmetic and backquotes; all commands that look into
//! files (`sed`, `grep`) or do more than move them about. Messages are glibc's for errors of the kernel (musl words three of them differently).
//! File times are those of the build; access times and the order in which directories are read do not exist.

mod ast;
mod braces;
mod check;
mod commands;
mod errno;
mod execute;
mod expand;
mod field;
mod files;
mod glob;
mod halt;
mod interpret;
mod io;
mod lexer;
mod line;
mod make;
mod mode;
mod names;
mod options;
mod outcome;
mod parse;
mod pattern;
mod shell;
mod simple;

pub use errno::Errno;
pub use interpret::interpret;
pub use line::{CommandLine, Line, Tools};
pub use outcome::{Done, Expectation, Failure, FailureCause, Need, NotUnderstood, Outcome, Reason};
