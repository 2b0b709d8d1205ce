use super::{missing_arguments, signal};
use crate::diagnostic::Report;
use crate::evaluate::Evaluation;
use crate::flags::Flags;
use crate::source::Spanned;
use crate::statement::Statement;

/// `MAINTAINER name`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintainer {
    /// The author.
    pub name: String,
}

/// `USER user[:group]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The rest of the line, variables still in it. Whether such a user exists is not asked.
    pub user: Spanned<String>,
}

/// `WORKDIR path`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workdir {
    /// The rest of the line, variables still in it.
    pub path: Spanned<String>,
}

/// `STOPSIGNAL signal`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopSignal {
    /// A name or a number, variables still in it.
    pub signal: Spanned<String>,
}

impl Maintainer {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        Flags::none(statement, report);
        Some(Self {
            name: single(statement, report)?.value,
        })
    }
}

impl User {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        Flags::none(statement, report);
        Some(Self {
            user: single(statement, report)?,
        })
    }
}

impl Workdir {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        Flags::none(statement, report);
        Some(Self {
            path: single(statement, report)?,
        })
    }
}

impl StopSignal {
    /// Flags are dropped unread, as in BuildKit.
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        Some(Self {
            signal: single(statement, report)?,
        })
    }

    pub(super) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> String {
        let Some(signal) = evaluation.word(&self.signal) else {
            return String::new();
        };
        if !signal::is_valid(&signal) {
            let hint = Some("a signal is a name such as `SIGTERM` or a number other than 0".to_owned());
            evaluation
                .report
                .error_with_hint(self.signal.span, format!("invalid signal `{signal}`"), hint);
        }
        signal
    }
}

/// The rest of the line as one argument.
fn single(statement: &Statement<'_>, report: &mut Report) -> Option<Spanned<String>> {
    let whole = statement.whole();
    if whole.value.is_empty() {
        missing_arguments(statement, report, "exactly one argument");
        return None;
    }
    Some(whole)
}
