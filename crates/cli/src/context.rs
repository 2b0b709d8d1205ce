//! What the user names as build contexts, made ready for the engine.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use onlay_build::{BuildContext, Contexts};
use onlay_context::{
    CheckoutOptions, ContextSource, GitSource, Ignore, SNIFF_LENGTH, StdinKind, find_ignore_file, sniff,
};
use onlay_dockerfile::SourceFile;
use onlay_fetch::Fetcher;
use onlay_oci::Reference;
use onlay_store::{Blob, Location, Spool};
use tempfile::TempDir;

use crate::failure::Usage;
use crate::network::Network;
use crate::options::RegistryOptions;

/// A context, with what comes along with it.
pub(crate) struct OpenedContext {
    pub name: String,
    pub context: BuildContext,
    /// When its commit was made, in seconds since 1970, if it is a checkout.
    pub commit_time: Option<i64>,
    /// The Dockerfile, where that is all there is: on standard input or at an address.
    pub dockerfile: Option<SourceFile>,
    /// A check-out, which ends with the value.
    checkout: Option<TempDir>,
}

/// What stands in for a name (`--build-context NAME=SOURCE`).
pub(crate) enum NamedContext {
    Image(Location),
    Files(Box<OpenedContext>),
}

/// The places that contexts are looked for and kept in.
pub(crate) struct Places<'a> {
    /// The Dockerfile, which may have an ignore file of its own.
    pub dockerfile: Option<&'a Path>,
    pub temporary_directory: Option<PathBuf>,
    /// How what is not on this machine is reached.
    pub registry: &'a RegistryOptions,
}

impl NamedContext {
    /// Opens what `NAME=SOURCE` names.
    pub(crate) async fn open(text: &str, places: &Places<'_>) -> anyhow::Result<(String, Self)> {
        let (name, source) = text.split_once('=').ok_or_else(|| {
            Usage(format!(
                "`--build-context {text}` has no `=`, expected NAME=SOURCE"
            ))
        })?;
        let wrong = |error: &dyn std::fmt::Display| Usage(format!("`--build-context {text}`: {error}"));
        let location = if let Some(reference) = source.strip_prefix("docker-image://") {
            let reference = reference.parse::<Reference>().map_err(|error| wrong(&error))?;
            Some(Location::Registry(reference))
        } else if let Some(layout) = source.strip_prefix("oci-layout://") {
            Some(format!("oci:{layout}").parse().map_err(|error| wrong(&error))?)
        } else {
            None
        };
        let opened = match location {
            Some(location) => Self::Image(location),
            None => Self::Files(Box::new(OpenedContext::open(OsStr::new(source), places).await?)),
        };
        Ok((name.to_owned(), opened))
    }
}

impl OpenedContext {
    /// Opens a directory, an archive, a git repository or what an address leads to.
    pub(crate) async fn open(argument: &OsStr, places: &Places<'_>) -> anyhow::Result<Self> {
        let source = ContextSource::resolve(argument).map_err(|error| Usage(chain(&error)))?;
        let name = argument.display().to_string();
        match source {
            ContextSource::Directory(root) => Self::directory(name, root, places),
            ContextSource::Archive(path) => {
                let file = fs_err::File::open(path).map_err(|error| Usage(error.to_string()))?;
                Self::stream(name, file, places)
            }
            ContextSource::StandardInput => Self::stream("standard input".to_owned(), io::stdin(), places),
            ContextSource::Git(source) => Self::git(name, source, places).await,
            ContextSource::Url(url) => {
                let network = Network::read(&places.registry.ca_file)?;
                let options = network.fetch_options(places.registry, places.temporary_directory.clone());
                let download = Fetcher::new(options)?.download(&url, None).await?;
                Self::stream(name, download.content.reader(), places)
            }
        }
    }

    /// A directory, without what its ignore file names: the Dockerfile's own, else the directory's.
    fn directory(name: String, root: PathBuf, places: &Places<'_>) -> anyhow::Result<Self> {
        let file = find_ignore_file(places.dockerfile, &root).map_err(|error| Usage(error.to_string()))?;
        let ignore = match file {
            Some(file) => Ignore::read(&file).map_err(|error| Usage(chain(&error)))?,
            None => Ignore::none(),
        };
        Ok(Self {
            commit_time: onlay_context::commit_time(&root)?,
            context: BuildContext::Directory { root, ignore },
            name,
            dockerfile: None,
            checkout: None,
        })
    }

