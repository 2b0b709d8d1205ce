//! What the user names as build contexts, made ready for the engine.

use std::path::{Path, PathBuf};

use onlay_build::BuildContext;
use onlay_context::{Ignore, find_ignore_file};
use onlay_oci::Reference;
use onlay_store::Location;

use crate::failure::Usage;

/// What stands in for a name (`--build-context NAME=SOURCE`).
pub(crate) enum NamedContext {
    Image(String, Location),
    Directory(String, PathBuf),
}

impl NamedContext {
    pub(crate) fn parse(text: &str) -> Result<Self, Usage> {
        let (name, source) = text.split_once('=').ok_or_else(|| {
            Usage(format!(
                "`--build-context {text}` has no `=`, expected NAME=SOURCE"
            ))
        })?;
        let name = name.to_owned();
        let wrong = |error: &dyn std::fmt::Display| Usage(format!("`--build-context {text}`: {error}"));
        if let Some(reference) = source.strip_prefix("docker-image://") {
            let reference = reference.parse::<Reference>().map_err(|error| wrong(&error))?;
            return Ok(Self::Image(name, Location::Registry(reference)));
        }
        if let Some(layout) = source.strip_prefix("oci-layout://") {
            let location = format!("oci:{layout}").parse().map_err(|error| wrong(&error))?;
            return Ok(Self::Image(name, location));
        }
        if source.contains("://") {
            return Err(Usage(format!(
                "build context `{source}` is not supported yet, expected a directory, docker-image://REFERENCE or \
                 oci-layout://DIRECTORY[:TAG]"
            )));
        }
        Ok(Self::Directory(name, PathBuf::from(source)))
    }
}

/// A directory as a context, without what its ignore file names: the Dockerfile's own, else the directory's.
pub(crate) fn directory(root: &Path, dockerfile: Option<&Path>) -> Result<BuildContext, Usage> {
    if !root.is_dir() {
        return Err(Usage(format!(
            "the build context `{}` is not a directory",
            root.display()
        )));
    }
    let file = find_ignore_file(dockerfile, root).map_err(|error| Usage(error.to_string()))?;
    let ignore = match file {
        Some(file) => Ignore::read(&file).map_err(|error| Usage(failure(&error)))?,
        None => Ignore::none(),
    };
    Ok(BuildContext::Directory {
        root: root.to_owned(),
        ignore,
    })
}

/// An error with what caused it, on one line.
fn failure(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", failure(source)),
        None => error.to_string(),
    }
}
