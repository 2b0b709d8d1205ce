//! The instructions of a Dockerfile, one file for each family.

mod assignment;
mod command;
mod copy;
mod duration;
mod expose;
mod from;
mod healthcheck;
mod mount;
mod on_build;
mod run;
mod setting;
mod signal;
mod source_kind;
mod volume;

pub use assignment::{Arg, ArgDefinition, Assignment, Env, ExpandedArg, Label};
pub use command::{Cmd, CommandForm, Entrypoint, Shell};
pub use copy::{Add, Copy, ExpandedAdd, ExpandedCopy, ExpandedTransfer, InlineFile, Transfer};
pub use expose::{ExpandedExpose, Expose};
pub use from::{ExpandedFrom, From};
pub use healthcheck::{Healthcheck, Probe};
pub(crate) use mount::mount_from;
pub use mount::{Mount, MountType, Sharing};
pub use on_build::OnBuild;
pub use run::{ExpandedRun, Network, Run, Script, Security};
pub use setting::{Maintainer, StopSignal, User, Workdir};
pub use source_kind::SourceKind;
pub use volume::Volume;

use crate::diagnostic::Report;
use crate::evaluate::Evaluation;
use crate::heredoc::Heredoc;
use crate::source::Spanned;
use crate::statement::Statement;
use crate::suggest;

/// Every keyword of the language, FROM included.
pub const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// An instruction within a stage, its variables not yet expanded.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "each variant is named after the instruction that its payload documents"
)]
pub enum Instruction {
    Add(Add),
    Arg(Arg),
    Cmd(Cmd),
    Copy(Copy),
    Entrypoint(Entrypoint),
    Env(Env),
    Expose(Expose),
    Healthcheck(Healthcheck),
    Label(Label),
    Maintainer(Maintainer),
    OnBuild(OnBuild),
    Run(Run),
    Shell(Shell),
    StopSignal(StopSignal),
    User(User),
    Volume(Volume),
    Workdir(Workdir),
}

/// An instruction whose variables are expanded and whose values are checked, ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpandedInstruction {
    /// What to copy, unpack or download.
    Add(ExpandedAdd),
    /// Each argument with the value that it gets.
    Arg(Vec<ExpandedArg>),
    /// The default command.
    Cmd(CommandForm),
    /// What to copy.
    Copy(ExpandedCopy),
    /// The entry point.
    Entrypoint(CommandForm),
    /// Variables and values, in the order of the line.
    Env(Vec<(String, String)>),
    /// The ports.
    Expose(ExpandedExpose),
    /// The health check.
    Healthcheck(Healthcheck),
    /// Labels and values, in the order of the line.
    Label(Vec<(String, String)>),
    /// The author.
    Maintainer(String),
    /// The trigger.
    OnBuild(OnBuild),
    /// What to run.
    Run(ExpandedRun),
    /// The shell and its arguments.
    Shell(Vec<String>),
    /// The signal as written: a name or a number.
    StopSignal(String),
    /// User and perhaps group, as written.
    User(String),
    /// The volumes, in the order of the line.
    Volume(Vec<String>),
    /// The directory as written, which may be relative or empty.
    Workdir(String),
}

/// What a statement turns out to be.
pub(crate) enum Parsed {
    From(From),
    Instruction(Instruction),
}

