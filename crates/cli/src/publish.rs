use std::collections::BTreeMap;

use onlay_base::Bases;
use onlay_build::{BuildOptions, Builder, Built, Contexts, Platforms, Recipe, RunMode, StageBases};
use onlay_dockerfile::LintedStages;
use onlay_layer::CompressionOptions;
use onlay_oci::PlatformSelection;
use onlay_push::{GrowingUploads, Pusher, TagsInFlight};
use onlay_sandbox::Rung;
use onlay_shell::Tools;

use crate::commands::build::destinations::Destinations;
use crate::commands::build::lint::Lint;
use crate::delivery::{plans, publication, publish};
use crate::environment;
use crate::failure::Usage;
use crate::lending::LendingOptions;
use crate::load::{load, verify_docker};
use crate::options::{
    CompressionChoice, ImageOptions, NetworkChoice, OutputFormat, OutputOptions, RegistryOptions, RunChoice,
    ShellChoice, WorkOptions, host_platform,
};
use crate::output::{self, Published};
use crate::progress::{Network, Notice, Progress};
use crate::session::Session;
use crate::time::BuildTime;

/// All that `apply` and `build` differ in, and the options that they share.
pub(crate) struct Request {
    pub recipe: Recipe,
    /// What COPY and ADD copy from.
    pub contexts: Contexts,
    pub platforms: Platforms,
    pub build_arguments: BTreeMap<String, String>,
    pub time: BuildTime,
    /// Whose tools read RUN lines unless `--shell` says.
    pub default_tools: Tools,
    /// Where the result goes.
    pub destinations: Destinations,
    /// What to say of the lines beside building them.
    pub lint: Option<Lint>,
    pub image: ImageOptions,
    pub output: OutputOptions,
    pub registry: RegistryOptions,
    pub work: WorkOptions,
    pub lending: LendingOptions,
    pub network: NetworkChoice,
}

/// Builds the image, publishes it at every destination and prints where.
pub(crate) async fn make_and_publish(request: Request, in_flight: &TagsInFlight) -> anyhow::Result<()> {
    request.output.check_files()?;
    let progress = Progress::new(&request.work.show)?;
    let result = request.run(&progress, in_flight).await;
    // Errors are printed where it was.
    progress.finish();
    result
}

impl Request {
    async fn run(&self, progress: &Progress, in_flight: &TagsInFlight) -> anyhow::Result<()> {
        let options = self.build_options()?;
        if self.destinations.loaded.is_some() {
            verify_docker()?;
        }
        let session = Session::start(
            &self.registry,
            self.work.cache_dir.as_deref(),
            progress.observer(),
        )?;
        let pusher = self.pusher(&session, in_flight);
        let builder = Builder {
            events: progress.events(pusher.growing.clone()),
            ..self.builder(&session, progress)
        };
        let built = builder.build(&self.recipe, &options).await?;
        self.tell_warnings(progress)?;
        progress.tell(&self.created(&built));
        if self.output.dry_run {
            return self.print_plans(&pusher, &built, progress).await;
        }
        let publication = publication(&built);
        let (published, failed) =
            publish(&pusher, &publication, &self.destinations.published, progress).await;
        if let Some(names) = &self.destinations.loaded {
            load(&pusher, &built, names).await?;
        }
        if self.work.explain {
            progress.explain(&Network::of(&session.client));
        }
        let failed = match failed {
            // Whoever reads the digest would take it for one that was published.
            Some(failed) if published.is_empty() => {
                progress.finish();
                return Err(failed.into());
            }
            failed => failed,
        };
        if published.is_empty() && !self.destinations.is_nothing_wanted {
            let warning = "nothing was published; name a destination with -t";
            progress.tell(&Notice::Warning(warning.to_owned()));
        }
        progress.finish();
        self.print(&built, &published)?;
        failed.map_or(Ok(()), |failed| Err(failed.into()))
    }

    /// `--dry-run`: what publishing would do, in place of doing it.
    async fn print_plans(&self, pusher: &Pusher, built: &Built, progress: &Progress) -> anyhow::Result<()> {
        let plans = plans(pusher, &publication(built), &self.destinations.published).await?;
        progress.finish();
        output::print_plans(&plans, self.output.format)
    }

    /// What publishes; layers that grow large are on their way before the image is finished.
    fn pusher(&self, session: &Session, in_flight: &TagsInFlight) -> Pusher {
        let destinations = &self.destinations.published;
        Pusher {
            client: session.client.clone(),
            temporary_directory: self.work.temporary_directory(),
            in_flight: in_flight.clone(),
            growing: (!self.output.dry_run).then(|| GrowingUploads::new(&session.client, destinations)),
        }
    }

    fn builder(&self, session: &Session, progress: &Progress) -> Builder {
        Builder {
            bases: Bases::new(session.client.clone()).with_cache(session.cache.clone()),
            listings: session.listings.clone(),
            contexts: self.contexts.clone(),
            fetch: session
                .network
                .fetch_options(&self.registry, self.work.temporary_directory()),
            events: progress.events(None),
        }
    }

    /// What is known of the images that stages start from, without building anything.
    pub(crate) async fn stage_bases(&self) -> anyhow::Result<StageBases> {
        let progress = Progress::new(&self.work.show)?;
        let session = Session::start(
            &self.registry,
            self.work.cache_dir.as_deref(),
            progress.observer(),
        )?;
        let builder = self.builder(&session, &progress);
        Ok(builder.stage_bases(&self.recipe, &self.build_options()?).await?)
    }

