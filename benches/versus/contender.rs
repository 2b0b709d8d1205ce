//! The builders that are compared, each as rows of the table.

mod buildah;
mod crane;
mod docker;
mod kaniko;
mod onlay;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;

use crate::options::Options;
use crate::site::{Site, Target};
use docker::Daemon;
use onlay_benches::measure::succeed;

/// One row: a builder in one state of its caches.
pub(crate) trait Contender {
    /// What the row is called: the builder and its state, unique.
    fn name(&self) -> String;

    /// The builder's version.
    fn version(&self) -> &str;

    /// Brings the caches into the state that the row is about; not timed.
    fn prepare(&self, target: &Target) -> Result<()>;

    /// The commands that make the image and push it; timed.
    fn commands(&self, target: &Target) -> Vec<Command>;

    /// A daemon whose memory counts too.
    fn daemon(&self) -> Option<&Daemon> {
        None
    }

    /// What the row is for in the targets, if it is onlay's or one that onlay is measured by.
    fn role(&self) -> Role;
}

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// onlay with nothing cached.
    OnlayCold,
    /// onlay with the base's listing cached.
    OnlayWarm,
    /// onlay with a line that needs the configuration only.
    OnlayConfigOnly,
    /// `docker build --no-cache` and push, with nothing cached.
    DockerCold,
    /// `crane append`.
    Append,
    /// Any other.
    Other,
}

impl Role {
    /// Tells whether the row is onlay's.
    pub(crate) fn is_onlay(self) -> bool {
        matches!(self, Self::OnlayCold | Self::OnlayWarm | Self::OnlayConfigOnly)
    }
}

/// What a builder still has of earlier runs. Its own result it never has: the lines are always done anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Nothing.
    Cold,
    /// What it keeps of the base.
    Warm,
}

/// Who can be compared, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Builder {
    Onlay,
    Crane,
    Docker,
    Buildah,
    Kaniko,
}

/// A builder that is left out.
pub(crate) struct Missing {
    pub(crate) builder: Builder,
    /// Why.
    pub(crate) reason: String,
}

type Rows = Vec<Box<dyn Contender>>;

/// Finds out which builders can run here.
pub(crate) fn find(options: &Options, site: &Site) -> (Rows, Vec<Missing>) {
    let (mut rows, mut missing) = (Rows::new(), Vec::new());
    for &builder in Builder::value_variants() {
        match builder.rows(options, site) {
            Ok(found) => rows.extend(found),
            Err(error) => missing.push(Missing {
                builder,
                reason: format!("{error:#}"),
            }),
        }
    }
    (rows, missing)
}

impl Builder {
    fn rows(self, options: &Options, site: &Site) -> Result<Rows> {
        ensure!(options.wants(self), "not asked for");
        match self {
            Self::Onlay => onlay::rows(&options.onlay, site),
            Self::Crane => crane::rows(&options.crane, site),
            Self::Docker => docker::rows(options, site),
            Self::Buildah => buildah::rows(&options.buildah, site),
            Self::Kaniko => kaniko::rows(&options.kaniko, site),
        }
    }
}

/// What a program says of its version, in one line.
fn version(program: &Path, argument: &str) -> Result<String> {
    let answer = succeed(Command::new(program).arg(argument)).context("not installed")?;
    let first = answer.lines().next().unwrap_or_default();
    Ok(first.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn need_root() -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "needs root");
    Ok(())
}
