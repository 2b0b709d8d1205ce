use onlay_base::BaseFiles;
use onlay_dockerfile::{ExpandedRun, Instruction, Located, Network as WantedNetwork, Script, Security};
use onlay_image::ImageError;
use onlay_sandbox::{
    Command, MountPoint, Network, Root, SandboxError, ScriptFile, SecretText, Status, User, UserError,
};
use onlay_shell::NotUnderstood;

use super::run::{add_layer, form};
use crate::BuildEvent;
use crate::execution::{Executed, ExecutionError};
use crate::mounting::{AGENT_VARIABLE, Misuse, Mounting};
use crate::scope::StageScope;
use crate::stage::{StageBuild, StepOutcome};
use crate::step::{StepError, place};

/// Why a line is executed.
pub(super) enum Why {
    /// It is to be.
    Wanted,
    /// It cannot be interpreted.
    NotUnderstood(NotUnderstood),
}

/// A RUN that is executed: the stage's files as a directory, a sandbox, and what changed as a layer.
pub(super) async fn execute(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    command: &ExpandedRun,
    mut mounting: Mounting,
    why: Why,
    mut outcome: StepOutcome,
) -> Result<StepOutcome, StepError> {
    refuse(stage, line, command, &why)?;
    let failed = |source: ExecutionError| not_executed(line, &why, source);
    let sandbox = stage.sandbox().await.map_err(failed)?;
    let rung = sandbox.rung();
    let network = network(command.network, stage.options.network);
    if stage.inputs.tells_sandbox() {
        let description = sandbox.to_string();
        stage.events.send(BuildEvent::Sandbox { description });
    }
    if !stage.files.tree.is_complete() {
        outcome.layers.extend(stage.read_more(true).await?);
    }
    if mounting.is_empty() {
        mounting = Mounting::none(&stage.files.tree);
    }
    let wanted = stage.lacking(&mounting.tree).map_err(failed)?;
    outcome.copied_up = (wanted.len(), wanted.iter().map(|file| file.size).sum());
    let files = BaseFiles::new(stage.options.temporary_directory.clone());
    let files = stage.inputs.fetch(files, &wanted).await?;

    let template =
        template(stage, &command.script, network, &mounting).map_err(|source| StepError::Image {
            place: place(line),
            source,
        })?;
    let before = stage.files.tree.clone();
    let executed = stage
        .execute(
            sandbox,
            &mounting,
            move |root| template.command(root),
            files,
            place(line),
        )
        .await;
    let Executed {
        status,
        after,
        execution,
    } = executed.map_err(failed)?;
    mounting.keep_caches(stage, &after).await.map_err(|error| {
        StepError::at(
            line,
            format!("what the command left in its caches could not be kept: {error}"),
        )
    })?;
    if !status.is_success() {
        return Err(command_failed(stage, line, command, status));
    }
    let unmounted = mounting
        .unmounted(&after)
        .map_err(|misuse| misused(line, &misuse))?;
    let layer = stage.commit(line, unmounted, &mut outcome).await?;
    // All layers were read, so nothing can be unknown.
    let layer =
        layer.ok_or_else(|| StepError::at(line, "what the command changed cannot be known".to_owned()))?;
    if let Some(made) = stage.made.last().cloned() {
        let settling = stage.settle(&before, &made, execution, |settled| {
            mounting.remounted(settled, &after)
        });
        settling.await.map_err(failed)?;
    }
    add_layer(stage, line, &command.script, layer)?;
    outcome.executed = Some(rung);
    Ok(outcome)
}

/// What cannot be executed, whatever the machine allows.
fn refuse(
    stage: &StageBuild<'_>,
    line: &Located<Instruction>,
    command: &ExpandedRun,
    why: &Why,
) -> Result<(), StepError> {
    if command.security == Security::Insecure {
        return Err(StepError::at(
            line,
            "RUN --security=insecure is not supported".to_owned(),
        ));
    }
    let (own, machine) = (&stage.platform, &stage.options.build_platform);
    if own.architecture == machine.architecture {
        return Ok(());
    }
    let message = format!(
        "RUN would have to be executed for {own}, which this machine ({machine}) cannot{}",
        reason(why)
    );
    Err(blame(line, why, message)
        .with_hint("choose the platforms with `--platform`; lines that only touch files are interpreted for every platform")
        .foreign())
}

