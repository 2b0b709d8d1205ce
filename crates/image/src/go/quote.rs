use std::fmt::Write as _;

/// Prints a text as Go's `%q` does: in double quotes, with what is not printable escaped.
///
/// Source: Go `strconv.Quote`, `strconv.IsPrint`.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        push_escaped(&mut quoted, character);
    }
    quoted.push('"');
    quoted
}

fn push_escaped(quoted: &mut String, character: char) {
    let code = u32::from(character);
    // Writing to a string does not fail.
    let _ = match character {
        '"' | '\\' => write!(quoted, "\\{character}"),
        '\u{7}' => quoted.write_str("\\a"),
        '\u{8}' => quoted.write_str("\\b"),
        '\u{c}' => quoted.write_str("\\f"),
        '\n' => quoted.write_str("\\n"),
        '\r' => quoted.write_str("\\r"),
        '\t' => quoted.write_str("\\t"),
        '\u{b}' => quoted.write_str("\\v"),
        '\0'..' ' | '\u{7f}' => write!(quoted, "\\x{code:02x}"),
        _ if is_printable(character) => quoted.write_char(character),
        _ if code < 0x10000 => write!(quoted, "\\u{code:04x}"),
        _ => write!(quoted, "\\U{code:08x}"),
    };
}

/// Tells whether Go calls a character printable: letters, marks, numbers, punctuation, symbols, and the ASCII space.
///
/// The standard library of Rust draws the same line for its debug output and keeps the table for it, but shows it only
/// through `escape_debug`. There a mark that would combine with the opening quote is escaped as well, hence the letter
/// in front.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    let text = format!("a{character}");
    text.escape_debug().eq(text.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go_does() {
        let check = |text: &str, expected: &str| assert_eq!(quote(text), expected, "{text:?}");
        check("", r#""""#);
        check("a b", r#""a b""#);
        check("it's", r#""it's""#);
        check(r#"say "x" \n"#, r#""say \"x\" \\n""#);
        check("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#);
        check("\0\u{1b}\u{1f}\u{7f}", r#""\x00\x1b\x1f\x7f""#);
        check("<&>$`", r#""<&>$`""#);
        check("é日😀", r#""é日😀""#);
        // A combining mark is printable, at the start too.
        check("\u{301}e\u{301}", "\"\u{301}e\u{301}\"");
        check(
            "\u{80}\u{a0}\u{ad}\u{2028}\u{feff}",
            r#""\u0080\u00a0\u00ad\u2028\ufeff""#,
        );
        check("\u{fffd}", "\"\u{fffd}\"");
        check("\u{e000}\u{10ffff}", r#""\ue000\U0010ffff""#);
    }
}
