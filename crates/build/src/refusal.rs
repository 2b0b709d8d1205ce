//! Instructions that are read but not carried out yet: refused by name, before any I/O.

use onlay_dockerfile::{Diagnostic, Diagnostics, Instruction, Located, Script};

/// Refuses what the lines ask for and this version does not do; every such line, not only the first.
pub(crate) fn refuse_unsupported<'a>(
    lines: impl IntoIterator<Item = &'a Located<Instruction>>,
) -> Result<(), Diagnostics> {
    let refusals: Vec<Diagnostic> = lines.into_iter().filter_map(refusal).collect();
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(Diagnostics(refusals))
    }
}

fn refusal(line: &Located<Instruction>) -> Option<Diagnostic> {
    let refuse = |what: String| {
        Some(Diagnostic {
            message: format!("{what} is not supported yet"),
            span: line.keyword,
            source_file: line.source.clone(),
            hint: Some("RUN lines are interpreted, or executed as a command without mounts".to_owned()),
        })
    };
    match &line.value {
        Instruction::Run(run) => {
            if !run.mounts.is_empty() {
                return refuse("RUN --mount".to_owned());
            }
            match run.script() {
                Script::File { .. } => refuse("RUN of a script with `#!`".to_owned()),
                Script::Shell(_) | Script::Exec(_) => None,
            }
        }
        Instruction::Add(_)
        | Instruction::Arg(_)
        | Instruction::Cmd(_)
        | Instruction::Copy(_)
        | Instruction::Entrypoint(_)
        | Instruction::Env(_)
        | Instruction::Expose(_)
        | Instruction::Healthcheck(_)
        | Instruction::Label(_)
        | Instruction::Maintainer(_)
        | Instruction::OnBuild(_)
        | Instruction::Shell(_)
        | Instruction::StopSignal(_)
        | Instruction::User(_)
        | Instruction::Volume(_)
        | Instruction::Workdir(_) => None,
    }
}
