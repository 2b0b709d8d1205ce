use super::*;

/// `A` is `value`, `E` is empty, `P` is a path, `S` has spaces; nothing else is set.
fn scope(name: &str) -> Option<String> {
    let value = match name {
        "A" => "value",
        "E" => "",
        "P" => "/usr/lib/x.tar.gz",
        "S" => "one two",
        "D" => "$1",
        "N" => "a\nb",
        "É" => "accent",
        _ => return None,
    };
    Some(value.to_owned())
}

fn check(word: &str, expected: &str) {
    assert_eq!(
        expand_word(word, &scope, Escape::Backslash).as_deref(),
        Ok(expected),
        "{word}"
    );
}

#[test]
fn plain_variables() {
    check("", "");
    check("$A", "value");
    check("${A}", "value");
    check("a$A-b", "avalue-b");
    check("$U", "");
    check("${U}", "");
    check("$", "$");
    check("a$ b", "a$ b");
    check("$.", "$.");
    check("$É", "accent");
    check("$S", "one two");
}

#[test]
fn special_parameters_are_unset() {
    check("$$", "");
    check("$$A", "A");
    check("$1", "");
    check("$12A", "A");
    check("$0$@$*$#$?$-$!", "");
    check("${1}", "");
}

#[test]
fn quotes_and_escapes() {
    check("'$A'", "$A");
    check("'a\\b'", "a\\b");
    check("\"$A 'x'\"", "value 'x'");
    check("\"\\$A \\\" \\\\ \\n\"", "$A \" \\ \\n");
    check("\\$A", "$A");
    check("\\a\\'\\\\", "a'\\");
    check("a\\", "a");
    check("\"a\"'b'c", "abc");
    check("\"\"", "");
}

#[test]
fn the_escape_character_can_be_a_backtick() {
    let check = |word: &str, expected: &str| {
        assert_eq!(
            expand_word(word, &scope, Escape::Backtick).as_deref(),
            Ok(expected),
            "{word}"
        );
    };
    check("C:\\dir", "C:\\dir");
    check("`$A", "$A");
    check("\"`\" \\\"", "\" \\");
}

#[test]
fn conditions_on_set_and_empty() {
    check("${A:-w}", "value");
    check("${E:-w}", "w");
    check("${U:-w}", "w");
    check("${A-w}", "value");
    check("${E-w}", "");
    check("${U-w}", "w");
    check("${A:+w}", "w");
    check("${E:+w}", "");
    check("${U:+w}", "");
    check("${A+w}", "w");
    check("${E+w}", "w");
    check("${U+w}", "");
    check("${A:?w}", "value");
    check("${A?w}", "value");
    check("${E?w}", "");
    check("${U:-}", "");
}

#[test]
fn words_are_expanded_in_turn() {
    check("${U:-$A}", "value");
    check("${U:-${V:-${A}}}", "value");
    check("${U:-\"a } b\"}", "a } b");
    check("${U:-'$A'}", "$A");
    check("${U:-\\}}", "}");
    check("${U:-a b}", "a b");
}

#[test]
fn prefixes_and_suffixes() {
    check("${P#*/}", "usr/lib/x.tar.gz");
    check("${P##*/}", "x.tar.gz");
    check("${P%.*}", "/usr/lib/x.tar");
    check("${P%%.*}", "/usr/lib/x");
    check("${P%/*}", "/usr/lib");
    check("${P#x}", "/usr/lib/x.tar.gz");
    check("${A#v?l}", "ue");
    check("${A%?}", "valu");
    check("${A#$A}", "");
    check("${A#\\*}", "value");
    check("${U#x}", "");
    check("${A#[v]}", "value");
    check("${N##*}", "\nb");
    check("${N%%*}", "a\n");
    check("${A#*a}", "lue");
    check("${A%\\?}", "value");
}

#[test]
fn replacements() {
    check("${A/a/b}", "vblue");
    check("${P/\\//_}", "_usr/lib/x.tar.gz");
    check("${P//\\//_}", "_usr_lib_x.tar.gz");
    check("${A/l*/}", "va");
    check("${A//?/x}", "xxxxx");
    check("${A/z/y}", "value");
    check("${U/a/b}", "");
    check("${A/$A/$E}", "");
    // The escape of a slash stays in the replacement, as in BuildKit.
    check("${A/a/\\/}", "v\\/lue");
    // Only where every match is replaced does `$1` in the replacement name a group, of which there is none.
    check("${A/a/$D}", "v$1lue");
    check("${A//a/$D}", "vlue");
}

#[test]
fn errors() {
    let check = |word: &str, expected: &str| {
        let error = expand_word(word, &scope, Escape::Backslash).unwrap_err();
        assert_eq!(error.to_string(), expected, "{word}");
    };
    check("\"a", "missing the closing double quote");
    check("a'b", "missing the closing single quote");
    check("${}", "bad substitution: expected a variable name after `${`");
    check("${:x}", "bad substitution: expected a variable name after `${`");
    check("${{A}}", "bad substitution: expected a variable name after `${`");
    check("${", "missing `}` to end the substitution");
    check("${B", "missing `}` to end the substitution");
    check("${B:", "missing `}` to end the substitution");
    check("${B:}", "missing `}` to end the substitution");
    check("${A:+", "missing `}` to end the substitution");
    check("${A:-\"x}", "missing the closing double quote");
    check("${B:?}", "B: is not allowed to be unset");
    check("${E:?}", "E: is not allowed to be empty");
    check("${B?}", "B: is not allowed to be unset");
    check("${B:?set $A}", "B: set value");
    check("${A@Q}", "unsupported modifier `@` in the substitution");
    check("${A:0:1}", "unsupported modifier `:0` in the substitution");
    check("${A:#x}", "unsupported modifier `:#` in the substitution");
    check("${a.b}", "unsupported modifier `.` in the substitution");
    check("${A/x}", "missing `/` in front of the replacement in `${A/...}`");
    check("${A/x/", "missing `}` to end the substitution");
    check(
        "${A#\\x}",
        "invalid pattern `\\x` in the substitution: invalid escape `\\x`",
    );
    check(
        &("${A:-".repeat(200) + &"}".repeat(200)),
        "substitutions are nested more than 100 levels deep",
    );
}

#[test]
fn words_are_split_after_expansion() {
    let check = |word: &str, expected: &[&str]| {
        assert_eq!(
            expand_words(word, &scope, Escape::Backslash).unwrap(),
            expected,
            "{word}"
        );
    };
    check("", &[]);
    check("80", &["80"]);
    check("$S", &["one", "two"]);
    check("x$S", &["xone", "two"]);
    check("\"$S\"", &["one two"]);
    check("a\\ b", &["a b"]);
    check("$U", &[]);
    check("\"\"", &[]);
    check("${U:-80 81}", &["80", "81"]);
    // What stands in front of such a form is lost, as in BuildKit.
    check("8${U:-0}", &["0"]);
}

#[test]
fn heredoc_bodies_keep_quotes_and_lose_escapes() {
    let check =
        |body: &str, expected: &str| assert_eq!(expand_heredoc(body, &scope).unwrap(), expected, "{body}");
    check("it's \"$A\"\n", "it's \"value\"\n");
    check("a\\nb \\\\ \\$A\n", "anb \\ $A\n");
    check("<<x ${U:-d}\n", "<<x d\n");
}