    /// A tar archive, compressed or not, or a Dockerfile on its own.
    fn stream(name: String, mut stream: impl Read, places: &Places<'_>) -> anyhow::Result<Self> {
        let failed = || format!("`{name}` could not be read");
        let mut start = Vec::new();
        (&mut stream)
            .take(SNIFF_LENGTH as u64)
            .read_to_end(&mut start)
            .with_context(failed)?;
        let kind = sniff(&start);
        let mut spool = Spool::new(places.temporary_directory.clone());
        spool.write_all(&start).with_context(failed)?;
        io::copy(&mut stream, &mut spool).with_context(failed)?;
        let blob = spool.finish();
        let (context, dockerfile) = match kind {
            StdinKind::Tar(_) => (blob, None),
            StdinKind::Dockerfile => {
                let mut text = Vec::new();
                blob.reader().read_to_end(&mut text).with_context(failed)?;
                (
                    Blob::from(Arc::from(EMPTY_TAR)),
                    Some(SourceFile::new(name.clone(), text)),
                )
            }
        };
        Ok(Self {
            context: BuildContext::archive(context).with_context(failed)?,
            name,
            commit_time: None,
            dockerfile,
            checkout: None,
        })
    }

    async fn git(name: String, source: GitSource, places: &Places<'_>) -> anyhow::Result<Self> {
        let directory = places
            .temporary_directory
            .as_ref()
            .ok_or_else(|| anyhow!("there is no temporary directory to check `{name}` out into"))?;
        let directory = TempDir::with_prefix_in("onlay-", directory)?;
        let into = directory.path().join("context");
        let checked_out =
            tokio::task::spawn_blocking(move || source.check_out(&into, &CheckoutOptions::default()));
        let checkout = checked_out.await??;
        // A repository's ignore file is for its own checkouts: BuildKit does not read it (dockerfile.md §1.11).
        Ok(Self {
            context: BuildContext::Directory {
                root: checkout.root,
                ignore: Ignore::none(),
            },
            name,
            commit_time: Some(checkout.commit_time),
            dockerfile: None,
            checkout: Some(directory),
        })
    }

    /// What its ignore file leaves out.
    pub(crate) fn ignore(&self) -> Option<Ignore> {
        match &self.context {
            BuildContext::Directory { ignore, .. } => {
                Some(ignore.clone()).filter(|ignore| !ignore.is_empty())
            }
            BuildContext::Archive { .. } => None,
        }
    }

    /// Makes it what lines without `--from` copy from; the second value must be kept until the build ends.
    pub(crate) fn into_main(self, contexts: Contexts) -> (Contexts, Option<TempDir>) {
        (contexts.with_main(&self.name, self.context), self.checkout)
    }

    /// Makes it what lines can copy from by name; the second value must be kept until the build ends.
    pub(crate) fn into_named(self, name: &str, contexts: Contexts) -> (Contexts, Option<TempDir>) {
        (contexts.with_named(name, self.context), self.checkout)
    }

    /// Finds the Dockerfile of this context: the one that it is, else the file of that name in it, else, unless a name
    /// was asked for, `Dockerfile` or `dockerfile`.
    pub(crate) fn read_dockerfile(&self, name: Option<&str>) -> anyhow::Result<SourceFile> {
        if let Some(dockerfile) = &self.dockerfile {
            return Ok(dockerfile.clone());
        }
        let names = match &name {
            Some(name) => vec![*name],
            None => vec!["Dockerfile", "dockerfile"],
        };
        for name in &names {
            if let Some(text) = self.context.read_file(name)? {
                let shown = match &self.context {
                    BuildContext::Directory { root, .. } => root.join(name).display().to_string(),
                    BuildContext::Archive { .. } => (*name).to_owned(),
                };
                return Ok(SourceFile::new(shown, text));
            }
        }
        Err(Usage(format!(
            "there is no {} in `{}`; name one with -f",
            names.first().copied().unwrap_or("Dockerfile"),
            self.name
        ))
        .into())
    }
}

/// An archive without members.
const EMPTY_TAR: &[u8] = &[0; 1024];

/// An error with what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
