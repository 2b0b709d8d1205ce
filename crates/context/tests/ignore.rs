//! What ignore patterns match, in tables.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use bstr::ByteSlice;
use onlay_context::{Ignore, IgnoreError, PatternError, Verdict, find_ignore_file};
use proptest::prelude::*;

#[track_caller]
fn check(file: &str, ignored: &[&str], kept: &[&str]) {
    let ignore = Ignore::parse(file.as_bytes()).unwrap();
    for path in ignored {
        assert!(ignore.matches(path.as_bytes()), "{file:?} should ignore {path:?}");
    }
    for path in kept {
        assert!(!ignore.matches(path.as_bytes()), "{file:?} should keep {path:?}");
    }
}

#[test]
fn lines() {
    check("", &[], &["a", "", "."]);
    check(
        "\u{feff}a\r\n  b \t\n\n#c\n #d\n",
        &["a", "b", "#d"],
        &["#c", "c", "d"],
    );
    check("a\n\u{feff}b", &["a"], &["b"]);
    check("\u{a0}a\u{a0}", &["a"], &[]);
    check("/a/b/", &["a/b", "a/b/c"], &["a", "b"]);
    check("./a//b/../c/.", &["a/c"], &["a/b"]);
    check("a/..", &[], &["a", "b"]);
    check("../a", &[], &["a"]);
    check("/\n.\n..", &[], &["a"]);
    check("*\n! a \n!/b", &["c"], &["a", "b"]);
    check("*\n!!a", &["a"], &["!a"]);
    check(r"\!a", &["!a"], &["a"]);
    check(r"\#a", &["#a"], &["a"]);
}

#[test]
fn single_components() {
    check("*", &["a", ".a", "a/b"], &[]);
    check("*.go", &["a.go", ".go", "d.go/x"], &["d/a.go", "a.gox", "agoo"]);
    check("a?c", &["abc", "aéc", "a.c"], &["ac", "a/c", "abbc"]);
    check("a*c", &["ac", "abbc", "a\nc"], &["a/c", "acd"]);
    check("*/temp*", &["x/temporary.txt", "x/temp"], &["temp", "x/y/temp"]);
    check("*/*/temp*", &["x/y/temporary.txt"], &["x/temp", "x/y/z/temp"]);
    check("[a-c]x", &["ax", "bx"], &["dx", "x"]);
    check("[^a-c]x", &["dx", "éx", "/x"], &["ax", "x"]);
    check("[!a]x", &["!x", "ax"], &["bx"]);
    check("[.]x", &[".x"], &["ax"]);
    check(r"[\]\-a]x", &["]x", "-x", "ax"], &[r"\x", "bx"]);
    check("[[]x", &["[x"], &["x"]);
    check("x]", &["x]"], &["x"]);
    check(r"a\*b", &["a*b"], &["axb"]);
    check(r"a\\b", &[r"a\b"], &["ab"]);
    check("a.b+c(d)|{e}$", &["a.b+c(d)|{e}$"], &["axb+c(d)|{e}$"]);
    check("a.b*", &["a.bc"], &["axbc"]);
    check(
        "*a*a*a*a*a*a*a*a*b",
        &["aaaaaaaab"],
        &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"],
    );
}

#[test]
fn deep_patterns() {
    check("**", &["a", "a/b", ".x"], &[]);
    check("**/", &["a", "a/b"], &[]);
    check("**/a", &["a", "b/a", "b/c/a", "a/x"], &["ba", "ab"]);
    check("**a", &["a", "ba", "b/ca"], &["ab"]);
    check("**/*.go", &["a.go", "b/a.go", "b/c/.go"], &["a.gox"]);
    check("a/**", &["a/b", "a/b/c"], &["a", "ab"]);
    check("a**", &["a", "ab", "a/b", "ab/c"], &["b"]);
    check(
        "a/**/b",
        &["a/b", "a/x/b", "a/x/y/b", "a/b/c"],
        &["a", "ab", "a/bb"],
    );
    check("**/a/**", &["a/b", "x/a/b", "x/a/b/c"], &["a", "x/a", "xa/b"]);
    check("**/a/*", &["a/b", "x/a/b"], &["a"]);
    check("a/**/*.o", &["a/x.o", "a/b/x.o"], &["x.o", "a/x"]);
    check("***", &["a", "a/b"], &[]);
    check("a/***/b", &["a/x/b", "a/x/y/b"], &["a/b"]);
    check("**/**/a", &["a", "x/a"], &["xa"]);
}

