pub(crate) mod destinations;
pub(crate) mod lint;
mod other_flags;
mod output;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use onlay_build::{Contexts, Platforms, Recipe};
use onlay_dockerfile::{Dockerfile, SourceFile};
use onlay_oci::{Platform, PlatformSelection};
use onlay_push::TagsInFlight;
use onlay_shell::Tools;
use tempfile::TempDir;

use self::destinations::DestinationFlags;
use self::lint::{Call, Lint, Method, is_json};
use self::other_flags::OtherFlags;
use crate::context::{NamedContext, OpenedContext, Places};
use crate::failure::Usage;
use crate::lending::LendingOptions;
use crate::options::{
    ImageOptions, NetworkChoice, OutputOptions, RegistryOptions, WorkOptions, host_platform,
};
use crate::publish::{Request, make_and_publish};
use crate::time::BuildTime;

/// Build a Dockerfile
///
/// There is no daemon to keep the image, so -t publishes it.
///
/// Other flags of `docker build` are known as well: those that ask for what is so anyhow (`--no-cache`, `--pull`, `--rm`,
/// `--provenance=false`, ...) change nothing, and the rest are refused with a reason and what to do instead.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The build context: a directory, a tar archive, a git repository or an URL; `-` is standard input, an archive or a
    /// Dockerfile
    #[arg(default_value = ".")]
    context: OsString,

    /// The Dockerfile; `-` is standard input [default: Dockerfile in the context]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// The stage to build, by name or number [default: the last]
    #[arg(long)]
    target: Option<String>,

    /// A value for an ARG; without `=` it is taken from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,

    /// What stands in for a name in FROM and --from: docker-image://REFERENCE, oci-layout://DIRECTORY[:TAG] or, for
    /// --from, any context
    #[arg(long, value_name = "NAME=SOURCE")]
    build_context: Vec<String>,

    /// Platforms to build: `all` that the base has, or a list such as linux/amd64,linux/arm64 [default: this machine's]
    #[arg(long, value_name = "LIST|all")]
    platform: Vec<PlatformSelection>,

    /// Build nothing: look for what had better be written otherwise, with BuildKit's rules
    #[arg(long, num_args(0..=1), require_equals(true), default_missing_value("true"), default_value("false"), action(clap::ArgAction::Set), hide_possible_values(true), hide_default_value(true), value_name("true|false"))]
    check: bool,

    /// What to do: build, check, outline (the arguments of the target) or targets (the stages); with `,format=json`
    #[arg(
        long,
        value_name = "METHOD",
        default_value = "build",
        conflicts_with = "check"
    )]
    call: Call,

    #[command(flatten)]
    image: ImageOptions,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    destinations: DestinationFlags,
    /// What RUN lines reach of the network unless they say: default and host are this machine's, none is none
    #[arg(long, value_enum, default_value = "default", hide_default_value(true))]
    network: NetworkChoice,

    #[command(flatten)]
    lending: LendingOptions,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    work: WorkOptions,
    #[command(flatten)]
    other: OtherFlags,
}

impl Build {
    /// Reads the Dockerfile, builds it and publishes the image.
    pub(crate) async fn run(self, in_flight: &TagsInFlight) -> anyhow::Result<()> {
        let method = if self.check {
            Method::Check
        } else {
            self.call.method
        };
        let json = is_json(self.output.format, self.call);
        let (request, _held) = self.request().await?;
        if method == Method::Build {
            return make_and_publish(request, in_flight).await;
        }
        let bases = request.stage_bases().await?;
        match &request.lint {
            Some(lint) => lint.print(method, json, &bases),
            None => Ok(()),
        }
    }

