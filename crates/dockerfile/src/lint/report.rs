use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::{Rule, Warning};
use crate::diagnostic::Diagnostics;
use crate::json_result::{Location, Source};
use crate::source::SourceFile;

/// What the lint found.
#[derive(Debug, Clone, PartialEq)]
pub struct LintReport {
    /// The text that was linted.
    pub source: Arc<SourceFile>,
    /// The places where rules are not kept, in the order in which BuildKit finds them.
    pub warnings: Vec<Warning>,
    /// Whether the file asks for a failure where there are warnings (`# check=error=true`).
    pub is_error: bool,
    /// What makes the build impossible with these arguments. What comes after it was not looked at.
    pub error: Option<Diagnostics>,
}

/// Rules that are not kept, in a file that asks for a failure then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("lint violation found for rules: {}", self.names())]
pub struct LintViolation {
    /// The rules, each once, by name.
    pub rules: Vec<Rule>,
}

impl LintReport {
    /// The failure that the file asks for.
    ///
    /// # Errors
    ///
    /// The rules that are not kept, if there are any and `error=true` is set.
    pub fn verify(&self) -> Result<(), LintViolation> {
        let mut rules: Vec<Rule> = self.warnings.iter().map(|warning| warning.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        match rules.is_empty() || !self.is_error {
            true => Ok(()),
            false => Err(LintViolation { rules }),
        }
    }

    /// Renders every warning in the order of the lines, an empty line in front of each, as `--check` shows them.
    pub fn render(&self) -> String {
        let mut warnings: Vec<&Warning> = self.warnings.iter().collect();
        warnings.sort_by_key(|warning| *warning.lines().start());
        warnings
            .into_iter()
            .map(|warning| format!("\n{}", warning.render()))
            .collect()
    }
}

impl LintViolation {
    fn names(&self) -> String {
        self.rules
            .iter()
            .map(|rule| rule.name())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

#[derive(Serialize)]
struct JsonWarning<'a> {
    #[serde(rename = "ruleName")]
    rule_name: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    detail: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct JsonError {
    message: String,
    location: Location,
}

/// As `--check --format json` prints it: BuildKit's `lint.LintResults`, without the build definition that it adds to
/// each source, and with an empty list where BuildKit has `null`.
impl Serialize for LintReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sources = vec![&self.source];
        let warnings: Vec<JsonWarning<'_>> = self
            .warnings
            .iter()
            .map(|warning| JsonWarning {
                rule_name: warning.rule.name(),
                description: warning.rule.description(),
                url: warning.rule.url(),
                detail: &warning.message,
                location: Location::of(&warning.source_file, warning.lines(), &mut sources),
            })
            .collect();
        let error = self
            .error
            .as_ref()
            .and_then(|error| error.0.first())
            .map(|diagnostic| JsonError {
                message: diagnostic.message.clone(),
                location: Location::of(
                    &diagnostic.source_file,
                    diagnostic.source_file.lines_of(diagnostic.span),
                    &mut sources,
                ),
            });
        let sources: Vec<Source<'_>> = sources.into_iter().map(|source| Source::of(source)).collect();
        let mut fields = serializer.serialize_struct("LintReport", 3)?;
        fields.serialize_field("warnings", &warnings)?;
        fields.serialize_field("sources", &sources)?;
        if let Some(error) = &error {
            fields.serialize_field("buildError", error)?;
        }
        fields.end()
    }
}