#[test]
fn the_last_match_decides() {
    check("*.md\n!README.md", &["a.md"], &["README.md", "a"]);
    check(
        "*.md\n!README*.md\nREADME-secret.md",
        &["a.md", "README-secret.md"],
        &["README.md"],
    );
    check(
        "*.md\nREADME-secret.md\n!README*.md",
        &["a.md"],
        &["README.md", "README-secret.md"],
    );
    check("a\n!a/b\na/b/c", &["a/x", "a/b/c"], &["a/b", "a/b/d"]);
    check("a\n!a/b", &["a", "a/bc"], &["a/b", "a/b/c"]);
    check("!a\na", &["a"], &[]);
    check("*\n!*/b", &["a", "a/c"], &["a/b", "a/b/c"]);
    check("a/b\n!a", &[], &["a", "a/b", "a/b/c"]);
}

/// These follow from moby's way through regular expressions.
#[test]
fn oddities() {
    check("**/a*", &["x/ab"], &["x\ny/ab"]);
    check("**/a", &["x\ny/a"], &[]);
    check(r"x\d*", &["x1", "x12"], &["xd"]);
    check(r"obj\Debug", &["objXebug"], &[r"obj\Debug", "obj1ebug"]);
    check(r"foo\bar", &[], &[r"foo\bar", "foobar", "foo/bar"]);
    check(r"bin\x64", &["bind"], &[r"bin\x64", "binx64"]);
    check("^a", &["^a"], &["a"]);
    check("^a*", &["ab"], &["^ab"]);
    check("[[:digit:]]", &["1"], &[":]", "d]"]);
    check("[*]", &["*"], &["a"]);
}

