//! The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`.
//!
//! `*` is any text and `?` any character, neither across a line end. `\` takes the meaning from `*`, `?` and itself.
//! BuildKit hands these patterns to a regular expression engine whose choice among several matches is visible in the
//! result, so the same is done here.

use super::lexer::expect_length;
use regex_lite::Regex;

use super::ExpandError;

/// Which of several matches of `*` is taken.
#[derive(Clone, Copy, PartialEq)]
enum Star {
    Shortest,
    Longest,
}

pub(super) fn trim_start(value: &str, pattern: &str, longest: bool) -> Result<String, ExpandError> {
    let star = if longest { Star::Longest } else { Star::Shortest };
    let regex = compile(pattern, star, "^")?;
    Ok(regex
        .find(value)
        .map_or(value, |found| &value[found.end()..])
        .to_owned())
}

/// Reverses both value and pattern, since an expression finds the shortest match at the start only.
pub(super) fn trim_end(value: &str, pattern: &str, longest: bool) -> Result<String, ExpandError> {
    let reversed: String = value.chars().rev().collect();
    let trimmed = trim_start(&reversed, &reverse_pattern(pattern), longest)?;
    Ok(trimmed.chars().rev().collect())
}

/// Replaces the first match, or every one. Only then `$1` and the like in the replacement stand for groups, of which a
/// pattern has none: BuildKit's two cases differ so.
pub(super) fn replace(
    value: &str,
    pattern: &str,
    replacement: &str,
    every: bool,
    most: usize,
) -> Result<String, ExpandError> {
    let regex = compile(pattern, Star::Longest, "")?;
    if every {
        let matches = regex.find_iter(value).count();
        expect_length(value.len() + matches.saturating_mul(replacement.len()), most)?;
        return Ok(regex.replace_all(value, replacement).into_owned());
    }
    Ok(match regex.find(value) {
        Some(found) => [&value[..found.start()], replacement, &value[found.end()..]].concat(),
        None => value.to_owned(),
    })
}

fn compile(pattern: &str, star: Star, anchor: &str) -> Result<Regex, ExpandError> {
    let invalid = |reason: String| ExpandError::InvalidPattern {
        pattern: pattern.to_owned(),
        reason,
    };
    let mut expression = anchor.to_owned();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' if star == Star::Longest => expression.push_str(".*"),
            '*' => expression.push_str(".*?"),
            '?' => expression.push('.'),
            // These two are escaped because they would end the pattern; the escape is no part of it.
            '\\' if matches!(characters.peek(), Some('}' | '/')) => {}
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '?' | '\\')) => push_literal(&mut expression, escaped),
                Some(other) => return Err(invalid(format!("invalid escape `\\{other}`"))),
                None => return Err(invalid("nothing after `\\`".to_owned())),
            },
            literal => push_literal(&mut expression, literal),
        }
    }
    Regex::new(&expression).map_err(|error| invalid(error.to_string()))
}

fn push_literal(expression: &mut String, literal: char) {
    expression.push_str(&regex_lite::escape(literal.encode_utf8(&mut [0; 4])));
}

/// Reverses a pattern but keeps each escape in front of what it escapes.
fn reverse_pattern(pattern: &str) -> String {
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let escaped = if character == '\\' {
            characters.next()
        } else {
            None
        };
        parts.push((character, escaped));
    }
    let with_escape = |(character, escaped): (char, Option<char>)| std::iter::once(character).chain(escaped);
    parts.into_iter().rev().flat_map(with_escape).collect()
}
