mod notify;
mod passwords;
mod prune;
mod scope;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::{Args, Subcommand};
use onlay_mirror::{Config, Plan, Report, Status, Stop, import};
use onlay_push::TagsInFlight;
use url::Url;

use self::notify::Listeners;
use self::prune::Prune;
pub(super) use self::scope::Wanted;
use self::scope::{Ends, Scope};
use crate::exit_code;
use crate::failure::{self, Usage};
use crate::options::{OutputFormat, RegistryOptions};
use crate::progress::{Notice, Progress};
use crate::shutdown::Drain;
use crate::terminal;

/// Keep many images in sync, with added lines
///
/// CONFIG is YAML or JSON (docs/mirror.md). Images that did not change cost one HEAD upstream, and one look at each
/// repository of the destination; nothing is written then. Missing repositories are created in Amazon ECR.
///
///     onlay mirror mirror.yaml --registry ACCOUNT.dkr.ecr.REGION.amazonaws.com
///
/// Without CONFIG, the environment of the Terraform module's job says what is mirrored: REPOLIST, BUILDSTRINGS,
/// NAMESPACE, AWS_ACCOUNT_ID, AWS_REGION, DOCKERHUB_USERNAME, DOCKERHUB_TOKEN.
///
/// Exit codes: 0 all is there; 3 some failed or were refused; 75 some are left for the next run.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(crate) struct Mirror {
    #[command(subcommand)]
    other: Option<Other>,

    #[command(flatten)]
    scope: Scope,

    /// Print what would be done, and do nothing
    #[arg(long)]
    plan: bool,

    /// How many images are brought at a time
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    /// Do it once, as it is done without `--every`
    #[arg(long, conflicts_with = "every")]
    once: bool,

    /// Do it again and again, with this time between: 30m, 6h, 1d
    #[arg(long, value_name = "TIME", value_parser = interval, conflicts_with = "plan")]
    every: Option<Duration>,

    /// Leave repositories that are missing missing
    #[arg(long)]
    no_create_repositories: bool,

    /// Write what became of each image to this file, too, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Write figures for Prometheus's textfile collector to this file
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,

    /// Print a line of JSON on standard error that CloudWatch makes metrics of, in this namespace
    #[arg(long, value_name = "NAMESPACE")]
    emf: Option<String>,

    /// Post the report to this address when something was changed or failed; may be given several times
    #[arg(long, value_name = "URL")]
    notify: Vec<String>,

    /// Tell this topic of Amazon SNS when something was changed or failed; may be given several times
    #[arg(long, value_name = "ARN")]
    notify_topic: Vec<String>,

    /// What is printed on standard output
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Write a configuration from the Terraform module's inputs
    ///
    /// Reads `containers`, `build_commands` and `namespace` from a .tfvars file, or from a .tf file with a call of the module, or from
    /// either as JSON.
    Import {
        /// The file
        file: PathBuf,
    },
    /// Print the JSON schema of the configuration
    Schema,
    /// Delete images with lines that were replaced, but for the newest few
    ///
    /// Looks at those repositories of which the configuration says how many to keep (`keep`), and at images that onlay has made only.
    /// Prints what it would delete, and deletes it with --delete. An image that somebody else has given a tag stays, and so does
    /// what an index needs.
    Prune(Box<Prune>),
}

/// What a command that has done it ends with.
const DONE: ExitCode = ExitCode::SUCCESS;

fn imported(file: &Path) -> anyhow::Result<String> {
    let text = fs_err::read_to_string(file).map_err(|error| Usage(error.to_string()))?;
    let written = import(&text, &file.display().to_string());
    Ok(written.map_err(|error| Usage(error.to_string()))?)
}

impl Mirror {
    /// Mirrors, and says what became of each image.
    pub(crate) async fn run(mut self, in_flight: &TagsInFlight, drain: &Drain) -> anyhow::Result<ExitCode> {
        match self.other.take() {
            None => {}
            Some(Other::Prune(prune)) => return prune.run(in_flight).await,
            Some(Other::Import { file }) => return show::print(&imported(&file)?).map(|()| DONE),
            Some(Other::Schema) => {
                let schema = serde_json::to_string_pretty(&Config::schema())?;
                return show::print(&schema).map(|()| DONE);
            }
        }
        let wanted = self.scope.wanted()?;
        let listeners = self.listeners()?;
        self.registry_options();
        let progress = Progress::new(&self.scope.work.show)?;
        let ends = Ends {
            in_flight: in_flight.clone(),
            stop: Stop::when(drain.subscribe()),
        };
        let result = self.go_on(&wanted, &listeners, &progress, &ends).await;
        progress.finish();
        result
    }

