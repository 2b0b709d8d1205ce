//! Rules about how a file is written, whatever its variables and whichever stage is built.

use std::collections::HashSet;

use super::Rule;
use super::sink::{Sink, Site};
use crate::dockerfile::Dockerfile;
use crate::instruction::{Arg, From, Instruction};
use crate::location::Located;
use crate::source::Span;
use crate::words::is_separator;

/// Names that FROM and `--from` take for something else.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// Applies the rules in BuildKit's order.
pub(super) fn check(dockerfile: &Dockerfile, sink: &mut Sink) {
    check_continuations(dockerfile, sink);
    for arg in &dockerfile.global_args {
        check_arg_description(&arg.value, &arg.comments, Site::of(arg), sink);
    }
    for stage in &dockerfile.stages {
        check_from(&stage.from, sink);
        for instruction in &stage.instructions {
            check_instruction(instruction, sink);
        }
    }
    check_stage_names(dockerfile, sink);
    check_casing(dockerfile, sink);
}

/// The keyword as it is written.
pub(super) fn keyword<T>(located: &Located<T>) -> &str {
    let text = located.text.trim_start();
    text.split(is_separator).next().unwrap_or_default().trim_end()
}

fn check_continuations(dockerfile: &Dockerfile, sink: &mut Sink) {
    let args = dockerfile.global_args.iter().map(last_line);
    let stages = dockerfile.stages.iter().flat_map(|stage| {
        let instructions = stage.instructions.iter().map(last_line);
        std::iter::once(last_line(&stage.from)).chain(instructions)
    });
    for site in args.chain(stages).flatten() {
        sink.warn(Rule::NoEmptyContinuation, site, "Empty continuation line");
    }
}

/// The last line of an instruction with an empty line in it, heredocs not counted: that is where BuildKit sees it.
fn last_line<T>(located: &Located<T>) -> Option<Site<'_>> {
    if !located.has_empty_continuation {
        return None;
    }
    let heredoc_lines = located.text.matches('\n').count();
    let number = located.lines().end().saturating_sub(heredoc_lines);
    let start = located.source.offset_of_line(number);
    let site = Site::of(located).without_comments();
    let span = Span::new(start, start);
    Some(Site { span, ..site })
}

fn check_instruction(instruction: &Located<Instruction>, sink: &mut Sink) {
    let site = Site::of(instruction);
    match &instruction.value {
        Instruction::Maintainer(_) => {
            let message = "Maintainer instruction is deprecated in favor of using label";
            sink.warn(Rule::MaintainerDeprecated, site, message);
        }
        Instruction::Arg(arg) => check_arg_description(arg, &instruction.comments, site, sink),
        _ => {}
    }
}

fn check_arg_description(arg: &Arg, comments: &[String], site: Site<'_>, sink: &mut Sink) {
    let names: Vec<&str> = arg
        .arguments
        .iter()
        .map(|argument| argument.name.value.as_str())
        .collect();
    check_description("ARG", &names, comments, site, sink);
}

/// Only the comment directly above counts here, while any of them can be the description.
fn check_description(keyword: &str, names: &[&str], comments: &[String], site: Site<'_>, sink: &mut Sink) {
    let (Some(comment), Some(first)) = (comments.last(), names.first()) else {
        return;
    };
    let described = comment.split(' ').next().unwrap_or_default();
    if names.contains(&described) {
        return;
    }
    let name = if names.len() > 1 { "<arg_key>" } else { first };
    let message = format!("Comment for {keyword} should follow the format: `# {name} <description>`");
    sink.warn(Rule::InvalidDefinitionDescription, site, message);
}

fn check_from(from: &Located<From>, sink: &mut Sink) {
    let Some(name) = &from.value.name else { return };
    let site = Site::of(from);
    let mut words = from
        .text
        .split(is_separator)
        .rev()
        .filter(|word| !word.is_empty());
    let (written, as_keyword) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if written != written.to_lowercase() {
        let message = format!("Stage name '{written}' should be lowercase");
        sink.warn(Rule::StageNameCasing, site, message);
    }
    let keyword = keyword(from);
    if !matches(keyword, as_keyword) {
        let message = format!("'{as_keyword}' and '{keyword}' keywords' casing do not match");
        sink.warn(Rule::FromAsCasing, site, message);
    }
    check_description("FROM", &[&name.value], &from.comments, site, sink);
}

/// Whether AS is in FROM's case; a FROM of mixed case is the affair of another rule.
fn matches(from: &str, as_keyword: &str) -> bool {
    match case(from) {
        Some(Case::Lower) => as_keyword == as_keyword.to_lowercase(),
        Some(Case::Upper) => as_keyword == as_keyword.to_uppercase(),
        None => true,
    }
}

#[derive(PartialEq)]
enum Case {
    Lower,
    Upper,
}

fn case(keyword: &str) -> Option<Case> {
    if keyword == keyword.to_lowercase() {
        Some(Case::Lower)
    } else {
        (keyword == keyword.to_uppercase()).then_some(Case::Upper)
    }
}

fn check_stage_names(dockerfile: &Dockerfile, sink: &mut Sink) {
    let mut seen = HashSet::new();
    for stage in &dockerfile.stages {
        let Some(name) = &stage.from.value.name else {
            continue;
        };
        let (name, site) = (name.value.as_str(), Site::of(&stage.from).without_comments());
        if RESERVED.contains(&name) {
            let message = format!("Stage name should not use the same name as reserved stage {name:?}");
            sink.warn(Rule::ReservedStageName, site, message);
        }
        if !seen.insert(name) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            sink.warn(Rule::DuplicateStageName, site, message);
        }
    }
}

/// ARGs in front of the first FROM are neither counted nor judged, as in BuildKit.
fn check_casing(dockerfile: &Dockerfile, sink: &mut Sink) {
    let keywords: Vec<(&str, Site<'_>)> = dockerfile
        .stages
        .iter()
        .flat_map(|stage| {
            let instructions = stage
                .instructions
                .iter()
                .map(|instruction| (keyword(instruction), Site::of(instruction)));
            std::iter::once((keyword(&stage.from), Site::of(&stage.from))).chain(instructions)
        })
        .collect();
    let count = |wanted: Case| {
        keywords
            .iter()
            .filter(|(keyword, _)| case(keyword).as_ref() == Some(&wanted))
            .count()
    };
    let (majority, name) = match count(Case::Lower) > count(Case::Upper) {
        true => (Case::Lower, "lowercase"),
        false => (Case::Upper, "uppercase"),
    };
    for (keyword, site) in keywords {
        if case(keyword).as_ref() != Some(&majority) {
            let message =
                format!("Command '{keyword}' should match the case of the command majority ({name})");
            sink.warn(
                Rule::ConsistentInstructionCasing,
                site.without_comments(),
                message,
            );
        }
    }
}
