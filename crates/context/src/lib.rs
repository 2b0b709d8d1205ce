//! The build context: the files that a Dockerfile is built with.
//!
//! - [`DirectoryContext`] walks a directory, less what an [`Ignore`] list leaves out, and opens what it found.
//! - [`Pattern`] matches the wildcards of COPY and ADD.
//! - [`commit_time`] is what the build's time is taken from.
//!
//! Nothing here follows a link out of the root of the context.

mod class;
mod clean;
mod directory;
mod entry;
mod file;
mod git;
mod glob;
mod ignore;
mod pattern;
mod rule;
mod walk;

pub use directory::{ContextError, DirectoryContext};
pub use entry::{ContextEntry, ContextKind};
pub use file::ContextFile;
pub use git::{GitError, commit_time};
pub use ignore::{Ignore, IgnoreError, IgnoreFileError, Verdict, find_ignore_file};
pub use pattern::{Pattern, PatternError, has_wildcard, split_wildcard};
