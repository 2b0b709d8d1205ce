use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use onlay_build::{Contexts, Platforms, Recipe};
use onlay_dockerfile::{Diagnostics, Instruction, Located, SourceFile, parse_instructions};
use onlay_oci::PlatformSelection;
use onlay_push::TagsInFlight;
use onlay_shell::Tools;
use onlay_store::Location;
use tempfile::TempDir;

use crate::commands::build::destinations::Destinations;
use crate::context::{OpenedContext, Places};
use crate::lending::LendingOptions;
use crate::options::{ImageOptions, NetworkChoice, OutputOptions, RegistryOptions, WorkOptions};
use crate::publish::{Request, make_and_publish};
use crate::time::BuildTime;

/// Apply a few instructions to an image
///
/// What `onlay build` makes of `FROM BASE` and the same lines, for every platform of the image:
///
///     onlay apply hashicorp/vault:1.14 'RUN mkdir /etc/vault' 'VOLUME ["/etc/vault"]' -t HOST/vault:1.14
///
/// BASE is HOST/REPOSITORY[:TAG][@DIGEST], a name on Docker Hub, oci:DIRECTORY[:TAG], oci-archive:FILE or
/// docker-archive:FILE. RUN lines that only touch files are interpreted over the image's listing of files; others are
/// executed in a sandbox, where this machine allows one (`--run`).
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Apply {
    /// The image to start from
    base: Location,

    /// An instruction, as a line of a Dockerfile; one argument each
    #[arg(value_name = "INSTRUCTION")]
    instructions: Vec<String>,

    /// Read instructions from a file, before those given as arguments; `-` is standard input
    #[arg(short, long, value_name = "LINES")]
    file: Option<PathBuf>,

    /// What COPY and ADD copy from: a directory, a tar archive, a git repository or an URL
    #[arg(long, value_name = "CONTEXT")]
    context: Option<OsString>,

    /// Platforms to edit: `all`, or a list such as linux/amd64,linux/arm64
    #[arg(long, default_value = "all", value_name = "LIST|all")]
    platform: PlatformSelection,

    #[command(flatten)]
    image: ImageOptions,
    #[command(flatten)]
    output: OutputOptions,
    /// What RUN lines reach of the network unless they say: default and host are this machine's, none is none
    #[arg(long, value_enum, default_value = "default", hide_default_value(true))]
    network: NetworkChoice,

    #[command(flatten)]
    lending: LendingOptions,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    work: WorkOptions,
}

impl Apply {
    /// Reads the instructions, edits the image and publishes it.
    pub(crate) async fn run(self, in_flight: &TagsInFlight) -> anyhow::Result<()> {
        let (request, _held) = self.request().await?;
        make_and_publish(request, in_flight).await
    }

    /// What is to be done, all of it known; the second value must be kept until it is.
    pub(crate) async fn request(self) -> anyhow::Result<(Request, Option<TempDir>)> {
        let lines = self.lines()?;
        let places = Places {
            dockerfile: None,
            temporary_directory: self.work.temporary_directory(),
            registry: &self.registry,
        };
        let context = match &self.context {
            Some(argument) => Some(OpenedContext::open(argument, &places).await?),
            None => None,
        };
        let committed = context.as_ref().and_then(|context| context.commit_time);
        let time = BuildTime::resolve(self.image.timestamp.as_deref(), committed)?;
        // A check-out must be there until the image is.
        let (contexts, held) = match context {
            Some(context) => context.into_main(Contexts::none()),
            None => (Contexts::none(), None),
        };
        let recipe = Recipe::Lines {
            base: self.base,
            lines,
        };
        let request = Request {
            recipe,
            contexts,
            platforms: Platforms::Selected(self.platform),
            build_arguments: Default::default(),
            time,
            default_tools: Tools::ImageElseBuiltin,
            destinations: Destinations {
                published: self.output.destinations()?,
                ..Destinations::default()
            },
            lint: None,
            image: self.image,
            output: self.output,
            registry: self.registry,
            work: self.work,
            lending: self.lending,
            network: self.network,
        };
        Ok((request, held))
    }

    /// All instructions; what is wrong in any of the sources is reported at once.
    fn lines(&self) -> anyhow::Result<Vec<Located<Instruction>>> {
        let mut sources = Vec::new();
        if let Some(file) = &self.file {
            sources.push(crate::commands::build::read_source(file)?);
        }
        let arguments = self.instructions.iter().enumerate();
        sources.extend(
            arguments.map(|(index, text)| SourceFile::new(format!("argument {}", index + 1), text.as_str())),
        );
        let mut lines = Vec::new();
        let mut wrong = Vec::new();
        for source in sources {
            match parse_instructions(source) {
                Ok(parsed) => lines.extend(parsed),
                Err(diagnostics) => wrong.extend(diagnostics),
            }
        }
        if wrong.is_empty() {
            Ok(lines)
        } else {
            Err(Diagnostics(wrong).into())
        }
    }
}
