use super::mount::{self, Mount};
use super::{CommandForm, missing_arguments};
use crate::diagnostic::Report;
use crate::evaluate::Evaluation;
use crate::flags::{self, Flags};
use crate::heredoc::{Heredoc, HeredocWord};
use crate::source::Spanned;
use crate::statement::Statement;
use crate::suggest;

/// `RUN [flags] command`
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The command as written, without the bodies of heredocs; [`Run::script`] puts them in.
    pub command: CommandForm,
    /// The heredocs, in the order of the command.
    pub heredocs: Vec<Heredoc>,
    /// The values of `--mount`, in the order of the line, variables still in them.
    pub mounts: Vec<Spanned<String>>,
    /// `--network`
    pub network: Network,
    /// `--security`
    pub security: Security,
}

/// What network a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The builder's choice.
    #[default]
    Default,
    /// None but loopback.
    None,
    /// The host's.
    Host,
}

/// How a command is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// As every command.
    #[default]
    Sandbox,
    /// Not at all.
    Insecure,
}

/// What a RUN comes to when its heredocs are put in their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// A text that the shell gets as one argument.
    Shell(String),
    /// A program and its arguments, with no shell between.
    Exec(Vec<String>),
    /// A file that starts with `#!`; the shell gets its path, `/dev/pipes/<name>`.
    File {
        /// The name of the file.
        name: String,
        /// Its content.
        content: String,
    },
}

/// A RUN whose mounts are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandedRun {
    /// What to run.
    pub script: Script,
    /// What to mount, in the order of the line.
    pub mounts: Vec<Mount>,
    /// What network the command sees.
    pub network: Network,
    /// How the command is confined.
    pub security: Security,
}

impl Run {
    pub(super) fn parse(
        statement: &Statement<'_>,
        heredocs: Vec<Heredoc>,
        report: &mut Report,
    ) -> Option<Self> {
        let known = [
            flags::list("mount"),
            flags::value("network"),
            flags::value("security"),
        ];
        let flags = Flags::parse(statement, &known, report);
        let network = choice(&flags, "network", &Network::NAMES, report);
        let security = choice(&flags, "security", &Security::NAMES, report);
        let mounts = flags.list("mount");
        for mount in &mounts {
            mount::refuse_variable_in_from(mount, report);
        }
        let command = CommandForm::parse(statement, 0, report)?;
        if command == CommandForm::Exec(Vec::new()) {
            missing_arguments(statement, report, "at least one argument in its JSON form");
        }
        Some(Self {
            command,
            heredocs,
            mounts,
            network,
            security,
        })
    }

    /// What is to be run.
    ///
    /// A command that is one heredoc word and nothing else stands for its body. Any other command with heredocs goes to
    /// the shell with the bodies behind it, as one text.
    pub fn script(&self) -> Script {
        let command = match &self.command {
            CommandForm::Exec(words) => return Script::Exec(words.clone()),
            CommandForm::Shell(command) => command,
        };
        match self.heredocs.as_slice() {
            [first, ..] if HeredocWord::parse(command).is_some() => first_as_script(first),
            heredocs => {
                let bodies = heredocs
                    .iter()
                    .map(|heredoc| format!("\n{}{}", heredoc.body, heredoc.name));
                Script::Shell(command.clone() + &bodies.collect::<String>())
            }
        }
    }

    pub(super) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> ExpandedRun {
        ExpandedRun {
            script: self.script(),
            mounts: self
                .mounts
                .iter()
                .filter_map(|mount| Mount::evaluate(mount, evaluation))
                .collect(),
            network: self.network,
            security: self.security,
        }
    }
}

impl Network {
    const NAMES: [(&'static str, Self); 3] = [
        ("default", Self::Default),
        ("none", Self::None),
        ("host", Self::Host),
    ];
}

impl Security {
    const NAMES: [(&'static str, Self); 2] = [("sandbox", Self::Sandbox), ("insecure", Self::Insecure)];
}

fn first_as_script(heredoc: &Heredoc) -> Script {
    let content = heredoc.content();
    if content.starts_with("#!") {
        return Script::File {
            name: heredoc.name.clone(),
            content,
        };
    }
    Script::Shell(content)
}

/// The value of a flag that takes one of a few words.
fn choice<T: Copy + Default>(
    flags: &Flags,
    name: &str,
    names: &[(&'static str, T)],
    report: &mut Report,
) -> T {
    let Some(value) = flags.value(name) else {
        return T::default();
    };
    if let Some((_, chosen)) = names.iter().find(|(word, _)| *word == value.value) {
        return *chosen;
    }
    let words = || names.iter().map(|(word, _)| *word);
    let expected = words()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(" or ");
    let message = format!(
        "invalid value `{}` for `--{name}`: expected {expected}",
        value.value
    );
    report.error_with_hint(value.span, message, suggest::hint(&value.value, words(), ""));
    T::default()
}
