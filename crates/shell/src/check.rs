//! The check of a whole script before any of it is run: every command and option, in branches not taken, too.

use crate::ast::{Action, Command, CommandKind, List, Operation, Part, Script, Simple, Word};
use crate::commands::{self, Grammar};
use crate::halt::Halt;
use crate::make::Make;
use crate::options::Arguments;
use crate::outcome::{NotUnderstood, Reason};

/// Stands for an argument that only running the script will tell.
const UNKNOWN: &[u8] = b"?";

/// Checks every command of a script, as far as the text tells.
///
/// # Errors
/// The first command or option that is not interpreted.
pub(crate) fn check(script: &Script) -> Result<(), NotUnderstood> {
    list(&script.list)?;
    words(&script.heredocs)
}

fn list(list: &List) -> Result<(), NotUnderstood> {
    for and_or in &list.0 {
        let pipelines =
            std::iter::once(&and_or.first).chain(and_or.rest.iter().map(|(_, pipeline)| pipeline));
        for found in pipelines.flat_map(|pipeline| &pipeline.commands) {
            command(found)?;
        }
    }
    Ok(())
}

fn command(command: &Command) -> Result<(), NotUnderstood> {
    for redirection in &command.redirections {
        match &redirection.action {
            Action::Read(target) | Action::Write(target) | Action::Append(target) => word(target)?,
            Action::Duplicate(_) | Action::Heredoc(_) => {}
        }
    }
    match &command.kind {
        CommandKind::Simple(found) => {
            words(&found.words)?;
            found
                .assignments
                .iter()
                .try_for_each(|assignment| word(&assignment.value))?;
            simple(found).map_err(|(halt, offset)| placed(halt, offset))
        }
        CommandKind::Group(found) | CommandKind::Subshell(found) => list(found),
        CommandKind::If(condition) => {
            for (condition, body) in &condition.branches {
                list(condition)?;
                list(body)?;
            }
            condition.otherwise.as_ref().map_or(Ok(()), list)
        }
        CommandKind::For(for_loop) => {
            words(&for_loop.words)?;
            list(&for_loop.body)
        }
        CommandKind::Case(case) => {
            word(&case.subject)?;
            case.arms.iter().try_for_each(|(patterns, body)| {
                words(patterns)?;
                list(body)
            })
        }
    }
}

fn words(found: &[Word]) -> Result<(), NotUnderstood> {
    found.iter().try_for_each(word)
}

fn word(word: &Word) -> Result<(), NotUnderstood> {
    parts(&word.parts)
}

/// Checks the commands that are substituted in a word.
fn parts(found: &[Part]) -> Result<(), NotUnderstood> {
    found.iter().try_for_each(|part| match part {
        Part::Literal(_) | Part::Quoted(_) => Ok(()),
        Part::DoubleQuoted(inner) => parts(inner),
        Part::Substitution(inner) => list(inner),
        Part::Parameter(parameter) => match &parameter.operation {
            Operation::Value | Operation::Length => Ok(()),
            Operation::Default { word: inner, .. }
            | Operation::Assign { word: inner, .. }
            | Operation::Alternative { word: inner, .. }
            | Operation::Demand { word: inner, .. }
            | Operation::RemovePrefix { pattern: inner, .. }
            | Operation::RemoveSuffix { pattern: inner, .. } => word(inner),
        },
    })
}

fn placed(halt: Halt, offset: usize) -> NotUnderstood {
    match halt.at(offset) {
        Halt::NotUnderstood(refusal) => refusal,
        // A check meets nothing else: it runs nothing.
        _ => NotUnderstood {
            token: String::new(),
            offset,
            reason: Reason::Command,
        },
    }
}

fn simple(simple: &Simple) -> Result<(), (Halt, usize)> {
    let Some((name, words)) = simple.words.split_first() else {
        return Ok(());
    };
    let Some(constant) = name.as_constant() else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(&constant);
    let Some(command) = commands::named(&text) else {
        return Err((Halt::refused(&constant, Reason::Command), name.offset));
    };
    let Grammar::Options(options) = command.grammar else {
        return Ok(());
    };
    // Only the refusal counts: whether the make at hand has the option turns out when it runs.
    let arguments: Vec<Vec<u8>> = words
        .iter()
        .map(|word| word.as_constant().unwrap_or_else(|| UNKNOWN.to_vec()))
        .collect();
    let parse = |count: usize| {
        let arguments = [&arguments[..count], &[UNKNOWN.to_vec()]].concat();
        Arguments::parse(command.name, options, Make::Gnu, &arguments)
    };
    if parse(words.len()).is_ok() {
        return Ok(());
    }
    let refused = words
        .iter()
        .enumerate()
        .find_map(|(index, word)| Some((parse(index + 1).err()?, word.offset)));
    refused.map_or(Ok(()), Err)
}
