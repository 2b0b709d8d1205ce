use onlay_dockerfile::{ExpandedRun, Instruction, Located, Script};
use onlay_image::{CommandForm, ImageError, NewLayer};
use onlay_layer::Tree;
use onlay_shell::{
    CommandLine, Expectation, Failure, FailureCause, Line, NotUnderstood, Outcome, Reason, Tools, interpret,
};

use super::execute::{Why, execute};
use crate::RunMode;
use crate::mounting::{Misuse, Mounting};
use crate::scope::HOME_OF_ROOT;
use crate::stage::{StageBuild, StepOutcome};
use crate::step::StepError;

/// A RUN: interpreted over the tree where that is possible, else executed.
pub(crate) async fn run(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    command: ExpandedRun,
) -> Result<StepOutcome, StepError> {
    let mut outcome = StepOutcome::default();
    if !command.mounts.is_empty() && !stage.files.tree.is_complete() {
        outcome.layers.extend(stage.read_more(true).await?);
    }
    match stage.options.run {
        RunMode::Never => {
            return Err(StepError::at(
                line,
                "RUN is not carried out here (`--run=never`)".to_owned(),
            ));
        }
        RunMode::Execute(_) => {
            let mounting = Mounting::prepare(stage, line, &command).await?;
            return execute(stage, line, &command, mounting, Why::Wanted, outcome).await;
        }
        RunMode::Auto | RunMode::Interpret => {}
    }
    let mounting = Mounting::prepare(stage, line, &command).await?;
    loop {
        let (after, output) = match interpreted(stage, line, &command, &mounting, &mut outcome).await? {
            Interpretation::Done { after, output } => (after, output),
            Interpretation::NotUnderstood(token) if stage.options.run == RunMode::Auto => {
                let why = Why::NotUnderstood(token);
                return execute(stage, line, &command, mounting, why, outcome).await;
            }
            Interpretation::NotUnderstood(token) => return Err(not_understood(line, &token)),
        };
        if let Some(layer) = stage.commit(line, after, &mut outcome).await? {
            outcome.output = output;
            add_layer(stage, line, &command.script, layer)?;
            return Ok(outcome);
        }
        outcome.layers.extend(stage.read_more(true).await?);
    }
}

pub(super) fn add_layer(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    script: &Script,
    layer: NewLayer,
) -> Result<(), StepError> {
    let failed = |source: ImageError| StepError::Image {
        place: super::place(line),
        source,
    };
    let created_by = created_by(stage, script).map_err(failed)?;
    let image = stage.image.clone().with_layer(layer, created_by);
    stage.image = image.map_err(failed)?;
    Ok(())
}

/// What came of reading a line.
enum Interpretation {
    Done { after: Tree, output: Vec<u8> },
    NotUnderstood(NotUnderstood),
}

/// Interprets the line until no question is left; each answer makes it start again.
async fn interpreted(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    command: &ExpandedRun,
    mounting: &Mounting,
    outcome: &mut StepOutcome,
) -> Result<Interpretation, StepError> {
    if let Some(token) = not_interpreted(command, mounting) {
        return Ok(Interpretation::NotUnderstood(token));
    }
    loop {
        let mut question = Question::new(stage, &command.script).map_err(|source| StepError::Image {
            place: super::place(line),
            source,
        })?;
        if !mounting.is_empty() {
            question.tree = mounting.tree.clone();
        }
        let answered = tokio::task::spawn_blocking(move || question.answer());
        let answer = answered.await.map_err(|_| StepError::Worker)?;
        let need = match answer {
            Outcome::Done(done) => {
                if mounting.is_empty() {
                    let (after, output) = (done.tree, done.output);
                    return Ok(Interpretation::Done { after, output });
                }
                return Ok(match mounting.unmounted(&done.tree) {
                    Ok(after) => Interpretation::Done {
                        after,
                        output: done.output,
                    },
                    // What the kernel says of that, the command says in its own words.
                    Err(Misuse::ReadOnly { path, .. } | Misuse::Removed(path)) => {
                        Interpretation::NotUnderstood(NotUnderstood {
                            token: path.to_string(),
                            offset: 0,
                            reason: Reason::Mounted,
                        })
                    }
                });
            }
            Outcome::Failed(failure) => return Err(command_failed(line, &failure)),
            Outcome::NotUnderstood(token) => return Ok(Interpretation::NotUnderstood(token)),
            Outcome::Needs(need) => need,
        };
        if stage.files.tree.is_complete() {
            let paths: Vec<String> = need.paths.iter().map(ToString::to_string).collect();
            return Err(StepError::at(
                line,
                format!("what is at {} cannot be known", paths.join(", ")),
            ));
        }
        outcome
            .layers
            .extend(stage.read_more(need.expectation == Expectation::Absence).await?);
    }
}

