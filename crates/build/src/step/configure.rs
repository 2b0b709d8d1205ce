use onlay_dockerfile as dockerfile;
use onlay_dockerfile::ExpandedInstruction;
use onlay_image::{CommandForm, Healthcheck, Image, ImageError, Probe};

use crate::scope::StageScope;

/// Carries out an instruction that needs nothing but the configuration.
pub(crate) fn configure(
    image: Image,
    scope: &mut StageScope,
    instruction: ExpandedInstruction,
) -> Result<Image, ImageError> {
    match instruction {
        ExpandedInstruction::Arg(arguments) => {
            scope.declare(&arguments);
            let arguments: Vec<_> = arguments
                .into_iter()
                .map(|argument| (argument.name, argument.value))
                .collect();
            image.with_arg(&arguments)
        }
        ExpandedInstruction::Env(variables) => {
            scope.set_environment(&variables);
            image.with_env(&variables)
        }
        ExpandedInstruction::Cmd(command) => image.with_cmd(&form(command)),
        ExpandedInstruction::Entrypoint(command) => image.with_entrypoint(&form(command)),
        ExpandedInstruction::Expose(expose) => image.with_exposed_ports(&expose.ports),
        ExpandedInstruction::Healthcheck(check) => image.with_healthcheck(&healthcheck(check)),
        ExpandedInstruction::Label(labels) => image.with_labels(&labels),
        ExpandedInstruction::Maintainer(name) => image.with_maintainer(&name),
        ExpandedInstruction::OnBuild(trigger) => image.with_onbuild(&trigger.trigger),
        ExpandedInstruction::Shell(shell) => image.with_shell(&shell),
        ExpandedInstruction::StopSignal(signal) => image.with_stop_signal(&signal),
        ExpandedInstruction::User(user) => image.with_user(&user),
        ExpandedInstruction::Volume(volumes) => image.with_volumes(&volumes),
        // These touch files and are carried out elsewhere, or were refused before the build began.
        ExpandedInstruction::Add(_)
        | ExpandedInstruction::Copy(_)
        | ExpandedInstruction::Run(_)
        | ExpandedInstruction::Workdir(_) => Ok(image),
    }
}

fn form(command: dockerfile::CommandForm) -> CommandForm {
    match command {
        dockerfile::CommandForm::Shell(text) => CommandForm::Shell(text),
        dockerfile::CommandForm::Exec(words) => CommandForm::Exec(words),
    }
}

fn healthcheck(check: dockerfile::Healthcheck) -> Healthcheck {
    match check {
        dockerfile::Healthcheck::None => Healthcheck::None,
        dockerfile::Healthcheck::Probe(probe) => Healthcheck::Probe(Probe {
            command: form(probe.command),
            interval: probe.interval,
            timeout: probe.timeout,
            start_period: probe.start_period,
            start_interval: probe.start_interval,
            retries: probe.retries,
        }),
    }
}
