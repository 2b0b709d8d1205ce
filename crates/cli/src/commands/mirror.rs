mod notify;
mod passwords;
mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use onlay_base::Bases;
use onlay_build::{BuildOptions, Builder, Contexts, Platforms, RunMode};
use onlay_ecr::AwsServices;
use onlay_layer::CompressionOptions;
use onlay_mirror::{
    Config, Entry, Host, Pattern, Plan, RegistryRule, Report, Shard, Status, Stop, entries, from_environment,
    import,
};
use onlay_oci::{PlatformSelection, Registry};
use onlay_push::{Pusher, TagsInFlight};
use onlay_registry::Secret;
use onlay_shell::Tools;
use url::Url;

use self::notify::Listeners;
use crate::credentials::FoundPassword;

use crate::delivery::publication;
use crate::ecr::aws_source;
use crate::environment;
use crate::exit_code;
use crate::failure::{self, Usage};
use crate::network::Network;
use crate::options::{OutputFormat, RegistryOptions, WorkOptions, host_platform};
use crate::progress::{Notice, Progress};
use crate::publish::threads;
use crate::session::Session;
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

    /// What is mirrored
    config: Option<PathBuf>,

    /// Where images are kept, in place of what CONFIG says
    #[arg(long = "registry", value_name = "HOST")]
    registry_host: Option<Registry>,

    /// Print what would be done, and do nothing
    #[arg(long)]
    plan: bool,

    /// Only images of which source or target match this regular expression
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,

    /// How many images are brought at a time
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    /// Do only a part of the work: part I of N, or `auto` for what AWS Batch, Kubernetes, GitLab or CircleCI say of this job
    #[arg(long, value_name = "I/N|auto")]
    shard: Option<String>,

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

    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    work: WorkOptions,
}

/// What a configuration says.
pub(super) struct Wanted {
    pub(super) entries: Vec<Entry>,
    pub(super) registries: BTreeMap<Host, RegistryRule>,
}

/// What decides how a run ends that is asked to.
struct Ends {
    in_flight: TagsInFlight,
    stop: Stop,
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
}

impl Other {
    fn text(&self) -> anyhow::Result<String> {
        match self {
            Self::Import { file } => {
                let text = fs_err::read_to_string(file).map_err(|error| Usage(error.to_string()))?;
                let written = import(&text, &file.display().to_string());
                Ok(written.map_err(|error| Usage(error.to_string()))?)
            }
            Self::Schema => Ok(serde_json::to_string_pretty(&Config::schema())?),
        }
    }
}

