//! Errors as people read them: what, where, why, and what to do.

use std::process::ExitCode;

use onlay_base::{BaseError, SourceError};
use onlay_build::{BuildError, RecipeError};
use onlay_dockerfile::Diagnostics;
use onlay_oci::ReferenceError;
use onlay_registry::RegistryError;

use crate::exit_code;

/// Something wrong with the arguments, or with files that they name, known before any other I/O.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub String);

/// Prints an error with its causes and a hint, and gives the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("{}", render(error));
    ExitCode::from(code(error))
}

fn render(error: &anyhow::Error) -> String {
    // Diagnostics are whole blocks of their own, with place and hint.
    if let Some(diagnostics) = find::<Diagnostics>(error) {
        return diagnostics.render();
    }
    let mut text = format!("error: {error}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let message = cause.to_string();
        // A transparent error repeats its cause.
        if message != last {
            text.push_str(&format!("\n  caused by: {message}"));
        }
        last = message;
    }
    match hint(error) {
        Some(hint) => text + "\nhint: " + &hint,
        None => text,
    }
}

/// Lines and arguments are wrong: 2; everything else that fails: 1.
fn code(error: &anyhow::Error) -> u8 {
    let known_before_io = find::<Usage>(error).is_some()
        || error.downcast_ref::<Diagnostics>().is_some()
        || matches!(
            find::<BuildError>(error),
            Some(BuildError::Recipe(_) | BuildError::Lines(_) | BuildError::AllOfNothing)
        );
    if known_before_io {
        exit_code::USAGE
    } else {
        exit_code::FAILED
    }
}

fn find<T: std::error::Error + 'static>(error: &anyhow::Error) -> Option<&T> {
    error.chain().find_map(|cause| cause.downcast_ref::<T>())
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(RecipeError::Target {
        suggestion: Some(name),
        ..
    }) = find(error)
    {
        return Some(format!("did you mean `{name}`?"));
    }
    if let Some(ReferenceError::NoRegistry { text }) = find(error) {
        return Some(format!(
            "write the host in front, such as `registry.example/{text}`; `docker.io/{text}` is Docker Hub"
        ));
    }
    if let Some(BaseError::NoPlatform { .. }) = find(error) {
        return Some("choose with `--platform`".to_owned());
    }
    if let Some(SourceError::Registry(error)) = find(error) {
        return registry_hint(error);
    }
    registry_hint(find::<RegistryError>(error)?)
}

fn registry_hint(error: &RegistryError) -> Option<String> {
    if error.is_unauthorized() {
        return Some("check the credentials for this registry, in docker's config.json".to_owned());
    }
    if error.is_not_found() {
        return Some("check the name and the tag; a registry that wants credentials may also call a private image missing".to_owned());
    }
    None
}
