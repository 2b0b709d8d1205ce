//! What wildcards in the sources of COPY match, in tables.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use onlay_context::{Pattern, PatternError, has_wildcard, split_wildcard};
use proptest::prelude::*;

#[track_caller]
fn check(pattern: &str, matching: &[&str], other: &[&str]) {
    let parsed = Pattern::parse(pattern.as_bytes()).unwrap();
    for path in matching {
        assert!(
            parsed.matches(path.as_bytes()),
            "{pattern:?} should match {path:?}"
        );
    }
    for path in other {
        assert!(
            !parsed.matches(path.as_bytes()),
            "{pattern:?} should not match {path:?}"
        );
    }
}

#[test]
fn as_gos_match() {
    check("", &[""], &["a"]);
    check("abc", &["abc"], &["ab", "abcd"]);
    check("*", &["abc", "", "a.b"], &["a/b"]);
    check("**", &["abc"], &["a/b"]);
    check("*c", &["abc", "c", "cc"], &["cb", "a/c"]);
    check("a*", &["a", "abc"], &["ab/c"]);
    check("a*/b", &["abc/b", "a/b"], &["a/c/b"]);
    check(
        "a*b*c*d*e*/f",
        &["axbxcxdxe/f", "axbxcxdxexxx/f"],
        &["axbxcxdxexxx/fff"],
    );
    check("a*b?c*x", &["abxbbxdbxebxczzx"], &["abxbbxdbxebxczzy"]);
    check("ab[b-d]", &["abc"], &["abe"]);
    check("ab[^e-g]", &["abc"], &["abe"]);
    check("a?b", &["a☺b"], &["a??b", "a/b"]);
    check("a[^a]b", &["a☺b", "a/b"], &["aab"]);
    check(r"a\*b", &["a*b"], &["ab", "axb"]);
    check(r"a\ab", &["aab"], &[r"a\ab"]);
    check(r"[\]a]", &["]", "a"], &["b"]);
    check(r"[x\-]", &["x", "-"], &["z"]);
    check("[z-a]", &[], &["z", "a", "m"]);
    check("arr[[]0].txt", &["arr[0].txt"], &["arr0.txt"]);
    check("*x", &["xxx"], &[]);
    check("]", &["]"], &[]);
}

#[test]
fn faults() {
    for (pattern, expected) in [
        ("[]a]", PatternError::NothingInBrackets),
        ("[-]", PatternError::Dash),
        ("[x-]", PatternError::NothingInBrackets),
        ("[a-b-c]", PatternError::Dash),
        ("[", PatternError::OpenBracket),
        ("[^bc", PatternError::OpenBracket),
        ("a[", PatternError::OpenBracket),
        ("*/[x", PatternError::OpenBracket),
        (r"a\", PatternError::LastBackslash),
        (r"[\", PatternError::LastBackslash),
    ] {
        assert_eq!(
            Pattern::parse(pattern.as_bytes()).unwrap_err(),
            expected,
            "{pattern}"
        );
    }
    assert_eq!(Pattern::parse(b"[\xff]").unwrap_err(), PatternError::NotText);
}

#[test]
fn wildcards_are_told_from_paths() {
    for (source, expected) in [
        ("a/b", false),
        ("a*", true),
        ("a?", true),
        ("[a", true),
        ("a]", false),
        (r"a\*", false),
        (r"a\\*", true),
        (r"a\", false),
    ] {
        assert_eq!(has_wildcard(source.as_bytes()), expected, "{source}");
    }
}

#[test]
fn the_literal_part_is_split_off() {
    for (source, literal, wild) in [
        ("a/b", "a/b", ""),
        ("a/b*/c", "a", "b*/c"),
        ("*", "", "*"),
        ("/a/*", "/a", "*"),
        ("/*", "", "*"),
        (r"a\*/b?", r"a\*", "b?"),
    ] {
        assert_eq!(
            split_wildcard(source.as_bytes()),
            (literal.as_bytes(), wild.as_bytes()),
            "{source}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(pattern in prop::collection::vec(any::<u8>(), 0..40), path in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(pattern) = Pattern::parse(&pattern) {
            pattern.matches(&path);
        }
    }

    #[test]
    fn a_path_without_wildcards_matches_itself(path in r"[a-z/.\] é-]{0,20}") {
        prop_assert!(Pattern::parse(path.as_bytes()).unwrap().matches(path.as_bytes()));
    }
}
