use onlay_dockerfile::{ExpandedRun, Instruction, Located, Script};
use onlay_image::{CommandForm, ImageError};
use onlay_layer::Tree;
use onlay_shell::{
    CommandLine, Expectation, Failure, FailureCause, Line, NotUnderstood, Outcome, Tools, interpret,
};

use crate::stage::{StageBuild, StepOutcome};
use crate::step::StepError;

/// A RUN: interpreted over the tree, nothing executed.
pub(crate) async fn run(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    command: ExpandedRun,
) -> Result<StepOutcome, StepError> {
    let failed = |source: ImageError| StepError::Image {
        place: super::place(line),
        source,
    };
    let mut outcome = StepOutcome::default();
    loop {
        let (after, output) = interpreted(stage, line, &command.script, &mut outcome).await?;
        if let Some(layer) = stage.commit(line, after, &mut outcome).await? {
            outcome.output = output;
            let created_by = created_by(stage, &command.script).map_err(failed)?;
            stage.image = stage
                .image
                .clone()
                .with_layer(layer, created_by)
                .map_err(failed)?;
            return Ok(outcome);
        }
        outcome.layers.extend(stage.read_more(true).await?);
    }
}

/// Interprets the line until no question is left; each answer makes it start again.
async fn interpreted(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    script: &Script,
    outcome: &mut StepOutcome,
) -> Result<(Tree, Vec<u8>), StepError> {
    loop {
        let question = Question::new(stage, script).map_err(|source| StepError::Image {
            place: super::place(line),
            source,
        })?;
        let answered = tokio::task::spawn_blocking(move || question.answer());
        let answer = answered.await.map_err(|_| StepError::Worker)?;
        let need = match answer {
            Outcome::Done(done) => return Ok((done.tree, done.output)),
            Outcome::Failed(failure) => return Err(command_failed(line, &failure)),
            Outcome::NotUnderstood(token) => return Err(not_understood(line, &token)),
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
            environment: stage.scope.run_environment(&stage.image.env()?),
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
            // Refused before the build began.
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
    let command = match script {
        Script::Shell(text) => CommandForm::Shell(text.clone()),
        Script::Exec(words) => CommandForm::Exec(words.clone()),
        Script::File { name, .. } => CommandForm::Shell(format!("/dev/pipes/{name}")),
    };
    Ok(onlay_image::history::run(
        &stage.scope.arguments(),
        &stage.image.command_line(&command)?,
    ))
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
    let message = format!("RUN would have to be executed, which this version does not do: {token}");
    StepError::blame(line, &token.token, message)
        .with_hint("lines that only touch files are interpreted; see `Interpreted RUN lines` in the README")
}
