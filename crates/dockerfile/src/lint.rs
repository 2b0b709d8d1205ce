//! BuildKit's lint: what can be built, and had better be written in another way.
//!
//! [`lint()`] applies the rules of BuildKit 73ed6825c4, with its names, words and places, in its order: first those about
//! the text, then, stage by stage, those that need the values of variables. A rule is switched off by
//! `# check=skip=RULE` at the top of the file, or in a comment directly above an instruction for that one.
//!
//! Unlike BuildKit, which lints up to the first instruction that it cannot read, the lint is asked only about a
//! Dockerfile that has been read without an error. Two more differences: a warning about a variable may suggest a name
//! that is two swapped pairs of letters away, and BuildKit warns about several variables of one word in random order.

mod form;
mod from;
mod globals;
mod names;
mod paths;
mod plan;
mod report;
mod rule;
mod sink;
mod stage;
mod variables;
mod warning;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use onlay_oci::Platform;

use self::globals::Globals;
pub(crate) use self::plan::StageBase;
use self::plan::{PlannedStage, needed_by};
pub use self::report::{LintReport, LintViolation};
pub use self::rule::Rule;
use self::sink::Sink;
use self::stage::{StageRun, StageState};
use self::variables::Variables;
pub use self::warning::Warning;
use crate::diagnostic::Diagnostics;
use crate::directive::{CheckError, CheckOptions, Rules};
use crate::dockerfile::Dockerfile;
use crate::suggest::did_you_mean;

/// What the lint has to know of a build.
#[derive(Clone, Copy)]
pub struct LintOptions<'a> {
    /// `--build-arg`. `BUILDKIT_DOCKERFILE_CHECK` among them replaces the `check` directive.
    pub build_arguments: &'a BTreeMap<String, String>,
    /// The arguments that need no ARG, without regard to `--build-arg`: `BUILDPLATFORM` to `TARGETSTAGE`.
    pub predefined: &'a BTreeMap<String, String>,
    /// `--target`: a stage by name or number, else the last.
    pub target: Option<&'a str>,
    /// The stages whose instructions are looked at.
    pub stages: LintedStages,
    /// What is known of the image that a stage starts from, by the number of the stage, from 0.
    ///
    /// BuildKit resolves the bases first, so that their environment counts as defined. Where this gives nothing, no
    /// variable is called undefined and nothing is said of a value that one is part of.
    pub bases: &'a dyn Fn(usize) -> Option<BaseImage>,
    /// What the build context leaves out, where there is such a list.
    pub ignore: Option<IgnoreList<'a>>,
}

/// The stages whose instructions the lint looks at. FROMs and what is no matter of values it looks at in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LintedStages {
    /// Every stage: `--check` without `--target`.
    All,
    /// The target and the stages it needs: a build, and `--check --target`.
    Needed,
}

/// What the lint has to know of an image that a stage starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaseImage {
    /// The variables of its config.
    pub environment: Vec<(String, String)>,
    /// The SHELL of its config; empty where it has none.
    pub shell: Vec<String>,
    /// The ONBUILD triggers of its config.
    pub triggers: Vec<String>,
    /// The platform that was asked for, and the one that it has.
    pub platforms: Option<(Platform, Platform)>,
}

/// The `.dockerignore` of a build context.
#[derive(Clone, Copy)]
pub struct IgnoreList<'a> {
    /// Its patterns, cleaned, those with `!` included.
    pub patterns: &'a [String],
    /// Whether a path, or a directory above it, matches a pattern. The path is what COPY says, with `.`, `..` and
    /// doubled slashes resolved, a leading slash kept.
    pub matches: &'a dyn Fn(&str) -> bool,
}

/// Why nothing can be linted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LintError {
    /// The build argument that replaces the `check` directive cannot be read.
    #[error("cannot read the build argument `{CHECK_ARGUMENT}`")]
    Check(#[source] CheckError),
    /// There is no stage of that name or number.
    #[error("the Dockerfile has no stage `{target}`")]
    Target {
        /// The name or number.
        target: String,
        /// A name that is nearly the same.
        suggestion: Option<String>,
    },
}

/// The build argument that replaces the `check` directive.
const CHECK_ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Applies the rules to a Dockerfile.
///
/// # Errors
///
/// A target that does not exist, a `BUILDKIT_DOCKERFILE_CHECK` that cannot be read. What is wrong with the Dockerfile
/// is part of the report.
pub fn lint(dockerfile: &Dockerfile, options: &LintOptions<'_>) -> Result<LintReport, LintError> {
    let target = find_target(dockerfile, options.target)?;
    let check = check_options(dockerfile, options)?;
    let is_error = check.error;
    let mut sink = Sink {
        options: check,
        warnings: Vec::new(),
    };
    form::check(dockerfile, &mut sink);
    let error = walk(dockerfile, target, options, &mut sink).err();
    let source = Arc::clone(&dockerfile.source);
    Ok(LintReport {
        source,
        warnings: sink.warnings,
        is_error,
        error,
    })
}

