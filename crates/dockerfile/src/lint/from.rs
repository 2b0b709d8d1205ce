//! Rules about FROM and its variables.

use std::collections::BTreeSet;

use onlay_oci::{Platform, Reference};

use super::Rule;
use super::globals::Globals;
use super::plan::{PlannedStage, StageBase};
use super::sink::{Sink, Site};
use super::variables::Variables;
use crate::dockerfile::{Dockerfile, Stage};
use crate::evaluate::Evaluation;
use crate::instruction::From;
use crate::location::Located;
use crate::source::Spanned;
use crate::suggest::did_you_mean;

/// A word of a FROM, expanded.
struct Expanded {
    text: Option<String>,
    set: BTreeSet<String>,
    unset: BTreeSet<String>,
}

impl Expanded {
    fn new(word: &Spanned<String>, from: &Located<From>, variables: &Variables) -> Self {
        let mut evaluation = Evaluation::new(variables, from.escape, &from.source);
        let text = evaluation.word(word);
        let (set, unset): (Vec<_>, Vec<_>) = evaluation.lookups.into_iter().partition(|lookup| lookup.is_set);
        let names =
            |lookups: Vec<crate::evaluate::Lookup>| lookups.into_iter().map(|lookup| lookup.name).collect();
        Self {
            text,
            set: names(set),
            unset: names(unset),
        }
    }
}

/// Looks for images that have no valid name unless a build argument is given.
pub(super) fn check_defaults(dockerfile: &Dockerfile, predefined: Variables, sink: &mut Sink) {
    let Ok(defaults) = Globals::new(dockerfile, predefined, &Default::default()) else {
        return;
    };
    for stage in &dockerfile.stages {
        let image = &stage.from.value.image;
        let Some(name) = Expanded::new(image, &stage.from, &defaults.variables).text else {
            return;
        };
        if name.parse::<Reference>().is_err() {
            let message = format!(
                "Default value for ARG {} results in empty or invalid base image name",
                image.value
            );
            sink.warn(
                Rule::InvalidDefaultArgInFrom,
                Site::of(&stage.from).without_comments(),
                message,
            );
        }
    }
}

/// Applies the rules about the variables and the platform of a FROM.
pub(super) fn check(stage: &Stage, globals: &Globals, sink: &mut Sink) {
    let from = &stage.from;
    let image = Expanded::new(&from.value.image, from, &globals.variables);
    check_declared(&image, globals, Site::of(from), sink);
    if let Some(raw) = &from.value.platform {
        let platform = Expanded::new(raw, from, &globals.variables);
        check_declared(&platform, globals, Site::of(from), sink);
        check_redundant_platform(raw, &platform, globals, Site::of(from), sink);
        check_constant_platform(from, &platform, sink);
    }
}

/// The global arguments that a FROM uses.
pub(crate) fn used_arguments(from: &Located<From>, globals: &Globals) -> BTreeSet<String> {
    let words = std::iter::once(&from.value.image).chain(&from.value.platform);
    words
        .flat_map(|word| Expanded::new(word, from, &globals.variables).set)
        .collect()
}

fn check_declared(expanded: &Expanded, globals: &Globals, site: Site<'_>, sink: &mut Sink) {
    for name in expanded.unset.iter().filter(|name| !globals.contains(name)) {
        let suggestion = did_you_mean(name, globals.names());
        let suggestion = suggestion
            .map(|name| format!(" (did you mean {name}?)"))
            .unwrap_or_default();
        let message = format!("FROM argument '{name}' is not declared{suggestion}");
        sink.warn(Rule::UndefinedArgInFrom, site, message);
    }
}

/// The platform that is wanted anyway is given: `$TARGETPLATFORM` and nothing else.
fn check_redundant_platform(
    raw: &Spanned<String>,
    platform: &Expanded,
    globals: &Globals,
    site: Site<'_>,
    sink: &mut Sink,
) {
    const NAME: &str = "TARGETPLATFORM";
    let is_alone = platform.unset.is_empty() && platform.set.len() == 1 && platform.set.contains(NAME);
    if is_alone && platform.text.as_deref() == globals.variables.get(NAME) {
        let raw = &raw.value;
        let message = format!(
            "Setting platform to predefined {raw} in FROM is redundant as this is the default behavior"
        );
        sink.warn(Rule::RedundantTargetPlatform, site, message);
    }
}

/// A platform that no argument can change, unless the stage is named after it.
fn check_constant_platform(from: &Located<From>, platform: &Expanded, sink: &mut Sink) {
    let is_constant = platform.set.is_empty() && platform.unset.is_empty();
    let Some(text) = platform.text.as_ref().filter(|_| is_constant) else {
        return;
    };
    let Ok(parsed) = text.parse::<Platform>() else {
        return;
    };
    let name = from.value.name.as_ref().map_or("", |name| &name.value);
    if !name.contains(&parsed.os) && !name.contains(&parsed.architecture) {
        let message = format!("FROM --platform flag should not use constant value {text:?}");
        sink.warn(Rule::FromPlatformFlagConstDisallowed, Site::of(from), message);
    }
}

/// Looks for a base that is for another machine than the one that was asked for.
pub(super) fn check_base(planned: &PlannedStage<'_>, sink: &mut Sink) {
    let StageBase::Image(name, Some(image)) = &planned.base else {
        return;
    };
    let Some((wanted, found)) = &image.platforms else {
        return;
    };
    if (&wanted.os, &wanted.architecture) != (&found.os, &found.architecture) {
        let (wanted, found) = (wanted.clone().normalised(), found.clone().normalised());
        let message = format!(
            "Base image {name} was pulled with platform \"{found}\", expected \"{wanted}\" for current build"
        );
        sink.warn(
            Rule::InvalidBaseImagePlatform,
            Site::of(&planned.stage.from).without_comments(),
            message,
        );
    }
}
