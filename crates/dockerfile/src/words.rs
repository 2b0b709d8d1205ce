//! Two ways to cut arguments into words.

use std::ops::Range;

/// The blanks between a keyword and most arguments; other white space of Unicode is none.
pub(crate) fn is_separator(character: char) -> bool {
    matches!(character, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// White space of ASCII, all that counts between flags and behind the type of a HEALTHCHECK.
pub(crate) fn is_ascii_blank(character: char) -> bool {
    character.is_ascii() && character.is_whitespace()
}

/// Cuts a text at blanks and says where each word stands; quotes mean nothing.
pub(crate) fn split_at_blanks(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut position = 0;
    for word in text.split(is_separator) {
        words.extend((!word.is_empty()).then_some(position..position + word.len()));
        // Every separator is one byte long.
        position += word.len() + 1;
    }
    words
}

/// Cuts a text at white space outside quotes, as ENV, LABEL and ARG do; quotes and escapes are kept. An escape at the
/// very end is dropped.
///
/// Braces mean nothing here, so that `${A:-b c}` is two words, as it is for BuildKit.
pub(crate) fn split(text: &str, escape: char) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((offset, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            words.extend(start.take().map(|start| start..offset));
            continue;
        }
        let begins = start.is_none();
        start.get_or_insert(offset);
        if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && matches!(character, '\'' | '"') {
            quote = Some(character);
        } else if character == escape && quote != Some('\'') && characters.next().is_none() {
            let is_word = !begins;
            words.extend(start.filter(|_| is_word).map(|start| start..offset));
            return words;
        }
    }
    words.extend(start.map(|start| start..text.len()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_unquoted_white_space() {
        let check = |text: &str, expected: &[&str]| {
            let words: Vec<_> = split(text, '\\').into_iter().map(|range| &text[range]).collect();
            assert_eq!(words, expected, "{text:?}");
        };
        check("", &[]);
        check("a=1  b=2", &["a=1", "b=2"]);
        check("a='1 2' b=\"3 4\"", &["a='1 2'", "b=\"3 4\""]);
        check("a=1\\ 2 b", &["a=1\\ 2", "b"]);
        check("a=\"\\\" b\" c", &["a=\"\\\" b\"", "c"]);
        check("a='\\' b", &["a='\\'", "b"]);
        check("a=\\' b", &["a=\\'", "b"]);
        check("a=\"open b", &["a=\"open b"]);
        check("a=${B:?need B}", &["a=${B:?need", "B}"]);
        check("a=1\\", &["a=1"]);
        check("\\", &[]);
        check("a=\u{a0}b", &["a=", "b"]);
    }
}
