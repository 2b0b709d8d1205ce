//! The commands, one file each: its arguments, whose comments are the help, and one `run`.

pub(crate) mod apply;
pub(crate) mod build;
pub(crate) mod cat;
pub(crate) mod copy;
pub(crate) mod diff;
pub(crate) mod digest;
pub(crate) mod doctor;
pub(crate) mod history;
pub(crate) mod inspect;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod ls;
pub(crate) mod mirror;
pub(crate) mod tags;

use std::process::ExitCode;

use onlay_push::TagsInFlight;

use crate::arguments::{Command, Onlay};
use crate::exit_code;
use crate::shutdown::Drain;

/// Runs the command that was asked for.
pub(crate) async fn run(onlay: Onlay, in_flight: &TagsInFlight, drain: &Drain) -> anyhow::Result<ExitCode> {
    match onlay.command {
        Command::Apply(apply) => apply.run(in_flight).await?,
        Command::Build(build) => build.run(in_flight).await?,
        Command::Cat(cat) => cat.run().await?,
        Command::Copy(copy) => copy.run(in_flight).await?,
        Command::Diff(diff) => return diff.run().await,
        Command::Digest(digest) => digest.run().await?,
        Command::History(history) => history.run().await?,
        Command::Inspect(inspect) => inspect.run().await?,
        Command::Ls(ls) => ls.run().await?,
        Command::Tags(tags) => tags.run().await?,
        Command::Doctor(doctor) => return doctor.run().await,
        Command::Mirror(mirror) => return mirror.run(in_flight, drain).await,
        Command::Login(login) => login.run().await?,
        Command::Logout(logout) => logout.run().await?,
    }
    Ok(ExitCode::from(exit_code::DONE))
}
