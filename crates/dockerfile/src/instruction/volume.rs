use super::{missing_arguments, not_a_string};
use crate::diagnostic::Report;
use crate::evaluate::Evaluation;
use crate::flags::Flags;
use crate::source::{Span, Spanned};
use crate::statement::Statement;

/// `VOLUME path ...`, or `VOLUME ["path", ...]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The paths in the order of the line, variables still in them.
    pub paths: Vec<Spanned<String>>,
}

impl Volume {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        Flags::none(statement, report);
        let words = match statement.list() {
            Ok(list) => list.into_words(),
            Err(span) => {
                not_a_string(span, report);
                return None;
            }
        };
        if words.is_empty() {
            missing_arguments(statement, report, "at least one argument");
        }
        Some(Self {
            paths: words.into_iter().map(|word| trimmed(word, report)).collect(),
        })
    }

    pub(super) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Vec<String> {
        let mut paths = Vec::new();
        for word in &self.paths {
            let Some(path) = evaluation.word(word) else {
                continue;
            };
            if path.is_empty() && !word.value.is_empty() {
                refuse_empty(word.span, &mut evaluation.report);
            }
            paths.push(path);
        }
        paths
    }
}

fn trimmed(word: Spanned<String>, report: &mut Report) -> Spanned<String> {
    let path = word.value.trim().to_owned();
    if path.is_empty() {
        refuse_empty(word.span, report);
    }
    Spanned::new(path, word.span)
}

fn refuse_empty(span: Span, report: &mut Report) {
    report.error(span, "a VOLUME cannot be an empty string");
}