    async fn go_on(
        &mut self,
        wanted: &Wanted,
        listeners: &Listeners,
        progress: &Progress,
        ends: &Ends,
    ) -> anyhow::Result<ExitCode> {
        loop {
            let code = self.round(wanted, listeners, progress, ends).await?;
            let Some(pause) = self.every else { return Ok(code) };
            progress.status("waiting for the next round".to_owned());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = ends.stop.asked() => return Ok(code),
            }
        }
    }

    /// One round, with passwords, connections, tokens and limits of its own.
    async fn round(
        &mut self,
        wanted: &Wanted,
        listeners: &Listeners,
        progress: &Progress,
        ends: &Ends,
    ) -> anyhow::Result<ExitCode> {
        let mirror = self
            .scope
            .mirror(wanted, self.concurrency, progress, ends)
            .await?;
        progress.status("looking at both sides".to_owned());
        let plan = mirror.plan(&wanted.entries).await;
        if self.plan {
            progress.finish();
            show::plan(&plan, self.format)?;
            return Ok(ExitCode::from(exit_code::DONE));
        }
        let report = self.carry_out(&mirror, plan, progress).await;
        progress.finish();
        show::report(&report, self.format)?;
        if let Some(file) = &self.report {
            fs_err::write(file, show::json(&report)?)?;
        }
        if let Some(file) = &self.metrics_file {
            show::write_metrics(&report, file)?;
        }
        if let Some(namespace) = &self.emf {
            terminal::say(&show::emf(&report, namespace)?);
        }
        let (aws, connections) = self.scope.aws()?;
        for trouble in listeners.tell(&report, &connections, &aws).await {
            progress.tell(&Notice::Warning(failure::chain(trouble.as_ref())));
        }
        Ok(ExitCode::from(code(&report)))
    }

    async fn carry_out(&self, mirror: &onlay_mirror::Mirror, plan: Plan, progress: &Progress) -> Report {
        let (count, ended) = (plan.images.len(), AtomicUsize::new(0));
        let tell = |_: &onlay_mirror::Outcome| {
            let ended = ended.fetch_add(1, Ordering::Relaxed) + 1;
            progress.status(format!("{} {ended} of {count} images", bar(ended, count)));
        };
        mirror.carry_out(plan, &tell).await
    }

    /// How registries are reached; missing repositories are created.
    pub(super) fn registry_options(&mut self) -> &RegistryOptions {
        let registry = &mut self.scope.registry;
        registry.ecr.ecr_create_repository |= !self.no_create_repositories;
        registry
    }

    fn listeners(&self) -> Result<Listeners, Usage> {
        let webhook = |text: &String| {
            let url = text.parse::<Url>().ok();
            // It is not shown: it may let in whoever knows it.
            url.filter(|url| matches!(url.scheme(), "http" | "https"))
                .ok_or_else(|| Usage("`--notify`: expected an address with `http` or `https`".to_owned()))
        };
        Ok(Listeners {
            webhooks: self.notify.iter().map(webhook).collect::<Result<_, _>>()?,
            topics: self.notify_topic.clone(),
        })
    }

    /// What is to be pruned, if that is what is asked for; and how ECR is spoken to for that.
    pub(super) fn pruned(&self) -> Option<anyhow::Result<(Wanted, &RegistryOptions)>> {
        let Some(Other::Prune(prune)) = &self.other else {
            return None;
        };
        Some(prune.wanted())
    }

    /// What the configuration says.
    pub(super) fn wanted(&self) -> anyhow::Result<Wanted> {
        self.scope.wanted()
    }

    /// The rights that it needs beside those on registries.
    pub(super) fn other_rights(&self, wanted: &Wanted) -> Vec<(&'static str, String)> {
        let topics = self
            .notify_topic
            .iter()
            .map(|topic| ("sns:Publish", topic.clone()));
        let rules = wanted.registries.values();
        let secrets = rules.clone().filter_map(|rule| rule.secret.as_ref());
        let parameters = rules.filter_map(|rule| rule.parameter.as_ref());
        secrets
            .map(|secret| ("secretsmanager:GetSecretValue", secret_arn(secret)))
            .chain(parameters.map(|parameter| ("ssm:GetParameter", parameter_arn(parameter))))
            .chain(topics)
            .collect()
    }
}

/// How much of it is done, in twenty characters.
fn bar(done: usize, count: usize) -> String {
    const WIDTH: usize = 20;
    let filled = (done * WIDTH).checked_div(count).unwrap_or(WIDTH).min(WIDTH);
    format!("[{:<WIDTH$}]", "#".repeat(filled))
}

fn code(report: &Report) -> u8 {
    if report.has_failures() {
        exit_code::SOME_FAILED
    } else if report.count(Status::Postponed) > 0 {
        exit_code::POSTPONED
    } else {
        exit_code::DONE
    }
}

/// In policies, six characters follow a secret's name.
///
/// Source: Secrets Manager user guide, "Resource-based policies".
fn secret_arn(secret: &str) -> String {
    match secret.starts_with("arn:") {
        true => secret.to_owned(),
        false => format!("arn:*:secretsmanager:*:*:secret:{secret}-??????"),
    }
}

fn parameter_arn(parameter: &str) -> String {
    match parameter.starts_with("arn:") {
        true => parameter.to_owned(),
        false => format!("arn:*:ssm:*:*:parameter/{}", parameter.trim_start_matches('/')),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}`: expected a number with s, m, h or d, such as 6h");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 60 * 60,
        Some('d') => 24 * 60 * 60,
        _ => return Err(expected()),
    };
    let number: u64 = text
        .get(..text.len() - 1)
        .unwrap_or_default()
        .parse()
        .map_err(|_| expected())?;
    let seconds = number
        .checked_mul(unit)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(expected)?;
    Ok(Duration::from_secs(seconds))
}
