use super::missing_arguments;
use crate::diagnostic::Report;
use crate::evaluate::Evaluation;
use crate::expand::Scope;
use crate::flags::Flags;
use crate::source::{Span, Spanned};
use crate::statement::Statement;

/// `ENV key=value ...`, or the old `ENV key the rest of the line`.
#[derive(Debug, Clone, PartialEq)]
pub struct Env {
    /// The variables in the order of the line; none of them sees the new value of another.
    pub variables: Vec<Assignment>,
    /// Whether the old form is used.
    pub is_legacy_form: bool,
}

/// `LABEL key=value ...`, or the old `LABEL key the rest of the line`.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The labels in the order of the line.
    pub labels: Vec<Assignment>,
    /// Whether the old form is used.
    pub is_legacy_form: bool,
}

/// A key and a value, quotes, escapes and variables still in them.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The key.
    pub key: Spanned<String>,
    /// The value.
    pub value: Spanned<String>,
}

/// `ARG name[=default] ...`
#[derive(Debug, Clone, PartialEq)]
pub struct Arg {
    /// The arguments in the order of the line; each sees those before it.
    pub arguments: Vec<ArgDefinition>,
}

/// One argument of an [`Arg`].
#[derive(Debug, Clone, PartialEq)]
pub struct ArgDefinition {
    /// The name, which is never expanded.
    pub name: Spanned<String>,
    /// The default, quotes, escapes and variables still in it.
    pub default: Option<Spanned<String>>,
}

/// An argument and the value that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandedArg {
    /// The name.
    pub name: String,
    /// The value from outside, else the default, else the value of the global argument, else none: then it is unset.
    pub value: Option<String>,
}

impl Env {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        let (variables, is_legacy_form) = parse_pairs(statement, report)?;
        Some(Self {
            variables,
            is_legacy_form,
        })
    }
}

impl Label {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        let (labels, is_legacy_form) = parse_pairs(statement, report)?;
        Some(Self {
            labels,
            is_legacy_form,
        })
    }
}

impl Arg {
    /// Flags are dropped unread, as in BuildKit.
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        let words = statement.quoted_words();
        if words.is_empty() {
            missing_arguments(statement, report, "at least one argument");
        }
        let arguments = words
            .into_iter()
            .filter_map(|word| ArgDefinition::parse(word, report))
            .collect();
        Some(Self { arguments })
    }

    /// Gives each argument its value.
    pub(super) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Vec<ExpandedArg> {
        let mut arguments = Vec::<ExpandedArg>::new();
        for definition in &self.arguments {
            let name = definition.name.value.clone();
            let scope = evaluation.scope;
            let value = match (scope.build_argument(&name), &definition.default) {
                (Some(given), _) => Some(given.into_owned()),
                (None, Some(default)) => evaluation.word_in(default, &|name: &str| {
                    latest(&arguments, name).or_else(|| variable(scope, name))
                }),
                (None, None) => scope.global_argument(&name).map(|value| value.into_owned()),
            };
            arguments.push(ExpandedArg { name, value });
        }
        arguments
    }
}

impl ArgDefinition {
    fn parse(word: Spanned<String>, report: &mut Report) -> Option<Self> {
        let Some((name, default)) = split_at_equals(&word) else {
            return Some(Self {
                name: word,
                default: None,
            });
        };
        if name.value.is_empty() {
            blank_name("ARG", word.span, report);
            return None;
        }
        Some(Self {
            name,
            default: Some(default),
        })
    }
}

pub(super) fn evaluate(pairs: &[Assignment], evaluation: &mut Evaluation<'_>) -> Vec<(String, String)> {
    let expand = |pair: &Assignment| {
        let (key, value) = (evaluation.word(&pair.key), evaluation.word(&pair.value));
        Some((key?, value?))
    };
    pairs.iter().filter_map(expand).collect()
}

fn variable(scope: &dyn Scope, name: &str) -> Option<String> {
    scope.variable(name).map(|value| value.into_owned())
}

/// The value that an earlier argument of the line has given to a name.
fn latest(arguments: &[ExpandedArg], name: &str) -> Option<String> {
    arguments
        .iter()
        .rev()
        .find(|argument| argument.name == name && argument.value.is_some())?
        .value
        .clone()
}

pub(super) fn parse_pairs(statement: &Statement<'_>, report: &mut Report) -> Option<(Vec<Assignment>, bool)> {
    Flags::none(statement, report);
    let words = statement.quoted_words();
    let Some(first) = words.first() else {
        missing_arguments(statement, report, "at least one argument");
        return None;
    };
    if !first.value.contains('=') {
        return Some((vec![parse_legacy(statement, report)?], true));
    }
    Some((
        words
            .into_iter()
            .filter_map(|word| parse_pair(word, statement, report))
            .collect(),
        false,
    ))
}

fn parse_pair(word: Spanned<String>, statement: &Statement<'_>, report: &mut Report) -> Option<Assignment> {
    let keyword = statement.keyword().to_ascii_uppercase();
    let Some((key, value)) = split_at_equals(&word) else {
        let hint = Some(format!(
            "write `{keyword} name=value`, with quotes around a value that has spaces"
        ));
        report.error_with_hint(word.span, format!("missing `=` in `{}`", word.value), hint);
        return None;
    };
    if key.value.is_empty() {
        blank_name(&keyword, word.span, report);
        return None;
    }
    Some(Assignment { key, value })
}

/// The old form: the first word is the key, all after the blanks behind it the value.
fn parse_legacy(statement: &Statement<'_>, report: &mut Report) -> Option<Assignment> {
    let text = statement.arguments();
    let whole = statement.words();
    let (Some(key), Some(second)) = (whole.first(), whole.get(1)) else {
        let keyword = statement.keyword().to_ascii_uppercase();
        let hint = Some(format!("write `{keyword} {text}=value`"));
        report.error_with_hint(
            statement.blame(),
            format!("{keyword} requires a name and a value"),
            hint,
        );
        return None;
    };
    let start = text[key.value.len()..].trim_start_matches(crate::words::is_separator);
    let end = statement.blame().end;
    let value = Spanned::new(start.to_owned(), Span::new(second.span.start, end));
    Some(Assignment {
        key: key.clone(),
        value,
    })
}

fn split_at_equals(word: &Spanned<String>) -> Option<(Spanned<String>, Spanned<String>)> {
    let (key, value) = word.value.split_once('=')?;
    let (key_span, value_span) = (
        word.part(0..key.len()),
        word.part(key.len() + 1..word.value.len()),
    );
    Some((
        Spanned::new(key.to_owned(), key_span),
        Spanned::new(value.to_owned(), value_span),
    ))
}

fn blank_name(keyword: &str, span: Span, report: &mut Report) {
    report.error(span, format!("{keyword} requires a name in front of `=`"));
}