    pub(crate) fn build_options(&self) -> anyhow::Result<BuildOptions> {
        let mut annotations = Annotations::default();
        for (key, value) in pairs("--annotation", &self.image.annotation)? {
            annotations.add(&key, value)?;
        }
        if is_one(&self.platforms) && !annotations.index.is_empty() {
            return Err(Usage(
                "`--annotation index:...` needs an index, expected several platforms in `--platform`"
                    .to_owned(),
            )
            .into());
        }
        let cache_directory = self.work.cache_dir.clone().or_else(environment::cache_directory);
        Ok(BuildOptions {
            platforms: self.platforms.clone(),
            build_arguments: self.build_arguments.clone(),
            labels: self.labels()?,
            manifest_annotations: annotations.manifest,
            index_annotations: annotations.index,
            time: self.time.time,
            tools: match self.image.shell {
                None => self.default_tools,
                Some(ShellChoice::Image) => Tools::Image,
                Some(ShellChoice::Builtin) => Tools::Builtin,
            },
            run: match self.image.run {
                RunChoice::Auto => RunMode::Auto,
                RunChoice::Interpret => RunMode::Interpret,
                RunChoice::Namespaces => RunMode::Execute(Rung::Namespaces),
                RunChoice::Chroot => RunMode::Execute(Rung::Chroot),
                RunChoice::Ptrace => RunMode::Execute(Rung::Ptrace),
                RunChoice::Never => RunMode::Never,
            },
            compression: match self.image.compression {
                CompressionChoice::Gzip => CompressionOptions::gzip(threads()),
                CompressionChoice::Zstd => CompressionOptions::zstd(),
            },
            build_platform: host_platform(),
            temporary_directory: self.work.temporary_directory(),
            lent: self.lending.lent(cache_directory.as_deref())?,
            exceptions: Default::default(),
            network: match self.network {
                NetworkChoice::Default | NetworkChoice::Host => onlay_sandbox::Network::Host,
                NetworkChoice::None => onlay_sandbox::Network::None,
            },
        })
    }

    /// As docker has them: a label without `=` is empty.
    fn labels(&self) -> Result<Vec<(String, String)>, Usage> {
        let label = |text: &String| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            match key {
                "" => Err(Usage(format!("`--label {text}` has no key, expected KEY=VALUE"))),
                key => Ok((key.to_owned(), value.to_owned())),
            }
        };
        self.image.label.iter().map(label).collect()
    }

    /// Says what had better be written otherwise, and fails where the Dockerfile asks for it.
    fn tell_warnings(&self, progress: &Progress) -> anyhow::Result<()> {
        let Some(lint) = &self.lint else { return Ok(()) };
        let report = lint.report(&progress.stage_bases(), LintedStages::Needed)?;
        for warning in &report.warnings {
            progress.tell(&Notice::Warning(warning.summary()));
        }
        Ok(report.verify()?)
    }

    /// Says which time was taken, which otherwise nobody would see before digests differ.
    fn created(&self, built: &Built) -> Notice<'static> {
        let time = match self.time.time {
            Some(time) => time.to_string(),
            None => match built.images.first().map(|image| image.created) {
                Some(time) => time.to_string(),
                None => "1970-01-01T00:00:00Z".to_owned(),
            },
        };
        let has_base = built.images.iter().any(|image| image.source.is_some());
        let from = match self.time.time {
            None if !has_base => "nothing: there is no base, and no time was given",
            _ => self.time.from,
        };
        Notice::Created { time, from }
    }

    fn print(&self, built: &Built, published: &[Published]) -> anyhow::Result<()> {
        if let Some(path) = &self.output.iidfile {
            output::write_iidfile(path, built)?;
        }
        if let Some(path) = &self.output.metadata_file {
            let loaded = self.destinations.loaded.iter().flatten();
            let names: Vec<String> = published
                .iter()
                .map(|published| published.destination.clone())
                .chain(loaded.map(ToString::to_string))
                .collect();
            output::write_metadata(path, built, &names)?;
        }
        match self.output.format {
            OutputFormat::Text => output::print_text(built, published),
            OutputFormat::Json => output::print_json(built, published),
        }
    }
}

/// Annotations by the kind of document that they go to.
#[derive(Default)]
struct Annotations {
    manifest: BTreeMap<String, String>,
    index: BTreeMap<String, String>,
}

impl Annotations {
    /// Adds one; the key may have kinds in front, as buildx has them: `index:KEY`, `manifest,index:KEY`.
    fn add(&mut self, text: &str, value: String) -> Result<(), Usage> {
        let refuse = |what: &str| {
            Usage(format!(
                "`--annotation {text}=...`: {what}, expected `manifest:` or `index:`"
            ))
        };
        let (kinds, key) = text.split_once(':').unwrap_or(("manifest", text));
        for kind in kinds.split(',') {
            match kind {
                "manifest" => self.manifest.insert(key.to_owned(), value.clone()),
                "index" => self.index.insert(key.to_owned(), value.clone()),
                "manifest-descriptor" | "index-descriptor" => {
                    return Err(refuse("annotations of descriptors are not written"));
                }
                other if other.starts_with("manifest[") => {
                    return Err(refuse("annotations for one platform are not written"));
                }
                other => return Err(refuse(&format!("unknown kind `{other}`"))),
            };
        }
        Ok(())
    }
}

/// Tells whether one platform is asked for, whatever the base has.
fn is_one(platforms: &Platforms) -> bool {
    match platforms {
        Platforms::Host(_) => true,
        Platforms::Selected(PlatformSelection::Only(platforms)) => platforms.len() == 1,
        Platforms::Selected(PlatformSelection::All) => false,
    }
}

pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn pairs(flag: &str, texts: &[String]) -> Result<Vec<(String, String)>, Usage> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Usage(format!(
            "`{flag} {text}` has no key and value, expected KEY=VALUE"
        ))),
    };
    texts.iter().map(pair).collect()
}
