//! The build context: the directory that a Dockerfile is built in.
//!
//! So far it is what the build's time is taken from ([`commit_time`]): no instruction of this version copies files out
//! of it. Those that will resolve their paths inside the directory, never above it.

mod git;

pub use git::{GitError, commit_time};