impl Instruction {
    /// What it copies or mounts from beside the build context, as written: the names of stages, images and contexts.
    pub fn sources(&self) -> Vec<Spanned<String>> {
        match self {
            Self::Copy(copy) => copy.from.iter().cloned().collect(),
            Self::Run(run) => {
                let from = |mount: &Spanned<String>| Some(Spanned::new(mount_from(mount)?, mount.span));
                run.mounts.iter().filter_map(from).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The keyword in upper case.
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::OnBuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }

    pub(crate) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> ExpandedInstruction {
        match self {
            Self::Add(add) => ExpandedInstruction::Add(add.evaluate(evaluation)),
            Self::Arg(arg) => ExpandedInstruction::Arg(arg.evaluate(evaluation)),
            Self::Cmd(cmd) => ExpandedInstruction::Cmd(cmd.command.clone()),
            Self::Copy(copy) => ExpandedInstruction::Copy(copy.evaluate(evaluation)),
            Self::Entrypoint(entrypoint) => ExpandedInstruction::Entrypoint(entrypoint.command.clone()),
            Self::Env(env) => ExpandedInstruction::Env(assignment::evaluate(&env.variables, evaluation)),
            Self::Expose(expose) => ExpandedInstruction::Expose(expose.evaluate(evaluation)),
            Self::Healthcheck(healthcheck) => ExpandedInstruction::Healthcheck(healthcheck.clone()),
            Self::Label(label) => ExpandedInstruction::Label(assignment::evaluate(&label.labels, evaluation)),
            Self::Maintainer(maintainer) => ExpandedInstruction::Maintainer(maintainer.name.clone()),
            Self::OnBuild(trigger) => ExpandedInstruction::OnBuild(trigger.clone()),
            Self::Run(run) => ExpandedInstruction::Run(run.evaluate(evaluation)),
            Self::Shell(shell) => ExpandedInstruction::Shell(shell.shell.clone()),
            Self::StopSignal(signal) => ExpandedInstruction::StopSignal(signal.evaluate(evaluation)),
            Self::User(user) => ExpandedInstruction::User(evaluation.word(&user.user).unwrap_or_default()),
            Self::Volume(volume) => ExpandedInstruction::Volume(volume.evaluate(evaluation)),
            Self::Workdir(workdir) => {
                ExpandedInstruction::Workdir(evaluation.word(&workdir.path).unwrap_or_default())
            }
        }
    }
}

/// Reads a statement; nothing where it is wrong, and then the report says why.
pub(crate) fn parse(
    statement: &Statement<'_>,
    heredocs: Vec<Heredoc>,
    report: &mut Report,
) -> Option<Parsed> {
    let before = report.count();
    let keyword = statement.keyword().to_ascii_uppercase();
    let instruction = match keyword.as_str() {
        "FROM" => {
            return From::parse(statement, report)
                .filter(|_| report.count() == before)
                .map(Parsed::From);
        }
        "ADD" => Instruction::Add(Add::parse(statement, heredocs, report)?),
        "ARG" => Instruction::Arg(Arg::parse(statement, report)?),
        "CMD" => Instruction::Cmd(Cmd::parse(statement, report)?),
        "COPY" => Instruction::Copy(Copy::parse(statement, heredocs, report)?),
        "ENTRYPOINT" => Instruction::Entrypoint(Entrypoint::parse(statement, report)?),
        "ENV" => Instruction::Env(Env::parse(statement, report)?),
        "EXPOSE" => Instruction::Expose(Expose::parse(statement, report)?),
        "HEALTHCHECK" => Instruction::Healthcheck(Healthcheck::parse(statement, report)?),
        "LABEL" => Instruction::Label(Label::parse(statement, report)?),
        "MAINTAINER" => Instruction::Maintainer(Maintainer::parse(statement, report)?),
        "ONBUILD" => Instruction::OnBuild(OnBuild::parse(statement, &heredocs, report)?),
        "RUN" => Instruction::Run(Run::parse(statement, heredocs, report)?),
        "SHELL" => Instruction::Shell(Shell::parse(statement, report)?),
        "STOPSIGNAL" => Instruction::StopSignal(StopSignal::parse(statement, report)?),
        "USER" => Instruction::User(User::parse(statement, report)?),
        "VOLUME" => Instruction::Volume(Volume::parse(statement, report)?),
        "WORKDIR" => Instruction::Workdir(Workdir::parse(statement, report)?),
        _ => {
            unknown(statement, report);
            return None;
        }
    };
    (report.count() == before).then_some(Parsed::Instruction(instruction))
}

fn unknown(statement: &Statement<'_>, report: &mut Report) {
    let keyword = statement.keyword();
    let in_case = |name: &str| match keyword {
        _ if keyword.chars().any(char::is_uppercase) => name.to_owned(),
        _ => name.to_lowercase(),
    };
    let suggestion = suggest::did_you_mean(&keyword.to_uppercase(), KEYWORDS);
    let hint = suggestion.map(|name| format!("did you mean `{}`?", in_case(name)));
    report.error_with_hint(
        statement.keyword_span(),
        format!("unknown instruction `{keyword}`"),
        hint,
    );
}

/// Reports that an instruction lacks its arguments.
fn missing_arguments(statement: &Statement<'_>, report: &mut Report, what: &str) {
    let keyword = statement.keyword().to_ascii_uppercase();
    report.error(statement.keyword_span(), format!("{keyword} requires {what}"));
}

/// Reports an element of a JSON list that is not a string.
fn not_a_string(span: crate::source::Span, report: &mut Report) {
    let hint = Some("put quotes around it, or write the arguments without brackets".to_owned());
    report.error_with_hint(span, "the JSON form takes an array of strings only", hint);
}
