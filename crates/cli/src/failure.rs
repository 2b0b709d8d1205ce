//! Errors as people read them: what, where, why, and what to do.

use std::process::ExitCode;

use onlay_base::{BaseError, SourceError};
use onlay_build::{BuildError, RecipeError, StepError};
use onlay_dockerfile::Diagnostics;
use onlay_push::{CopyFailure, PushFailure};
use onlay_registry::{CredentialSource, Identity, KeychainError, RegistryError};

use crate::commands::login::BY_LOGIN;
use crate::{exit_code, terminal};

/// Something wrong with the arguments, or with files that they name, known before any other I/O.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub String);

/// Prints an error with its causes and a hint, and gives the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    terminal::say(&render(error));
    ExitCode::from(code(error))
}

fn render(error: &anyhow::Error) -> String {
    // Diagnostics are whole blocks of their own, with place and hint.
    if let Some(diagnostics) = diagnostics(error) {
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

/// An error with its causes, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if message != last {
            text.push_str(&format!(": {message}"));
        }
        last = message;
        next = cause.source();
    }
    text
}

/// Lines and arguments are wrong: 2; everything else that fails: 1.
fn code(error: &anyhow::Error) -> u8 {
    let known_before_io = find::<Usage>(error).is_some()
        || error.downcast_ref::<Diagnostics>().is_some()
        || matches!(
            error.downcast_ref::<BuildError>(),
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

/// What is wrong with lines, wherever it was found.
fn diagnostics(error: &anyhow::Error) -> Option<&Diagnostics> {
    if let Some(diagnostics) = error.downcast_ref() {
        return Some(diagnostics);
    }
    match error.downcast_ref::<BuildError>()? {
        BuildError::Lines(diagnostics)
        | BuildError::Recipe(RecipeError::Diagnostics(diagnostics))
        | BuildError::Step(StepError::Lines(diagnostics) | StepError::Foreign(diagnostics)) => {
            Some(diagnostics)
        }
        _ => None,
    }
}

/// What a registry said, wherever it was asked. Errors that show their cause as their own hide it from the chain, so
/// those are looked into.
fn registry_error(error: &anyhow::Error) -> Option<&RegistryError> {
    error.chain().find_map(|cause| {
        if let Some(SourceError::Registry(error)) = cause.downcast_ref() {
            return Some(error);
        }
        if let Some(PushFailure::Registry(error)) = cause.downcast_ref() {
            return Some(error);
        }
        if let Some(CopyFailure::Registry(error) | CopyFailure::Push(PushFailure::Registry(error))) =
            cause.downcast_ref()
        {
            return Some(error);
        }
        cause.downcast_ref()
    })
}

/// Tells whether a right is missing in AWS, by its API or by the words of ECR's registries.
fn is_denied_by_aws(error: &RegistryError) -> bool {
    match error {
        RegistryError::Extension { source, .. } => {
            source.downcast_ref().is_some_and(onlay_ecr::EcrError::is_denied)
        }
        RegistryError::Status { words, .. } => words.contains("is not authorized to perform: ecr"),
        _ => false,
    }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    match error.downcast_ref::<BuildError>() {
        Some(BuildError::Recipe(RecipeError::Target {
            suggestion: Some(name),
            ..
        })) => {
            return Some(format!("did you mean `{name}`?"));
        }
        Some(BuildError::Base(BaseError::NoPlatform { .. })) => {
            return Some("choose with `--platform`".to_owned());
        }
        _ => {}
    }
    match find::<CopyFailure>(error) {
        Some(CopyFailure::Refused { .. }) => {
            return Some("`--on-refused=skip` leaves out what is no image, and says so".to_owned());
        }
        Some(CopyFailure::NoPlatform { .. }) => return Some("choose with `--platform`".to_owned()),
        _ => {}
    }
    if let Some(KeychainError::Helper {
        program, operation, ..
    }) = find(error)
    {
        return Some(helper_hint(program, operation));
    }
    registry_hint(registry_error(error)?)
}

fn registry_hint(error: &RegistryError) -> Option<String> {
    if is_denied_by_aws(error) {
        return Some("`onlay doctor iam -- COMMAND LINE` prints all that AWS has to allow for it".to_owned());
    }
    if error.is_unauthorized() {
        return error.identity().map(login_hint);
    }
    if error.is_not_found() {
        if is_missing_at_ecr(error) {
            let words = "make the repository first, or let onlay do it with `--ecr-create-repository`";
            return Some(words.to_owned());
        }
        return Some("check the name and the tag; a registry that wants credentials may also call a private image missing".to_owned());
    }
    upload_hint(error).or_else(|| waiting_hint(error).map(str::to_owned))
}

/// Whether a push was about to go to a repository that is not there, where onlay can make it.
fn is_missing_at_ecr(error: &RegistryError) -> bool {
    let RegistryError::Status { method, .. } = error else {
        return false;
    };
    let is_write = !matches!(method.as_str(), "GET" | "HEAD");
    is_write
        && error
            .identity()
            .is_some_and(|identity| onlay_ecr::is_ecr(&identity.registry))
}

/// What to do about a registry that does not take a blob, though it knows who sends it.
fn upload_hint(error: &RegistryError) -> Option<String> {
    let RegistryError::Status {
        method,
        place,
        identity: Some(identity),
        ..
    } = error
    else {
        return None;
    };
    let is_upload = matches!(method.as_str(), "PUT" | "PATCH") && !place.contains("/manifests/");
    is_upload.then(|| {
        let registry = &identity.registry;
        let other = "standard,upload=patch";
        format!("a registry that takes blobs in another form wants `--registry-profile {registry}={other}`")
    })
}

/// What to do about a registry that cannot be reached, is too slow, or wants to be left alone.
fn waiting_hint(error: &RegistryError) -> Option<&'static str> {
    match error {
        RegistryError::PullLimit { .. } => Some(
            "log in, since an account may pull more, or read from a mirror with `--registry-mirror HOST=MIRROR`; \
             for Docker's own images `docker.io=public.ecr.aws/docker` is one",
        ),
        RegistryError::ComeBackLater { .. } => Some("run it again then; what was sent stays there"),
        RegistryError::Timeout { .. } => {
            Some("if the registry is only slow, wait longer with `--answer-timeout` or `--idle-timeout`")
        }
        RegistryError::Interrupted { .. } => {
            Some("run it again; if the connection is only slow, wait longer with `--idle-timeout`")
        }
        RegistryError::Transport { source, .. } if source.is_timeout() => {
            Some("check the name, the network and the proxy, or wait longer with `--connect-timeout`")
        }
        RegistryError::Transport { source, .. } if source.is_connect() => {
            Some("check the name, the network, the proxy and the certificates")
        }
        RegistryError::Transport { .. } => Some("run it again; what was sent stays there"),
        _ => None,
    }
}

/// What to do about a registry that does not let somebody in, or not that far.
fn login_hint(Identity { registry, source }: &Identity) -> String {
    let login = match registry.is_docker_hub() {
        true => "onlay login".to_owned(),
        false => format!("onlay login {registry}"),
    };
    match source {
        None => format!("there is no credential for this registry; log in with `{login}`"),
        Some(CredentialSource::Given { by, .. }) if by == BY_LOGIN => {
            "check the user's name and the password; many registries want an access token in its place"
                .to_owned()
        }
        Some(source @ CredentialSource::Given { .. }) => {
            format!("{source} was used; check the user's name, the password and what that user may do")
        }
        Some(CredentialSource::Extension) => {
            "AWS's credentials were used; `onlay doctor iam -- COMMAND LINE` prints all that AWS has to allow"
                .to_owned()
        }
        Some(source) => format!(
            "{source} was used; it may have expired or not allow this: log in anew with `{login}`, or ask for the right"
        ),
    }
}

/// Where a helper's own words are to be had: onlay does not show them, since they may have the password in them.
fn helper_hint(program: &str, operation: &str) -> String {
    format!(
        "see what it says with `{program} {operation}`, which reads the registry's name from standard input"
    )
}