#[test]
fn faults() {
    for (pattern, expected) in [
        ("[a", PatternError::OpenBracket),
        ("[]", PatternError::NothingInBrackets),
        ("[]a]", PatternError::NothingInBrackets),
        ("[a-]", PatternError::NothingInBrackets),
        ("[-a]", PatternError::Dash),
        ("[z-a]", PatternError::Backwards { low: 'z', high: 'a' }),
        (r"a\", PatternError::LastBackslash),
        (r"bin\Release", PatternError::Escape { character: 'R' }),
        ("!", PatternError::EmptyException),
        ("!/", PatternError::EmptyException),
    ] {
        let error = Ignore::parse(format!("# list\n\n {pattern}").as_bytes()).unwrap_err();
        let expected = IgnoreError::Line {
            line: 3,
            pattern: pattern.into(),
            source: expected,
        };
        assert_eq!(error, expected);
    }
    let error = Ignore::from_patterns(["a", "[b"]).unwrap_err();
    assert_eq!(error.to_string(), "bad pattern `[b`");
}

#[test]
fn patterns_that_come_alone_keep_their_slash() {
    let ignore = Ignore::from_patterns(["/a", "  ", " b ", "c", "!c/d"]).unwrap();
    assert!(!ignore.matches(b"a"));
    assert!(ignore.matches(b"b"));
    assert!(ignore.matches(b"c/e"));
    assert!(!ignore.matches(b"c/d"));
}

#[test]
fn names_of_any_bytes() {
    let ignore = Ignore::parse(b"a\xff\n?.x\n*\xfe").unwrap();
    assert!(ignore.matches(b"a\xff"));
    assert!(ignore.matches(b"\xfd.x"));
    assert!(ignore.matches(b"zz\xfe"));
    assert!(!ignore.matches(b"a\xfd"));
}

#[test]
fn directories_that_need_not_be_read() {
    for (file, directory, needed) in [
        ("a", "a", false),
        ("a\n!b", "a", false),
        ("a\n!a/b", "a", true),
        ("a\n!a/b/c", "a", true),
        ("!a/b\na", "a", false),
        ("*\n!*.md", "a", false),
        ("*\n!*/b", "a", true),
        ("*\n!*/b", "a/c", false),
        ("*\n!**/b", "a", true),
        ("*\n!src/**", "src", true),
        ("*\n!src/**", "other", false),
        ("*\n!src*/x", "other", false),
        ("*\n!src*/x", "src1", true),
        ("*\n!src*/x", "sr", false),
    ] {
        let ignore = Ignore::parse(file.as_bytes()).unwrap();
        let verdict = directory
            .match_indices('/')
            .map(|(end, _)| &directory[..end])
            .chain([directory])
            .fold(Verdict::default(), |above, path| {
                ignore.verdict(above, path.as_bytes())
            });
        assert!(verdict.is_ignored(), "{file:?} {directory}");
        assert_eq!(
            ignore.may_restore_below(verdict, directory.as_bytes()),
            needed,
            "{file:?} {directory}"
        );
    }
}

#[test]
fn the_dockerfiles_own_file_wins() {
    let context = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let dockerfile = elsewhere.path().join("app.Dockerfile");
    let find = || find_ignore_file(Some(&dockerfile), context.path()).unwrap();
    assert_eq!(find(), None);
    let general = context.path().join(".dockerignore");
    fs_err::write(&general, "a").unwrap();
    assert_eq!(find(), Some(general.clone()));
    let own = elsewhere.path().join("app.Dockerfile.dockerignore");
    fs_err::write(&own, "").unwrap();
    assert_eq!(find(), Some(own));
    assert_eq!(find_ignore_file(None, context.path()).unwrap(), Some(general));
}

#[test]
fn a_bad_file_is_named() {
    let context = tempfile::tempdir().unwrap();
    let file = context.path().join(".dockerignore");
    assert!(
        Ignore::read(&file)
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
    fs_err::write(&file, "a\n[").unwrap();
    let error = Ignore::read(&file).unwrap_err().to_string();
    assert_eq!(error, format!("`{}` cannot be used", file.display()));
}

/// Patterns and paths over few characters, so that they often meet.
fn pattern() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "/", "/", "*", "**", "?", "[ab]", "[^a]", r"\a", ".", "é", "\n",
    ]);
    let exception = prop::sample::select(vec!["", "", "!"]);
    (exception, prop::collection::vec(piece, 1..7))
        .prop_map(|(mark, pieces)| mark.to_owned() + &pieces.concat())
}

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "ab", ".a", "é", "a.b", "a\nb"]);
    prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
}

proptest! {
    #[test]
    fn any_bytes_are_read(file in prop::collection::vec(any::<u8>(), 0..60), path in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(ignore) = Ignore::parse(&file) {
            ignore.matches(&path);
        }
    }

    #[test]
    fn any_pattern_is_read(file in r"[!*?\[\]^a-c/\\.:\-\n-]{0,30}", path in "[a-c/*.\\]^-]{0,20}") {
        if let Ok(ignore) = Ignore::parse(file.as_bytes()) {
            ignore.matches(path.as_bytes());
        }
    }

    #[test]
    fn skipping_directories_changes_nothing(patterns in prop::collection::vec(pattern(), 1..6), path in path()) {
        let Ok(ignore) = Ignore::from_patterns(&patterns) else { return Ok(()); };
        let mut verdict = Verdict::default();
        let path = path.as_bytes();
        for end in path.find_iter(b"/").collect::<Vec<_>>() {
            verdict = ignore.verdict(verdict, &path[..end]);
            if verdict.is_ignored() && !ignore.may_restore_below(verdict, &path[..end]) {
                prop_assert!(ignore.matches(path));
            }
        }
        prop_assert_eq!(ignore.verdict(verdict, path).is_ignored(), ignore.matches(path));
    }
}
