use super::{missing_arguments, not_a_string};
use crate::diagnostic::Report;
use crate::flags::Flags;
use crate::statement::Statement;

/// A command for a shell, or a program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CommandForm {
    /// The text that the image's shell gets as one argument. Variables in it are the shell's affair.
    Shell(String),
    /// A program and its arguments, with no shell between.
    Exec(Vec<String>),
}

/// `CMD`
#[derive(Debug, Clone, PartialEq)]
pub struct Cmd {
    /// The default command; an empty list takes away the one of the base.
    pub command: CommandForm,
}

/// `ENTRYPOINT`
#[derive(Debug, Clone, PartialEq)]
pub struct Entrypoint {
    /// The entry point; an empty list takes away the one of the base.
    pub command: CommandForm,
}

/// `SHELL ["program", "argument"]`
#[derive(Debug, Clone, PartialEq)]
pub struct Shell {
    /// The shell and the arguments in front of a command; never empty.
    pub shell: Vec<String>,
}

impl CommandForm {
    /// Reads the arguments from an offset on, as JSON or else as a command for a shell.
    pub(super) fn parse(statement: &Statement<'_>, offset: usize, report: &mut Report) -> Option<Self> {
        match statement.json_after(offset) {
            Ok(Some(words)) => Some(Self::Exec(words.into_iter().map(|word| word.value).collect())),
            Ok(None) => Some(Self::Shell(statement.arguments()[offset..].to_owned())),
            Err(span) => {
                not_a_string(span, report);
                None
            }
        }
    }
}

impl Cmd {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        Flags::none(statement, report);
        Some(Self {
            command: CommandForm::parse(statement, 0, report)?,
        })
    }
}

impl Entrypoint {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        Flags::none(statement, report);
        Some(Self {
            command: CommandForm::parse(statement, 0, report)?,
        })
    }
}

impl Shell {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        Flags::none(statement, report);
        match CommandForm::parse(statement, 0, report)? {
            CommandForm::Exec(shell) if !shell.is_empty() => return Some(Self { shell }),
            CommandForm::Shell(text) if !text.is_empty() => {
                let words: Vec<_> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
                let hint = Some(format!("write `SHELL [{}]`", words.join(", ")));
                report.error_with_hint(
                    statement.blame(),
                    "SHELL requires its arguments in JSON form",
                    hint,
                );
            }
            CommandForm::Exec(_) | CommandForm::Shell(_) => {
                missing_arguments(statement, report, "at least one argument");
            }
        }
        None
    }
}
