use std::path::PathBuf;

use clap::Args;
use onlay_build::{Contexts, Platforms, Recipe};
use onlay_dockerfile::{Diagnostics, Instruction, Located, SourceFile, parse_instructions};
use onlay_oci::PlatformSelection;
use onlay_shell::Tools;
use onlay_store::Location;

use crate::context::directory;
use crate::options::{ImageOptions, OutputOptions, RegistryOptions, WorkOptions};
use crate::publish::{Request, make_and_publish};
use crate::time::BuildTime;

/// Apply a few instructions to an image
///
/// What `onlay build` makes of `FROM BASE` and the same lines, for every platform of the image:
///
///     onlay apply hashicorp/vault:1.14 'RUN mkdir /etc/vault' 'VOLUME ["/etc/vault"]' -t HOST/vault:1.14
///
/// BASE is HOST/REPOSITORY[:TAG][@DIGEST], a name on Docker Hub, oci:DIRECTORY[:TAG], oci-archive:FILE or
/// docker-archive:FILE. RUN lines that only touch files are interpreted over the image's listing of files; a line that
/// would have to be executed is an error.
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

    /// The directory that COPY and ADD copy from
    #[arg(long, value_name = "DIRECTORY")]
    context: Option<PathBuf>,

    /// Platforms to edit: `all`, or a list such as linux/amd64,linux/arm64
    #[arg(long, default_value = "all", value_name = "LIST|all")]
    platform: PlatformSelection,

    #[command(flatten)]
    image: ImageOptions,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    work: WorkOptions,
}

impl Apply {
    /// Reads the instructions, edits the image and publishes it.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let lines = self.lines()?;
        let time = BuildTime::resolve(self.image.timestamp.as_deref(), self.context.as_deref())?;
        let contexts = match &self.context {
            Some(root) => Contexts::none().with_main(&root.display().to_string(), directory(root, None)?),
            None => Contexts::none(),
        };
        let recipe = Recipe::Lines {
            base: self.base,
            lines,
        };
        make_and_publish(Request {
            recipe,
            contexts,
            platforms: Platforms::Selected(self.platform),
            build_arguments: Default::default(),
            time,
            default_tools: Tools::ImageElseBuiltin,
            no_push: false,
            image: self.image,
            output: self.output,
            registry: self.registry,
            work: self.work,
        })
        .await
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
