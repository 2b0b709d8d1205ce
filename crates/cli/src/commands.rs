//! The commands, one file each: its arguments, whose comments are the help, and one `run`.

pub(crate) mod apply;
pub(crate) mod build;

use crate::arguments::{Command, Onlay};

/// Runs the command that was asked for.
pub(crate) async fn run(onlay: Onlay) -> anyhow::Result<()> {
    match onlay.command {
        Command::Apply(apply) => apply.run().await,
        Command::Build(build) => build.run().await,
    }
}