/// A build that is gone through without building anything.
pub(crate) struct Walk<'a> {
    pub(crate) planned: Vec<PlannedStage<'a>>,
    /// What came of each stage that was looked at.
    pub(crate) states: Vec<Option<StageState>>,
}

/// Goes through the stages, and applies the rules that need the values of variables.
fn walk<'a>(
    dockerfile: &'a Dockerfile,
    target: usize,
    options: &LintOptions<'_>,
    sink: &mut Sink,
) -> Result<Walk<'a>, Diagnostics> {
    let predefined = predefined(options);
    from::check_defaults(dockerfile, predefined.clone(), sink);
    let globals = Globals::new(dockerfile, predefined, options.build_arguments)?;
    for stage in &dockerfile.stages {
        from::check(stage, &globals, sink);
    }
    let planned = plan::plan(dockerfile, &globals, options)?;
    let wanted: BTreeSet<usize> = match options.stages {
        LintedStages::All => (0..planned.len()).collect(),
        LintedStages::Needed => needed_by(target, &planned),
    };
    for number in &wanted {
        from::check_base(&planned[*number], sink);
    }
    let mut states: Vec<Option<StageState>> = Vec::new();
    for (number, stage) in planned.iter().enumerate() {
        let state = match wanted.contains(&number) {
            true => Some(StageRun::new(stage, &states, &globals, options, sink).run(&stage.commands)?),
            false => None,
        };
        states.push(state);
    }
    Ok(Walk { planned, states })
}

/// As [`walk`], for what the stages are rather than what is wrong with them.
pub(crate) fn walk_silently<'a>(
    dockerfile: &'a Dockerfile,
    target: usize,
    options: &LintOptions<'_>,
) -> Result<Walk<'a>, Diagnostics> {
    let options_of_sink = CheckOptions {
        skip: Rules::All,
        ..CheckOptions::default()
    };
    let mut sink = Sink {
        options: options_of_sink,
        warnings: Vec::new(),
    };
    walk(dockerfile, target, options, &mut sink)
}

/// The number of the stage that is wanted.
pub(crate) fn find_target(dockerfile: &Dockerfile, target: Option<&str>) -> Result<usize, LintError> {
    let stages = &dockerfile.stages;
    let Some(target) = target else {
        return Ok(stages.len().saturating_sub(1));
    };
    let names = || {
        stages
            .iter()
            .filter_map(|stage| Some(stage.from.value.name.as_ref()?.value.as_str()))
    };
    let is_it = |stage: &crate::Stage| {
        stage
            .from
            .value
            .name
            .as_ref()
            .is_some_and(|name| name.value == target.to_lowercase())
    };
    let by_name = stages.iter().rposition(is_it);
    let by_number = || target.parse().ok().filter(|number| *number < stages.len());
    by_name.or_else(by_number).ok_or_else(|| LintError::Target {
        target: target.to_owned(),
        suggestion: did_you_mean(target, names()).map(str::to_owned),
    })
}

fn check_options(dockerfile: &Dockerfile, options: &LintOptions<'_>) -> Result<CheckOptions, LintError> {
    match options.build_arguments.get(CHECK_ARGUMENT) {
        Some(given) => CheckOptions::parse(given).map_err(LintError::Check),
        None => Ok(dockerfile
            .directives
            .check
            .as_ref()
            .map(|check| check.value.clone())
            .unwrap_or_default()),
    }
}

fn predefined(options: &LintOptions<'_>) -> Variables {
    let mut variables = Variables::default();
    for (name, value) in options.predefined {
        variables.set(name, options.build_arguments.get(name).unwrap_or(value));
    }
    variables
}

impl IgnoreList<'_> {
    /// Whether a file is certainly left out.
    ///
    /// With a `!` pattern nothing is certain, since what is left out may be taken back in part. The context itself is
    /// left out only by a pattern that says so of everything in it.
    fn excludes(&self, path: &str) -> bool {
        let is_everything = |pattern: &String| ["*", "**", "**/*"].contains(&pattern.as_str());
        let has_exception = self.patterns.iter().any(|pattern| pattern.starts_with('!'));
        let is_root = path == "." || path == "/";
        !has_exception && (!is_root || self.patterns.iter().any(is_everything)) && (self.matches)(path)
    }
}
