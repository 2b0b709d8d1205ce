use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use onlay_dockerfile::{
    BaseImage, Dockerfile, Escape, ExpandedInstruction, IgnoreList, Instruction, LintOptions, LintedStages,
    Located, SourceFile, expand_heredoc, expand_word, expand_words, lint, normalise, outline,
    parse_instructions, targets,
};

/// Reads a Dockerfile, expands what is in it in a scope of `NAME=value` lines that follow a NUL byte, and lints it.
///
/// Every span lies within the text, every message and result can be printed, and the normal form reads back as the
/// same instructions.
pub fn dockerfile(bytes: &[u8]) {
    let (text, scope) = super::parts(bytes);
    let scope = variables(scope);
    let source = SourceFile::new("Dockerfile", text);
    match Dockerfile::parse(source.clone()) {
        Ok(dockerfile) => use_dockerfile(dockerfile, &scope),
        Err(diagnostics) => use_diagnostics(diagnostics, text.len()),
    }
    match parse_instructions(source) {
        Ok(instructions) => use_instructions(&instructions, &scope),
        Err(diagnostics) => use_diagnostics(diagnostics, text.len()),
    }
    if let Ok(word) = str::from_utf8(text) {
        use_word(word, &scope);
    }
}

type Variables = BTreeMap<String, String>;

fn variables(lines: &[u8]) -> Variables {
    let lines = String::from_utf8_lossy(lines);
    let assignments = lines.lines().filter_map(|line| line.split_once('='));
    assignments
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn use_dockerfile(mut dockerfile: Dockerfile, scope: &Variables) {
    let length = dockerfile.source.text().len();
    for stages in [LintedStages::All, LintedStages::Needed] {
        for is_known in [true, false] {
            use_lint(&dockerfile, scope, stages, is_known);
        }
    }
    assert!(serde_json::to_string(&targets(&dockerfile)).is_ok());
    targets(&dockerfile).render();
    let find = |name: &str| scope.get(name).cloned();
    for stage in &dockerfile.stages {
        use_from(stage.from.expand(&find).err(), length);
        stage.description();
        use_instructions(&stage.instructions, scope);
    }
    forget_sources(&mut dockerfile);
    check_spans(&dockerfile, length);
}

fn use_from(error: Option<onlay_dockerfile::Diagnostics>, length: usize) {
    if let Some(diagnostics) = error {
        use_diagnostics(diagnostics, length);
    }
}

fn use_lint(dockerfile: &Dockerfile, scope: &Variables, stages: LintedStages, is_known: bool) {
    let patterns: Vec<String> = scope.keys().cloned().collect();
    let matches = |path: &str| patterns.iter().any(|pattern| path.ends_with(pattern.as_str()));
    let base = BaseImage {
        environment: scope.clone().into_iter().collect(),
        ..BaseImage::default()
    };
    let options = LintOptions {
        build_arguments: scope,
        predefined: scope,
        target: scope.get("target").map(String::as_str),
        stages,
        bases: &|_| is_known.then(|| base.clone()),
        ignore: Some(IgnoreList {
            patterns: &patterns,
            matches: &matches,
        }),
    };
    let Ok(report) = lint(dockerfile, &options) else {
        return;
    };
    let length = dockerfile.source.text().len();
    for warning in &report.warnings {
        assert!(warning.span.start <= warning.span.end && warning.span.end <= length);
        assert!(*warning.lines().end() <= dockerfile.source.line_count());
        assert!(!warning.render().is_empty() && !warning.summary().is_empty());
    }
    assert!(serde_json::to_string(&report).is_ok());
    if let Ok(outline) = outline(dockerfile, &options) {
        outline.render();
        assert!(serde_json::to_string(&outline).is_ok());
    }
}

fn use_diagnostics(mut diagnostics: onlay_dockerfile::Diagnostics, length: usize) {
    assert!(!diagnostics.0.is_empty(), "refused without a reason");
    for diagnostic in &mut diagnostics.0 {
        assert!(!diagnostic.render().is_empty());
        diagnostic.source_file = blank();
    }
    check_spans(&diagnostics, length);
}

fn use_instructions(instructions: &[Located<Instruction>], scope: &Variables) {
    let Some(first) = instructions.first() else { return };
    let length = first.source.text().len();
    for instruction in instructions {
        let expanded = instruction.expand(&|name: &str| scope.get(name).cloned());
        if let Err(diagnostics) = expanded {
            use_diagnostics(diagnostics, length);
        }
        let lines = instruction.lines();
        assert!(lines.start() <= lines.end() && *lines.end() <= instruction.source.line_count());
        let mut instruction = instruction.clone();
        instruction.source = blank();
        check_spans(&instruction, length);
    }
    let normal = normalise(instructions);
    let again = parse_instructions(SourceFile::new("normal form", normal.as_str()))
        .unwrap_or_else(|error| panic!("{normal:?} does not read back: {error}"));
    assert_eq!(normalise(&again), normal);
    assert_eq!(
        meanings(instructions, scope),
        meanings(&again, scope),
        "{normal:?}"
    );
}

/// What instructions say, wherever they stand.
fn meanings(instructions: &[Located<Instruction>], scope: &Variables) -> Vec<Option<ExpandedInstruction>> {
    let find = |name: &str| scope.get(name).cloned();
    instructions
        .iter()
        .map(|instruction| instruction.expand(&find).ok())
        .collect()
}

fn use_word(word: &str, scope: &Variables) {
    let find = |name: &str| scope.get(name).cloned();
    for escape in [Escape::Backslash, Escape::Backtick] {
        let _ = expand_word(word, &find, escape);
        let _ = expand_words(word, &find, escape);
    }
    let _ = expand_heredoc(word, &find);
}

fn blank() -> Arc<SourceFile> {
    Arc::new(SourceFile::new("", ""))
}

/// The text has no spans, and its debug form would be the longest part of all.
fn forget_sources(dockerfile: &mut Dockerfile) {
    dockerfile.source = blank();
    for argument in &mut dockerfile.global_args {
        argument.source = blank();
    }
    for stage in &mut dockerfile.stages {
        stage.from.source = blank();
        stage.instructions.clear();
    }
}

/// Checks every span that a value holds, however deep, told by its debug form.
fn check_spans(value: &impl Debug, length: usize) {
    let text = format!("{value:?}");
    for span in text.split("Span { start: ").skip(1) {
        let Some((start, rest)) = span.split_once(", end: ") else {
            continue;
        };
        let end = rest.split(' ').next().and_then(|end| end.parse().ok());
        let (Ok(start), Some(end)) = (start.parse::<usize>(), end) else {
            // A user's own text that looks like one.
            continue;
        };
        assert!(start <= end && end <= length, "span {start} to {end} of {length}");
    }
}
