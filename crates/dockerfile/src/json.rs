//! The JSON form of arguments: `["a", "b"]`.

use std::ops::Range;

use serde::de::IgnoredAny;

/// What arguments are when they are looked at as JSON.
#[derive(Debug, PartialEq)]
pub(crate) enum JsonForm {
    /// No valid JSON array: they have another form.
    Absent,
    /// A valid array with an element, in this range, that is not a string.
    NotStrings(Range<usize>),
    /// An array of strings, each with its range in the text, quotes included.
    Strings(Vec<(String, Range<usize>)>),
}

impl JsonForm {
    pub(crate) fn parse(text: &str) -> Self {
        let indentation = text.len() - text.trim_start().len();
        let array = &text[indentation..];
        if !array.starts_with('[') || serde_json::from_str::<Vec<IgnoredAny>>(array).is_err() {
            return Self::Absent;
        }
        Elements {
            text,
            position: indentation + 1,
        }
        .read()
    }
}

/// Walks over the elements of an array that is known to be valid.
struct Elements<'a> {
    text: &'a str,
    position: usize,
}

impl Elements<'_> {
    fn read(mut self) -> JsonForm {
        let mut strings = Vec::new();
        loop {
            self.skip(|byte| byte.is_ascii_whitespace() || byte == b',');
            let start = self.position;
            match self.byte() {
                Some(b']') | None => return JsonForm::Strings(strings),
                Some(b'"') => {
                    let value = self.string();
                    strings.push((value, start..self.position));
                }
                Some(_) => {
                    self.skip(|byte| !matches!(byte, b',' | b']' | b'"'));
                    return JsonForm::NotStrings(start..self.position.max(start + 1));
                }
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip(&mut self, unwanted: impl Fn(u8) -> bool) {
        while self.byte().is_some_and(&unwanted) {
            self.position += 1;
        }
    }

    fn string(&mut self) -> String {
        let mut value = String::new();
        self.position += 1;
        loop {
            let start = self.position;
            self.skip(|byte| byte != b'"' && byte != b'\\');
            value.push_str(&self.text[start..self.position]);
            self.position += 1;
            match self.text.as_bytes().get(self.position - 1) {
                Some(b'\\') => value.push(self.escape()),
                _ => return value,
            }
        }
    }

    fn escape(&mut self) -> char {
        self.position += 1;
        match self.text.as_bytes().get(self.position - 1) {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode(),
            Some(same) => char::from(*same),
            None => char::REPLACEMENT_CHARACTER,
        }
    }

    /// A `\u` escape, or two that make a surrogate pair. Go, and so BuildKit, reads half a pair as U+FFFD.
    fn unicode(&mut self) -> char {
        let first = self.hexadecimal();
        if let Some(character) = char::from_u32(first) {
            return character;
        }
        let after_first = self.position;
        if self.text[self.position..].starts_with("\\u") {
            self.position += 2;
            let second = self.hexadecimal();
            if let Some(Ok(character)) = char::decode_utf16([first as u16, second as u16]).next() {
                return character;
            }
        }
        self.position = after_first;
        char::REPLACEMENT_CHARACTER
    }

    fn hexadecimal(&mut self) -> u32 {
        let digits = self
            .text
            .get(self.position..self.position + 4)
            .unwrap_or_default();
        self.position += digits.len();
        u32::from_str_radix(digits, 16).unwrap_or(u32::from(char::REPLACEMENT_CHARACTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_strings_are_read_as_go_reads_them() {
        let check = |text: &str, expected: &[&str]| match JsonForm::parse(text) {
            JsonForm::Strings(strings) => {
                let values: Vec<_> = strings.iter().map(|(value, _)| value.as_str()).collect();
                assert_eq!(values, expected, "{text}");
            }
            other => panic!("{text}: {other:?}"),
        };
        check("[]", &[]);
        check(" [ \"a\" , \"b\" ]", &["a", "b"]);
        check(r#"["\"\\\/\b\f\n\r\t"]"#, &["\"\\/\u{8}\u{c}\n\r\t"]);
        check(r#"["\u00e9\ud83d\ude00é"]"#, &["é😀é"]);
        check(
            r#"["\ud83d", "\ud83dx", "\ude00\u0041", "\ud83d\u0041"]"#,
            &["\u{fffd}", "\u{fffd}x", "\u{fffd}A", "\u{fffd}A"],
        );
    }

    #[test]
    fn what_is_not_json_has_another_form() {
        let check = |text: &str| assert_eq!(JsonForm::parse(text), JsonForm::Absent, "{text}");
        check("");
        check("a");
        check("['a']");
        check("[\"a\",]");
        check("[\"a\" \"b\"]");
        check("[\"a\"] b");
        check("[\"a\tb\"]");
        check("[/a, /b]");
        check("{\"a\": 1}");
    }

    #[test]
    fn elements_that_are_no_strings_are_found() {
        let check =
            |text: &str, range| assert_eq!(JsonForm::parse(text), JsonForm::NotStrings(range), "{text}");
        check("[1]", 1..2);
        check("[\"a\", null, 2]", 6..10);
        check("[[\"a\"]]", 1..2);
    }
}
