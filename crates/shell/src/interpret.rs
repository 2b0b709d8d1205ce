use std::ops::Range;

use onlay_layer::Tree;

use crate::ast::{List, Script};
use crate::commands::{self, Kind, set};
use crate::files::Files;
use crate::halt::{Halt, Settle};
use crate::line::{CommandLine, Line};
use crate::make::{Lookup, Make, Toolbox};
use crate::outcome::{Done, Failure, FailureCause, NotUnderstood, Outcome, Reason};
use crate::shell::{Flags, Shell};
use crate::{check, parse};

/// The status that engines give a RUN whose program is not there.
const NO_PROGRAM: u8 = 127;

/// Interprets a RUN line on a tree.
///
/// It is pure: on [`Outcome::Needs`] read what is asked for and call it again; nothing of a line that was not
/// understood is kept.
pub fn interpret(line: &Line<'_>, tree: &Tree) -> Outcome {
    if !matches!(line.user.split(':').next(), Some("" | "root" | "0")) {
        return refused(line.user, Reason::User);
    }
    let ended = match line.command {
        CommandLine::Shell(text) => run_text(line, text, tree),
        CommandLine::Exec(arguments) => run_arguments(line, arguments, tree),
    };
    match ended {
        Ok(outcome) | Err(End::Outcome(outcome)) => outcome,
        Err(End::Halt(halt)) => match halt.at(0) {
            Halt::Need(need) => Outcome::Needs(need),
            Halt::NotUnderstood(refusal) => Outcome::NotUnderstood(refusal),
            // Whoever runs a shell takes its exit for its status.
            Halt::Exit(_) | Halt::Refused(..) => refused("exit", Reason::Unexpected),
        },
    }
}

/// How an interpretation ends early.
enum End {
    Halt(Halt),
    Outcome(Outcome),
}

impl From<Halt> for End {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<NotUnderstood> for End {
    fn from(refusal: NotUnderstood) -> Self {
        Self::Outcome(Outcome::NotUnderstood(refusal))
    }
}

fn refused(token: &str, reason: Reason) -> Outcome {
    Outcome::NotUnderstood(NotUnderstood {
        token: token.to_owned(),
        offset: 0,
        reason,
    })
}

fn run_text(line: &Line<'_>, text: &str, tree: &Tree) -> Result<Outcome, End> {
    let script = parse::parse(text)?;
    check::check(&script)?;
    let files = enter(line, tree)?;
    let toolbox = Toolbox::new(line.tools);
    let (program, options) = line
        .shell
        .split_first()
        .ok_or_else(|| Halt::refused("SHELL", Reason::Shell))?;
    let Lookup::Found(make) = known_shell(program).and_then(|()| toolbox.shell(&files, program))? else {
        return Ok(not_there(program, FailureCause::NoShell));
    };
    let mut shell = Shell::new(&script, text, files, toolbox, make);
    shell.name = program.clone().into_bytes();
    shell.flags = shell_flags(options, make)?;
    set_variables(&mut shell, line)?;
    let status = shell.in_subshell(|shell| shell.list(&script.list));
    Ok(ended(shell, status?))
}

fn run_arguments(line: &Line<'_>, arguments: &[String], tree: &Tree) -> Result<Outcome, End> {
    let Some((name, arguments)) = arguments.split_first() else {
        return Err(Halt::refused("[]", Reason::Command).into());
    };
    let files = enter(line, tree)?;
    let command =
        commands::named(name).filter(|command| matches!(command.kind, Kind::Builtin | Kind::Program));
    let command = command.ok_or_else(|| Halt::refused(name, Reason::Command))?;
    let toolbox = Toolbox::new(line.tools);
    let search = line
        .environment
        .iter()
        .rev()
        .find(|(variable, _)| variable == "PATH")
        .map(|(_, path)| path.as_bytes());
    let Lookup::Found(make) = toolbox.program(&files, search, name)? else {
        return Ok(not_there(name, FailureCause::NoCommand));
    };
    let script = Script {
        list: List::default(),
        heredocs: Vec::new(),
    };
    let mut shell = Shell::new(&script, name, files, toolbox, make);
    shell.span = 0..name.len();
    set_variables(&mut shell, line)?;
    let arguments: Vec<Vec<u8>> = arguments
        .iter()
        .map(|argument| argument.clone().into_bytes())
        .collect();
    let status = shell.call(command, name, make, &arguments)?;
    Ok(ended(shell, status))
}

/// The files as the line finds them, in its working directory.
fn enter(line: &Line<'_>, tree: &Tree) -> Result<Files, Halt> {
    let mut files = Files::new(tree);
    match files.change_directory(line.working_directory).settle()? {
        Ok(()) => Ok(files),
        Err(errno) => Err(Halt::refused(
            line.working_directory,
            Reason::WorkingDirectory(errno),
        )),
    }
}

/// Only shells whose language is interpreted, whatever the file is that stands there.
fn known_shell(program: &str) -> Result<(), Halt> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let known = matches!(name, "sh" | "dash" | "ash" | "bash") && program.starts_with('/');
    if known {
        Ok(())
    } else {
        Err(Halt::refused(program, Reason::Shell))
    }
}

/// The options of a SHELL, `-c` last: `-ec`, `-o pipefail -c`.
fn shell_flags(options: &[String], make: Make) -> Result<Flags, Halt> {
    let refuse = || Halt::refused(options.join(" "), Reason::Shell);
    let (last, others) = options.split_last().ok_or_else(refuse)?;
    let letters = last
        .strip_suffix('c')
        .filter(|letters| letters.starts_with('-'))
        .ok_or_else(refuse)?;
    let mut arguments: Vec<Vec<u8>> = others.iter().map(|option| option.clone().into_bytes()).collect();
    // `-eo pipefail -c` is taken apart by `set`; a lone dash is left of `-c`.
    if letters.len() > 1 {
        arguments.push(letters.as_bytes().to_vec());
    }
    let mut flags = Flags::default();
    match set::apply(&mut flags, make, &arguments, "set") {
        Ok([]) => Ok(flags),
        _ => Err(refuse()),
    }
}

fn set_variables(shell: &mut Shell<'_>, line: &Line<'_>) -> Result<(), Halt> {
    for (name, value) in line.environment {
        shell.assign(name, value.clone().into_bytes())?;
    }
    // A shell takes PWD over only where it is right, and sets it otherwise.
    let directory = shell.files.directory.to_string();
    let given = line.working_directory.to_vec();
    let path = if given.starts_with(b"/") {
        given
    } else {
        directory.into_bytes()
    };
    shell.variables.insert("PWD".to_owned(), path);
    Ok(())
}

fn ended(shell: Shell<'_>, status: u8) -> Outcome {
    if status == 0 {
        return Outcome::Done(Done {
            output: shell.io.log,
            tree: shell.files.finish(),
        });
    }
    let whole = || 0..shell.text.len();
    let (span, cause): (Range<usize>, _) = match &shell.last_failure {
        Some(failure) => (failure.span.clone(), failure.cause),
        None => (whole(), FailureCause::Command),
    };
    let command = shell
        .text
        .get(span.clone())
        .unwrap_or(shell.text)
        .trim_end()
        .to_owned();
    Outcome::Failed(Failure {
        status,
        output: shell.io.log,
        command,
        offset: span.start,
        cause,
    })
}

fn not_there(program: &str, cause: FailureCause) -> Outcome {
    let output = format!("exec: `{program}` is not in the image\n").into_bytes();
    Outcome::Failed(Failure {
        status: NO_PROGRAM,
        output,
        command: program.to_owned(),
        offset: 0,
        cause,
    })
}
