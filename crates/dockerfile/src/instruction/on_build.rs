use super::{assignment, missing_arguments, not_a_string};
use crate::diagnostic::Report;
use crate::flags::Flags;
use crate::heredoc::Heredoc;
use crate::statement::Statement;

/// `ONBUILD instruction`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBuild {
    /// The text of the instruction as an image keeps it, heredocs behind it.
    ///
    /// It is checked when a build that starts from the image reads it, as in BuildKit; here only what BuildKit refuses
    /// at once is refused: what can never be a trigger, JSON that holds more than strings, an ENV or LABEL without `=`.
    pub trigger: String,
}

const TAKES_JSON: [&str; 8] = [
    "ADD",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "HEALTHCHECK",
    "RUN",
    "SHELL",
    "VOLUME",
];

impl OnBuild {
    pub(super) fn parse(
        statement: &Statement<'_>,
        heredocs: &[Heredoc],
        report: &mut Report,
    ) -> Option<Self> {
        Flags::none(statement, report);
        let nested = statement.nested();
        let keyword = nested.keyword().to_ascii_uppercase();
        match keyword.as_str() {
            "" => missing_arguments(statement, report, "an instruction"),
            "ONBUILD" => report.error(
                nested.keyword_span(),
                "ONBUILD isn't allowed as an ONBUILD trigger",
            ),
            "FROM" | "MAINTAINER" => {
                report.error(
                    nested.keyword_span(),
                    format!("{keyword} isn't allowed as an ONBUILD trigger"),
                );
            }
            "ENV" | "LABEL" => {
                assignment::parse_pairs(&nested, report);
            }
            _ => {
                if let (true, Err(span)) = (TAKES_JSON.contains(&keyword.as_str()), nested.json()) {
                    not_a_string(span, report);
                }
            }
        }
        Some(Self {
            trigger: trigger(statement, heredocs),
        })
    }
}

/// The whole line without its keyword: blanks at its end stay.
fn trigger(statement: &Statement<'_>, heredocs: &[Heredoc]) -> String {
    let line = statement.line.text.trim_start();
    let mut text = line[statement.keyword().len()..].trim_ascii_start().to_owned();
    for heredoc in heredocs {
        text.push('\n');
        text.push_str(&heredoc.body);
        text.push_str(&heredoc.name);
    }
    text
}
