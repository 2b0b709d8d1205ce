//! The build context: the files that a Dockerfile is built with.
//!
//! - [`ContextSource`] says what the user's argument means: a directory, standard input, a tar file, an address.
//! - [`DirectoryContext`] walks a directory, less what an [`Ignore`] list leaves out, and opens what it found.
//! - [`GitSource`] reads git addresses as BuildKit writes them and checks them out.
//! - [`Pattern`] matches the wildcards of COPY and ADD.
//! - [`commit_time`] is what the build's time is taken from.
//!
//! Nothing here follows a link out of the context's root. Tar contexts are only recognised: reading tars is the work of
//! the crate `layer`. Nothing is downloaded but by the `git` program.

mod check_out;
mod class;
mod clean;
mod directory;
mod entry;
mod file;
mod git;
mod git_command;
mod git_source;
mod glob;
mod ignore;
mod pattern;
mod rule;
mod source;
mod walk;

pub use check_out::{Checkout, CheckoutError, CheckoutOptions};
pub use directory::{ContextError, DirectoryContext};
pub use entry::{ContextEntry, ContextKind};
pub use file::ContextFile;
pub use git::{GitError, commit_time};
pub use git_source::{GitAddressError, GitSource};
pub use ignore::{Ignore, IgnoreError, IgnoreFileError, Verdict, find_ignore_file};
pub use pattern::{Pattern, PatternError, has_wildcard, split_wildcard};
pub use source::{ContextSource, ContextSourceError, SNIFF_LENGTH, StdinKind, TarCompression, sniff};