impl Mirror {
    /// Mirrors, and says what became of each image.
    pub(crate) async fn run(mut self, in_flight: &TagsInFlight, drain: &Drain) -> anyhow::Result<ExitCode> {
        if let Some(other) = &self.other {
            show::print(&other.text()?)?;
            return Ok(ExitCode::from(exit_code::DONE));
        }
        let wanted = self.wanted()?;
        let listeners = self.listeners()?;
        self.registry_options();
        let progress = Progress::new(&self.work.show)?;
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
        let connections = Network::read(&self.registry.ca_file)?.connection_options(&self.registry);
        let aws = AwsServices::new(aws_source(connections.clone()));
        self.registry.credentials.found = wanted.passwords(&aws).await?;
        let mirror = self.mirror(progress, ends)?;
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
        self.registry.ecr.ecr_create_repository |= !self.no_create_repositories;
        &self.registry
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

    /// What the configuration says.
    pub(super) fn wanted(&self) -> anyhow::Result<Wanted> {
        let usage = |error: &dyn std::fmt::Display| Usage(error.to_string());
        let (config, name) = match &self.config {
            Some(file) => {
                let text = fs_err::read_to_string(file).map_err(|error| usage(&error))?;
                let name = file.display().to_string();
                (Config::parse(&text, &name).map_err(|error| usage(&error))?, name)
            }
            None => (self.of_environment()?, environment::REPOLIST.to_owned()),
        };
        let registry = match (&self.registry_host, &config.registry) {
            (Some(registry), _) => Some(registry.clone()),
            (None, Some(_)) => None,
            (None, None) => registry_of_environment(),
        };
        Ok(Wanted {
            entries: entries(&config, registry.as_ref(), &name).map_err(|error| usage(&error))?,
            registries: config.registries,
        })
    }

    fn of_environment(&self) -> Result<Config, Usage> {
        let images = environment::text(environment::REPOLIST).ok_or_else(|| {
            Usage("there is nothing to mirror: name a configuration, or set REPOLIST".to_owned())
        })?;
        let lines = environment::text(environment::BUILDSTRINGS);
        let namespace = environment::text(environment::NAMESPACE);
        from_environment(&images, lines.as_deref(), namespace.as_deref())
            .map_err(|error| Usage(error.to_string()))
    }

    fn mirror(&self, progress: &Progress, ends: &Ends) -> anyhow::Result<onlay_mirror::Mirror> {
        let session = Session::start(
            &self.registry,
            self.work.cache_dir.as_deref(),
            progress.observer(),
        )
        .context("registries cannot be reached as asked for")?;
        let only = self.only.clone().map(Pattern::try_from).transpose();
        Ok(onlay_mirror::Mirror {
            client: session.client.clone(),
            builder: Builder {
                bases: Bases::new(session.client.clone()).with_cache(session.cache.clone()),
                listings: session.listings.clone(),
                contexts: Contexts::none(),
                fetch: session
                    .network
                    .fetch_options(&self.registry, self.work.temporary_directory()),
                events: progress.events(None),
            },
            build_options: self.build_options(),
            pusher: Pusher {
                client: session.client.clone(),
                temporary_directory: self.work.temporary_directory(),
                in_flight: ends.in_flight.clone(),
                growing: None,
            },
            publication,
            in_flight: ends.in_flight.clone(),
            concurrency: self.concurrency.into(),
            shard: self.shard()?,
            only: only.map_err(|error| Usage(format!("`--only`: {error}")))?,
            stop: ends.stop.clone(),
        })
    }

    fn build_options(&self) -> BuildOptions {
        BuildOptions {
            platforms: Platforms::Selected(PlatformSelection::All),
            build_arguments: Default::default(),
            labels: Vec::new(),
            manifest_annotations: Default::default(),
            index_annotations: Default::default(),
            time: None,
            tools: Tools::ImageElseBuiltin,
            run: RunMode::Auto,
            compression: CompressionOptions::gzip(threads()),
            build_platform: host_platform(),
            temporary_directory: self.work.temporary_directory(),
            lent: Default::default(),
            network: Default::default(),
            exceptions: Default::default(),
        }
    }

    fn shard(&self) -> Result<Shard, Usage> {
        match self.shard.as_deref() {
            None => Ok(Shard::WHOLE),
            Some("auto") => shard_of_environment(),
            Some(text) => text.parse().map_err(|error| Usage(format!("`--shard`: {error}"))),
        }
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

impl Wanted {
    async fn passwords(&self, aws: &AwsServices) -> anyhow::Result<Vec<FoundPassword>> {
        let mut found = Vec::new();
        for (host, rule) in &self.registries {
            found.extend(passwords::find(host, rule, aws).await?);
        }
        found.extend(docker_hub_of_environment());
        Ok(found)
    }
}

fn docker_hub_of_environment() -> Option<FoundPassword> {
    Some(FoundPassword {
        by: environment::DOCKERHUB_TOKEN.to_owned(),
        host: "docker.io".to_owned(),
        username: environment::text(environment::DOCKERHUB_USERNAME)?,
        password: Secret::new(environment::text(environment::DOCKERHUB_TOKEN)?),
    })
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

fn registry_of_environment() -> Option<Registry> {
    let account = environment::text(environment::AWS_ACCOUNT_ID)?;
    let region = environment::text(environment::AWS_REGION)?;
    format!("{account}.dkr.ecr.{region}.amazonaws.com").parse().ok()
}

fn shard_of_environment() -> Result<Shard, Usage> {
    for (index, from_one, count) in environment::PARTS {
        let number = |name: &str| environment::text(name)?.parse::<u32>().ok();
        let Some(found) = number(index) else { continue };
        let of = number(count).ok_or_else(|| {
            Usage(format!(
                "`--shard auto`: {index} is set and {count} is not, which says of how many; set it"
            ))
        })?;
        let found_index = found.checked_sub(u32::from(from_one));
        let shard = found_index.and_then(|index| Shard::new(index, of));
        return shard.ok_or_else(|| {
            Usage(format!(
                "`--shard auto`: there is no part {found} of {of} ({index})"
            ))
        });
    }
    let names: Vec<&str> = environment::PARTS.iter().map(|(index, ..)| *index).collect();
    Err(Usage(format!(
        "`--shard auto`: none of {} is set; write `--shard I/N`",
        names.join(", ")
    )))
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
