use super::missing_arguments;
use crate::diagnostic::Report;
use crate::flags::Flags;
use crate::heredoc::Heredoc;
use crate::statement::Statement;

/// `ONBUILD instruction`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBuild {
    /// The text of the instruction as an image keeps it, heredocs behind it.
    ///
    /// It is checked when a build that starts from the image reads it, as in BuildKit; here only what can never be a
    /// trigger is refused.
    pub trigger: String,
}

impl OnBuild {
    pub(super) fn parse(
        statement: &Statement<'_>,
        heredocs: &[Heredoc],
        report: &mut Report,
    ) -> Option<Self> {
        Flags::none(statement, report);
        let nested = statement.nested();
        match nested.keyword().to_ascii_uppercase().as_str() {
            "" => missing_arguments(statement, report, "an instruction"),
            "ONBUILD" => report.error(
                nested.keyword_span(),
                "ONBUILD isn't allowed as an ONBUILD trigger",
            ),
            keyword @ ("FROM" | "MAINTAINER") => {
                report.error(
                    nested.keyword_span(),
                    format!("{keyword} isn't allowed as an ONBUILD trigger"),
                );
            }
            _ => {}
        }
        Some(Self {
            trigger: trigger(statement, heredocs),
        })
    }
}

/// The whole line without its keyword: blanks at its end stay.
fn trigger(statement: &Statement<'_>, heredocs: &[Heredoc]) -> String {
    let line = statement.line.text.trim_start();
    let mut text = line[statement.keyword().len()..].trim_start().to_owned();
    for heredoc in heredocs {
        text.push('\n');
        text.push_str(&heredoc.body);
        text.push_str(&heredoc.name);
    }
    text
}
