//! Flags: the `--name[=value]` words between a keyword and its arguments.

use std::ops::Range;

use crate::diagnostic::Report;
use crate::source::Spanned;
use crate::statement::Statement;
use crate::suggest;
use crate::words::is_ascii_blank;

/// A flag with quotes and escapes removed, and where it stands in the text of the line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawFlag {
    pub(crate) text: String,
    pub(crate) range: Range<usize>,
    /// Where the first `=` stands.
    equals: Option<usize>,
}

/// A flag that an instruction knows.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// `--link`, `--link=true`, `--link=false`.
    Switch,
    /// `--chown=value`, once.
    Value,
    /// `--mount=value`, as often as wanted.
    List,
}

/// The flags of one instruction, checked against those it knows.
pub(crate) struct Flags {
    values: Vec<(&'static str, Spanned<String>)>,
}

pub(crate) const fn switch(name: &'static str) -> Known {
    Known {
        name,
        kind: Kind::Switch,
    }
}

pub(crate) const fn value(name: &'static str) -> Known {
    Known {
        name,
        kind: Kind::Value,
    }
}

pub(crate) const fn list(name: &'static str) -> Known {
    Known {
        name,
        kind: Kind::List,
    }
}

/// Reads the flags from `start` on and says where the arguments are.
///
/// Quotes and escapes work within a flag. A word `--` ends the flags and is dropped.
pub(crate) fn scan(text: &str, start: usize, escape: char) -> (Vec<RawFlag>, Range<usize>) {
    let mut flags = Vec::new();
    let mut position = start;
    loop {
        position = text.len() - text[position..].trim_start_matches(is_ascii_blank).len();
        if !text[position..].starts_with("--") {
            let start = text.len() - text[position..].trim_start().len();
            return (flags, start..text.len());
        }
        let flag = scan_one(text, position, escape);
        position = flag.range.end;
        if flag.text == "--" {
            let start = text.len() - text[position..].trim_start().len();
            return (flags, start..text.len());
        }
        flags.push(flag);
    }
}

fn scan_one(text: &str, start: usize, escape: char) -> RawFlag {
    let mut flag = RawFlag {
        text: String::new(),
        range: start..text.len(),
        equals: None,
    };
    let mut quote = None;
    let mut characters = text[start..].char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            _ if quote == Some(character) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(character),
            _ if character == escape => flag.text.extend(characters.next().map(|(_, escaped)| escaped)),
            _ if quote.is_none() && is_ascii_blank(character) => {
                flag.range.end = start + offset;
                break;
            }
            _ => {
                if character == '=' && flag.equals.is_none() {
                    flag.equals = Some(start + offset);
                }
                flag.text.push(character);
            }
        }
    }
    flag
}

impl Flags {
    /// Checks the flags of a statement; each one that is wrong is reported.
    pub(crate) fn parse(statement: &Statement<'_>, known: &[Known], report: &mut Report) -> Self {
        let mut flags = Self { values: Vec::new() };
        for raw in &statement.flags {
            flags.accept(raw, statement, known, report);
        }
        flags
    }

    /// Reports every flag of an instruction that has none.
    pub(crate) fn none(statement: &Statement<'_>, report: &mut Report) {
        Self::parse(statement, &[], report);
    }

    pub(crate) fn value(&self, name: &str) -> Option<Spanned<String>> {
        self.list(name).into_iter().next()
    }

    pub(crate) fn list(&self, name: &str) -> Vec<Spanned<String>> {
        self.values
            .iter()
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// Whether a switch is on or off, or nothing where it is not given.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        self.value(name)
            .map(|value| !value.value.eq_ignore_ascii_case("false"))
    }

    fn accept(&mut self, raw: &RawFlag, statement: &Statement<'_>, known: &[Known], report: &mut Report) {
        let keyword = statement.keyword().to_ascii_uppercase();
        let flag = raw.text.split('=').next().unwrap_or_default();
        let name = flag.strip_prefix("--").unwrap_or(flag);
        let name_span = statement
            .line
            .span_of(raw.range.start..raw.equals.unwrap_or(raw.range.end));
        let Some(found) = known.iter().find(|known| known.name == name) else {
            let hint = suggest::hint(name, known.iter().map(|known| known.name), "--");
            return report.error_with_hint(name_span, format!("unknown flag `{flag}` for {keyword}"), hint);
        };
        let is_repeated = self.values.iter().any(|(earlier, _)| *earlier == found.name);
        if is_repeated && found.kind != Kind::List {
            return report.error(name_span, format!("duplicate flag `{flag}` for {keyword}"));
        }
        let value = raw.text.split_once('=').map(|(_, value)| value);
        let value_span = raw.equals.map_or(name_span, |equals| {
            statement.line.span_of(equals + 1..raw.range.end)
        });
        match found.kind.check(flag, value) {
            Ok(value) => self
                .values
                .push((found.name, Spanned::new(value.to_owned(), value_span))),
            Err((message, hint)) => {
                let span = if value.unwrap_or_default().is_empty() {
                    name_span
                } else {
                    value_span
                };
                report.error_with_hint(span, message, hint);
            }
        }
    }
}

impl Kind {
    /// The value that a flag gets, or a message and a hint.
    fn check<'a>(self, flag: &str, value: Option<&'a str>) -> Result<&'a str, (String, Option<String>)> {
        let missing = |hint: String| Err((format!("missing a value for flag `{flag}`"), Some(hint)));
        match (self, value) {
            (Self::Switch, None) => Ok("true"),
            (Self::Switch, Some("")) => missing(format!("write `{flag}` or `{flag}=false`")),
            (Self::Switch, Some(value)) if ["true", "false"].contains(&&*value.to_ascii_lowercase()) => {
                Ok(value)
            }
            (Self::Switch, Some(value)) => Err((
                format!("expected `true` or `false` for flag `{flag}`, found `{value}`"),
                None,
            )),
            (Self::Value | Self::List, None) => missing(format!("write `{flag}=VALUE`")),
            (Self::Value | Self::List, Some(value)) => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_end_where_arguments_begin() {
        let check = |text: &str, expected: &[&str], arguments: &str| {
            let (flags, range) = scan(text, 0, '\\');
            let texts: Vec<_> = flags.iter().map(|flag| flag.text.as_str()).collect();
            assert_eq!((texts.as_slice(), &text[range]), (expected, arguments), "{text}");
        };
        check("", &[], "");
        check("a --b", &[], "a --b");
        check("--a b", &["--a"], "b");
        check("--a  --b=c\t-d", &["--a", "--b=c"], "-d");
        check("--a='b c' d", &["--a=b c"], "d");
        check("--a=\"b\\\"c\" d", &["--a=b\"c"], "d");
        check("--a=b\\ c d", &["--a=b c"], "d");
        check("--a=é d", &["--a=é"], "d");
        check("--a -- --b", &["--a"], "--b");
        check("--", &[], "");
        check("--a=\"b", &["--a=b"], "");
    }
}