    /// What is to be done, all of it known; the second value must be kept until it is.
    pub(crate) async fn request(self) -> anyhow::Result<(Request, Vec<TempDir>)> {
        self.other.check()?;
        let platform = merged(&self.platform);
        let destinations = self.destinations.resolve(&self.output, platform.as_ref())?;
        let places = Places {
            dockerfile: self.file.as_deref().filter(|file| *file != Path::new("-")),
            temporary_directory: self.work.temporary_directory(),
            registry: &self.registry,
        };
        let context = OpenedContext::open(&self.context, &places).await?;
        let dockerfile = Dockerfile::parse(self.source(&context)?)?;
        let time = BuildTime::resolve(self.image.timestamp.as_deref(), context.commit_time)?;
        let ignore = context.ignore();
        let (mut contexts, checkout) = context.into_main(Contexts::none());
        // Check-outs must be there until the image is.
        let mut held = Vec::from_iter(checkout);
        let mut named_images = BTreeMap::new();
        for text in &self.build_context {
            match NamedContext::open(text, &places).await? {
                (name, NamedContext::Image(location)) => {
                    named_images.insert(name, location);
                }
                (name, NamedContext::Files(context)) => {
                    let (more, checkout) = context.into_named(&name, contexts);
                    contexts = more;
                    held.extend(checkout);
                }
            }
        }
        let build_arguments: BTreeMap<String, String> = self
            .build_arg
            .iter()
            .filter_map(|text| build_argument(text))
            .collect();
        let platforms = match &platform {
            Some(selection) => Platforms::Selected(selection.clone()),
            None => Platforms::Host(host_platform()),
        };
        let lint = Lint {
            dockerfile: dockerfile.clone(),
            target: self.target.clone(),
            build_arguments: build_arguments.clone(),
            ignore,
            build_platform: host_platform(),
            target_platform: target_platform(platform.as_ref()),
        };
        let request = Request {
            recipe: Recipe::Dockerfile {
                dockerfile,
                target: self.target,
                named_images,
            },
            contexts,
            platforms,
            build_arguments,
            time,
            default_tools: Tools::Image,
            destinations,
            lint: Some(lint),
            image: self.image,
            output: self.output,
            registry: self.registry,
            work: self.work,
            lending: self.lending,
            network: self.network,
        };
        Ok((request, held))
    }

    /// The Dockerfile: of a directory on this machine a file of this machine, else one inside the context.
    fn source(&self, context: &OpenedContext) -> anyhow::Result<SourceFile> {
        let Some(file) = &self.file else {
            return context.read_dockerfile(None);
        };
        if file == Path::new("-") && self.context == "-" {
            return Err(
                Usage("standard input can be the context or the Dockerfile, not both".to_owned()).into(),
            );
        }
        if file == Path::new("-") || Path::new(&self.context).is_dir() {
            return read_source(file);
        }
        context.read_dockerfile(Some(&file.display().to_string()))
    }
}

/// The platforms of all `--platform` together, as docker takes them.
fn merged(selections: &[PlatformSelection]) -> Option<PlatformSelection> {
    let mut platforms = Vec::new();
    for selection in selections {
        let PlatformSelection::Only(more) = selection else {
            return Some(PlatformSelection::All);
        };
        platforms.extend(more.iter().cloned());
    }
    (!selections.is_empty()).then_some(PlatformSelection::Only(platforms))
}

/// The platform that arguments are predefined for when nothing is built.
fn target_platform(selection: Option<&PlatformSelection>) -> Platform {
    match selection {
        Some(PlatformSelection::Only(platforms)) => platforms.first().cloned(),
        Some(PlatformSelection::All) | None => None,
    }
    .unwrap_or_else(host_platform)
}

/// Reads a Dockerfile or lines; `-` is standard input.
pub(crate) fn read_source(path: &Path) -> anyhow::Result<SourceFile> {
    if path == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin()
            .read_to_end(&mut text)
            .context("failed to read standard input")?;
        return Ok(SourceFile::new("standard input", text));
    }
    let text = fs_err::read(path).map_err(|error| Usage(error.to_string()))?;
    Ok(SourceFile::new(path.display().to_string(), text))
}

/// `NAME=VALUE`, or `NAME` with its value from the environment; unset there, it is as if it were not given.
fn build_argument(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.to_owned(), crate::environment::text(text)?)),
    }
}
