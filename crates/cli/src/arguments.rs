use clap::{Parser, Subcommand};

use crate::commands::{
    apply::Apply, build::Build, cat::Cat, copy::Copy, diff::Diff, digest::DigestCommand, doctor::Doctor,
    history::History, inspect::Inspect, login::Login, logout::Logout, ls::Ls, mirror::Mirror, tags::Tags,
};

/// Lay new layers on container images: no daemon, no root, no pull
///
/// onlay takes an image that exists, applies Dockerfile instructions by editing its configuration and writing new layers,
/// and publishes the result. Nothing is pulled that no instruction needs, and nothing executed that can be interpreted.
#[derive(Debug, Parser)]
#[command(name = "onlay", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Onlay {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    // Each command's own comment is its help.
    Apply(Apply),
    Build(Build),
    Copy(Copy),
    Mirror(Mirror),
    Inspect(Inspect),
    Ls(Ls),
    Cat(Cat),
    Diff(Diff),
    History(History),
    Tags(Tags),
    Digest(DigestCommand),
    Doctor(Doctor),
    Login(Login),
    Logout(Logout),
}
