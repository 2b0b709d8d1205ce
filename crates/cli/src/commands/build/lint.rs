use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::Context;
use onlay_build::{StageBases, predefined_arguments};
use onlay_context::Ignore;
use onlay_dockerfile::{
    Dockerfile, IgnoreList, LintOptions, LintReport, LintedStages, lint, outline, targets,
};
use onlay_oci::Platform;

use crate::options::OutputFormat;
use crate::terminal;

/// The value of `--call`: what is done in place of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// `,format=json`
    pub(crate) json: bool,
}

/// What `--call` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Build,
    Check,
    Outline,
    Targets,
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (method, format) = match text.split_once(',') {
            Some((method, format)) => (method, Some(format)),
            None => (text, None),
        };
        let method = match method {
            "build" => Method::Build,
            "check" | "lint" => Method::Check,
            "outline" => Method::Outline,
            "targets" => Method::Targets,
            other => {
                return Err(format!(
                    "unknown method `{other}`, expected build, check, outline or targets"
                ));
            }
        };
        let json = match format {
            None | Some("format=text") => false,
            Some("format=json") => true,
            Some(other) => return Err(format!("unknown `{other}`, expected format=json or format=text")),
        };
        Ok(Self { method, json })
    }
}

/// What the lint looks at, beside the bases.
#[derive(Clone)]
pub(crate) struct Lint {
    pub(crate) dockerfile: Dockerfile,
    pub(crate) target: Option<String>,
    pub(crate) build_arguments: BTreeMap<String, String>,
    pub(crate) ignore: Option<Ignore>,
    pub(crate) build_platform: Platform,
    pub(crate) target_platform: Platform,
}

impl Lint {
    /// Applies the rules, with what is known of the images that stages start from.
    pub(crate) fn report(&self, bases: &StageBases, stages: LintedStages) -> anyhow::Result<LintReport> {
        self.with_options(bases, stages, |options| Ok(lint(&self.dockerfile, options)?))
    }

    /// Prints what was asked for in place of a build.
    pub(crate) fn print(&self, method: Method, json: bool, bases: &StageBases) -> anyhow::Result<()> {
        match method {
            Method::Build => Ok(()),
            Method::Check => self.check(json, bases),
            Method::Targets => {
                let targets = targets(&self.dockerfile);
                print(json, &targets, &targets.render())
            }
            Method::Outline => self.with_options(bases, LintedStages::Needed, |options| {
                let outline = outline(&self.dockerfile, options)?;
                print(json, &outline, &outline.render())
            }),
        }
    }

    fn check(&self, json: bool, bases: &StageBases) -> anyhow::Result<()> {
        let stages = if self.target.is_some() {
            LintedStages::Needed
        } else {
            LintedStages::All
        };
        let report = self.report(bases, stages)?;
        print(json, &report, &report.render())?;
        if let Some(error) = report.error {
            return Err(error.into());
        }
        match report.warnings.len() {
            0 => Ok(()),
            1 => Err(anyhow::anyhow!("check complete, 1 warning has been found")),
            count => Err(anyhow::anyhow!(
                "check complete, {count} warnings have been found"
            )),
        }
    }

    fn with_options<T>(
        &self,
        bases: &StageBases,
        stages: LintedStages,
        apply: impl FnOnce(&LintOptions<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let stage = self.target.as_deref().unwrap_or("default");
        let predefined = predefined_arguments(&self.build_platform, &self.target_platform, stage);
        let ignore = self.ignore.as_ref();
        let patterns: Vec<String> = ignore.into_iter().flat_map(Ignore::patterns).collect();
        let matches = |path: &str| ignore.is_some_and(|ignore| ignore.matches(path.as_bytes()));
        apply(&LintOptions {
            build_arguments: &self.build_arguments,
            predefined: &predefined,
            target: self.target.as_deref(),
            stages,
            bases: &|stage| bases.get(&stage).cloned(),
            ignore: ignore.map(|_| IgnoreList {
                patterns: &patterns,
                matches: &matches,
            }),
        })
    }
}

fn print(json: bool, value: &impl serde::Serialize, text: &str) -> anyhow::Result<()> {
    if json {
        let text = serde_json::to_string_pretty(value).context("failed to print as JSON")?;
        return terminal::print(&text);
    }
    match text.trim_matches('\n') {
        "" => Ok(()),
        text => terminal::print(text),
    }
}

/// Tells whether JSON is asked for in either way.
pub(crate) fn is_json(format: OutputFormat, call: Call) -> bool {
    call.json || format == OutputFormat::Json
}