/// What was written to, or removed, although it is mounted.
fn misused(line: &Located<Instruction>, misuse: &Misuse) -> StepError {
    match misuse {
        Misuse::ReadOnly { path, target } => {
            let message = format!("the command changed `{path}`, and `{target}` is mounted read-only");
            StepError::at(line, message)
                .with_hint("with `rw` in the mount it may, and what it writes there is thrown away")
        }
        Misuse::Removed(target) => StepError::at(
            line,
            format!("the command removed `{target}`, where something is mounted"),
        ),
    }
}

fn network(wanted: WantedNetwork, usual: Network) -> Network {
    match wanted {
        WantedNetwork::Default => usual,
        WantedNetwork::Host => Network::Host,
        WantedNetwork::None => Network::None,
    }
}

/// A command, but for what only the root filesystem knows.
struct Template {
    arguments: Vec<String>,
    /// The variables of the stage and of the image, with the home directory still to be put in.
    scope: StageScope,
    image_environment: Vec<(String, String)>,
    working_directory: String,
    user: String,
    network: Network,
    secret_environment: Vec<(String, SecretText)>,
    mounts: Vec<MountPoint>,
    script: Option<ScriptFile>,
}

fn template(
    stage: &StageBuild<'_>,
    script: &Script,
    network: Network,
    mounting: &Mounting,
) -> Result<Template, ImageError> {
    let file = match script {
        Script::Shell(_) | Script::Exec(_) => None,
        Script::File { name, content } => Some(ScriptFile {
            name: name.clone(),
            content: content.clone(),
        }),
    };
    let image_environment = stage.image.env()?;
    // An agent's socket that the image names itself stays; a secret replaces what has its name.
    let is_set = |name: &str| image_environment.iter().any(|(set, _)| set == name);
    let mut secret_environment = mounting.environment.clone();
    secret_environment.retain(|(name, _)| name != AGENT_VARIABLE || !is_set(name));
    Ok(Template {
        arguments: stage.image.command_line(&form(script))?,
        scope: stage.scope.clone(),
        secret_environment,
        mounts: mounting.points(),
        script: file,
        image_environment,
        working_directory: stage.image.working_dir()?,
        user: stage.image.user()?,
        network,
    })
}

impl Template {
    fn command(self, root: &Root) -> Result<Command, UserError> {
        let user = match self.user.as_str() {
            "" => User::find(root.directory(), "root")?,
            user => User::find(root.directory(), user)?,
        };
        let mut environment = self.scope.run_environment(&self.image_environment, &user.home);
        environment.retain(|(name, _)| !self.secret_environment.iter().any(|(secret, _)| secret == name));
        Ok(Command {
            environment,
            secret_environment: self.secret_environment,
            mounts: self.mounts,
            script: self.script,
            arguments: self.arguments,
            working_directory: self.working_directory,
            user,
            network: self.network,
        })
    }
}

/// As BuildKit says it (dockerfile.md 1.10).
fn command_failed(
    stage: &StageBuild<'_>,
    line: &Located<Instruction>,
    command: &ExpandedRun,
    status: Status,
) -> StepError {
    let words = match stage.image.command_line(&form(&command.script)) {
        Ok(arguments) => arguments.join(" "),
        Err(_) => line.text.clone(),
    };
    let how = match status {
        Status::Exited(code) => format!("exit code: {code}"),
        Status::Killed(signal) => format!("killed by signal {signal}"),
    };
    StepError::at(
        line,
        format!("process \"{words}\" did not complete successfully: {how}"),
    )
}

fn not_executed(line: &Located<Instruction>, why: &Why, source: ExecutionError) -> StepError {
    let hint = match &source {
        ExecutionError::Sandbox(SandboxError::NoRung(_)) => {
            "lines that only touch files are interpreted and need no sandbox"
        }
        ExecutionError::Sandbox(SandboxError::Program { .. }) => {
            "the image must have the program, for this machine's architecture, and the temporary directory must allow executing"
        }
        _ => {
            return StepError::Execution {
                place: place(line),
                source: Box::new(source),
            };
        }
    };
    let message = format!("RUN could not be executed: {source}{}", reason(why));
    blame(line, why, message).with_hint(hint)
}

/// Points at what made executing necessary.
fn blame(line: &Located<Instruction>, why: &Why, message: String) -> StepError {
    match why {
        Why::Wanted => StepError::at(line, message),
        Why::NotUnderstood(token) => StepError::blame(line, &token.token, message),
    }
}

fn reason(why: &Why) -> String {
    match why {
        Why::Wanted => String::new(),
        Why::NotUnderstood(token) => format!("; it cannot be interpreted: {token}"),
    }
}
