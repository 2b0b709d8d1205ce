mod iam;
mod machine;
mod places;
mod registries;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use onlay_oci::Registry;
use onlay_sandbox::{Rung, Sandbox};

use self::iam::Iam;
use self::machine::Machine;
use self::report::{Report, RungReport};
use crate::environment;
use crate::options::{OutputFormat, RegistryOptions};
use crate::terminal::{print, say};

/// Find out what this machine allows, and what onlay needs to be able to work
///
/// Looks at what a RUN line could be executed with, at credentials (their names, never values), at the registries that are
/// named here or that credentials are for, at space and at limits. Nothing is changed, and only these registries are asked.
///
/// The exit code is 1 if a registry that is named here cannot be used, else 0: lines that only touch files work everywhere.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Doctor {
    #[command(subcommand)]
    question: Option<Question>,

    /// Ask these registries, too
    #[arg(value_name = "REGISTRY")]
    registries: Vec<Registry>,

    /// What is printed on standard output
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,

    /// Where listings of layers are kept [default: ONLAY_CACHE_DIR, XDG_CACHE_HOME/onlay, HOME/.cache/onlay, else memory only]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// Where large temporary files go [default: TMPDIR, else /tmp, else the cache]
    #[arg(long, value_name = "DIR")]
    tmp_dir: Option<PathBuf>,

    #[command(flatten)]
    registry: RegistryOptions,
}

/// What is to be found out.
#[derive(Debug, Subcommand)]
enum Question {
    // Each question's own comment is its help.
    Iam(Iam),
}

impl Doctor {
    /// Answers the question.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.question {
            Some(Question::Iam(iam)) => iam.run().await.map(|()| ExitCode::SUCCESS),
            None => self.report().await,
        }
    }

    async fn report(self) -> anyhow::Result<ExitCode> {
        let rungs = tokio::task::spawn_blocking(rungs).await??;
        let temporary = self.tmp_dir.or_else(environment::temporary_directory);
        let cache = self.cache_dir.or_else(environment::cache_directory);
        let (credentials, registries) = registries::ask(&self.registry, &self.registries).await;
        let report = Report {
            machine: Machine::look(),
            run: rungs
                .iter()
                .find(|rung| rung.obstacle.is_none())
                .map(|rung| rung.name),
            sandboxes: rungs,
            temporary: temporary.as_deref().map(places::look),
            cache: cache.as_deref().map(places::look),
            credentials,
            registries,
        };
        match self.format {
            OutputFormat::Json => print(&serde_json::to_string_pretty(&report)?)?,
            OutputFormat::Text => print(report.to_string().trim_end())?,
        }
        let failed = report
            .registries
            .iter()
            .find(|asked| asked.is_named && asked.error.is_some());
        let Some(failed) = failed else {
            return Ok(ExitCode::SUCCESS);
        };
        say(&format!("error: `{}` cannot be used", failed.name));
        Ok(ExitCode::FAILURE)
    }
}

/// Tries every way to execute RUN lines.
fn rungs() -> anyhow::Result<Vec<RungReport>> {
    let look = |rung: Rung| {
        let obstacle = Sandbox::obstacle(rung)?;
        Ok(RungReport {
            name: rung.name(),
            refused: obstacle.as_ref().map(|obstacle| obstacle.step.clone()),
            obstacle: obstacle.map(|obstacle| obstacle.reason),
        })
    };
    Rung::ALL.into_iter().map(look).collect()
}