/// What is never interpreted, whatever the text of the line.
fn not_interpreted(command: &ExpandedRun, mounting: &Mounting) -> Option<NotUnderstood> {
    let refuse = |token: &str, what| {
        Some(NotUnderstood {
            token: token.to_owned(),
            offset: 0,
            reason: Reason::Syntax(what),
        })
    };
    match &command.script {
        Script::File { name, .. } => refuse(name, "a script with `#!` is"),
        Script::Shell(_) | Script::Exec(_) if mounting.is_interpretable() => None,
        Script::Shell(_) | Script::Exec(_) => refuse("--mount", "a cache, a secret or an agent is"),
    }
}

/// What one interpretation of a line looks at, owned: it runs on a thread of its own, so that a long line can be
/// interrupted.
struct Question {
    script: Script,
    shell: Vec<String>,
    environment: Vec<(String, String)>,
    user: String,
    working_directory: String,
    tools: Tools,
    tree: Tree,
}

impl Question {
    fn new(stage: &StageBuild<'_>, script: &Script) -> Result<Self, ImageError> {
        Ok(Self {
            script: script.clone(),
            shell: stage.image.shell()?,
            environment: stage.scope.run_environment(&stage.image.env()?, HOME_OF_ROOT),
            user: stage.image.user()?,
            working_directory: stage.image.working_dir()?,
            tools: stage.options.tools,
            tree: stage.files.tree.clone(),
        })
    }

    fn answer(&self) -> Outcome {
        let command = match &self.script {
            Script::Shell(text) => CommandLine::Shell(text),
            Script::Exec(words) => CommandLine::Exec(words),
            // Never interpreted.
            Script::File { content, .. } => CommandLine::Shell(content),
        };
        let line = Line {
            command,
            shell: &self.shell,
            environment: &self.environment,
            working_directory: self.working_directory.as_bytes(),
            user: &self.user,
            tools: self.tools,
        };
        interpret(&line, &self.tree)
    }
}

/// The history's text: the command with the shell that it would be given to.
fn created_by(stage: &StageBuild<'_>, script: &Script) -> Result<String, ImageError> {
    let command = form(script);
    Ok(onlay_image::history::run(
        &stage.scope.arguments(),
        &stage.image.command_line(&command)?,
    ))
}

/// What is given to the shell, or executed as it is.
pub(super) fn form(script: &Script) -> CommandForm {
    match script {
        Script::Shell(text) => CommandForm::Shell(text.clone()),
        Script::Exec(words) => CommandForm::Exec(words.clone()),
        Script::File { name, .. } => CommandForm::Shell(format!("/dev/pipes/{name}")),
    }
}

fn command_failed(line: &Located<Instruction>, failure: &Failure) -> StepError {
    let printed = String::from_utf8_lossy(&failure.output);
    let printed: String = printed
        .trim_end()
        .lines()
        .map(|line| format!("\n  | {line}"))
        .collect();
    let message = format!(
        "`{}` failed with exit code {}{printed}",
        failure.command, failure.status
    );
    let error = StepError::blame(line, &failure.command, message);
    match failure.cause {
        FailureCause::Command => error,
        FailureCause::NoShell | FailureCause::NoCommand => error.with_hint(
            "with `--shell=builtin`, onlay's own shell and commands stand in for those that the image lacks",
        ),
    }
}

fn not_understood(line: &Located<Instruction>, token: &NotUnderstood) -> StepError {
    let message = format!("RUN would have to be executed, which `--run=interpret` forbids: {token}");
    StepError::blame(line, &token.token, message)
        .with_hint("lines that only touch files are interpreted; see `Interpreted RUN lines` in the README")
}
