use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use onlay_build::{Contexts, Platforms, Recipe};
use onlay_dockerfile::{Dockerfile, SourceFile};
use onlay_oci::PlatformSelection;
use onlay_shell::Tools;

use crate::context::{NamedContext, directory};
use crate::failure::Usage;
use crate::options::{ImageOptions, OutputOptions, RegistryOptions, WorkOptions, host_platform};
use crate::publish::{Request, make_and_publish};
use crate::time::BuildTime;

/// Build a Dockerfile
///
/// There is no daemon to keep the image, so -t publishes it.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The build context: a directory
    #[arg(default_value = ".")]
    context: PathBuf,

    /// The Dockerfile; `-` is standard input [default: CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// The stage to build, by name or number [default: the last]
    #[arg(long)]
    target: Option<String>,

    /// A value for an ARG; without `=` it is taken from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,

    /// What stands in for a name in FROM and --from: docker-image://REFERENCE, oci-layout://DIRECTORY[:TAG] or, for
    /// --from, a directory
    #[arg(long, value_name = "NAME=SOURCE")]
    build_context: Vec<String>,

    /// Platforms to build: `all` that the base has, or a list such as linux/amd64,linux/arm64 [default: this machine's]
    #[arg(long, value_name = "LIST|all")]
    platform: Option<PlatformSelection>,

    /// Build only, and print the digest
    #[arg(long, conflicts_with = "tag")]
    no_push: bool,

    #[command(flatten)]
    image: ImageOptions,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    work: WorkOptions,
}

impl Build {
    /// Reads the Dockerfile, builds it and publishes the image.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let dockerfile = Dockerfile::parse(self.source()?)?;
        let mut contexts = Contexts::none().with_main(
            &self.context.display().to_string(),
            directory(&self.context, self.file.as_deref())?,
        );
        let mut named_images = BTreeMap::new();
        for text in &self.build_context {
            match NamedContext::parse(text)? {
                NamedContext::Image(name, location) => {
                    named_images.insert(name, location);
                }
                NamedContext::Directory(name, root) => {
                    contexts = contexts.with_named(&name, directory(&root, None)?);
                }
            }
        }
        let time = BuildTime::resolve(self.image.timestamp.as_deref(), Some(&self.context))?;
        let build_arguments = self
            .build_arg
            .iter()
            .filter_map(|text| build_argument(text))
            .collect();
        let platforms = match self.platform {
            Some(selection) => Platforms::Selected(selection),
            None => Platforms::Host(host_platform()),
        };
        make_and_publish(Request {
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
            no_push: self.no_push,
            image: self.image,
            output: self.output,
            registry: self.registry,
            work: self.work,
        })
        .await
    }

    /// `Dockerfile`, else `dockerfile` in the context, unless `-f` names another.
    fn source(&self) -> anyhow::Result<SourceFile> {
        if let Some(file) = &self.file {
            return read_source(file);
        }
        if !self.context.is_dir() {
            return Err(Usage(format!(
                "the build context `{}` is not a directory",
                self.context.display()
            ))
            .into());
        }
        let names = ["Dockerfile", "dockerfile"].map(|name| self.context.join(name));
        match names.iter().find(|path| path.exists()) {
            Some(path) => read_source(path),
            None => Err(Usage(format!(
                "there is no Dockerfile in `{}`; name one with -f",
                self.context.display()
            ))
            .into()),
        }
    }
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
