//! What a mirror is about: images, registries, which part of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use onlay_base::Bases;
use onlay_build::{BuildOptions, Builder, Contexts, Platforms, RunMode};
use onlay_ecr::AwsServices;
use onlay_http::ConnectionOptions;
use onlay_layer::CompressionOptions;
use onlay_mirror::{
    Config, Entry, Host, Mirror, Pattern, RegistryRule, Shard, Stop, entries, from_environment,
};
use onlay_oci::{PlatformSelection, Registry};
use onlay_push::{Pusher, TagsInFlight};
use onlay_registry::Secret;
use onlay_shell::Tools;

use super::passwords;
use crate::credentials::FoundPassword;
use crate::delivery::publication;
use crate::ecr::aws_source;
use crate::environment;
use crate::failure::Usage;
use crate::network::Network;
use crate::options::{RegistryOptions, WorkOptions, host_platform};
use crate::progress::Progress;
use crate::publish::threads;
use crate::session::Session;

/// Which images, and how both sides are reached.
#[derive(Debug, Args)]
pub(crate) struct Scope {
    /// What is mirrored
    config: Option<PathBuf>,

    /// Where images are kept, in place of what CONFIG says
    #[arg(long = "registry", value_name = "HOST")]
    registry_host: Option<Registry>,

    /// Only images of which source or target match this regular expression
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,

    /// Do only a part of the work: part I of N, or `auto` for what AWS Batch, Kubernetes, GitLab or CircleCI say of this job
    #[arg(long, value_name = "I/N|auto")]
    shard: Option<String>,

    #[command(flatten)]
    pub registry: RegistryOptions,
    #[command(flatten)]
    pub work: WorkOptions,
}

/// What a configuration says.
pub(crate) struct Wanted {
    pub(crate) entries: Vec<Entry>,
    pub(crate) registries: BTreeMap<Host, RegistryRule>,
}

/// What decides how a run ends that is asked to.
pub(super) struct Ends {
    pub(super) in_flight: TagsInFlight,
    pub(super) stop: Stop,
}

impl Scope {
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

    /// How AWS's other services are asked.
    pub(super) fn aws(&self) -> anyhow::Result<(AwsServices, ConnectionOptions)> {
        let connections = Network::read(&self.registry.ca_file)?.connection_options(&self.registry);
        Ok((AwsServices::new(aws_source(connections.clone())), connections))
    }

    /// What does the work, with passwords, connections, tokens and limits of its own.
    pub(super) async fn mirror(
        &mut self,
        wanted: &Wanted,
        concurrency: u16,
        progress: &Progress,
        ends: &Ends,
    ) -> anyhow::Result<Mirror> {
        let (aws, _) = self.aws()?;
        self.registry.credentials.found = wanted.passwords(&aws).await?;
        let session = Session::start(
            &self.registry,
            self.work.cache_dir.as_deref(),
            progress.observer(),
        )
        .context("registries cannot be reached as asked for")?;
        let only = self.only.clone().map(Pattern::try_from).transpose();
        Ok(Mirror {
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
            concurrency: concurrency.into(),
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

impl Wanted {
    /// The passwords that the configuration says where to find.
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

fn registry_of_environment() -> Option<Registry> {
    let account = environment::text(environment::AWS_ACCOUNT_ID)?;
    let region = environment::text(environment::AWS_REGION)?;
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("{account}.dkr.ecr.{region}.amazonaws.com{china}")
        .parse()
        .ok()
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
