use super::*;

#[track_caller]
fn check(text: &str, remote: &str, reference: Option<&str>, subdirectory: Option<&str>) {
    let source = GitSource::parse_context(text).unwrap().unwrap();
    assert_eq!(source.remote, remote, "{text}");
    assert_eq!(source.reference.as_deref(), reference, "{text}");
    assert_eq!(source.subdirectory.as_deref(), subdirectory, "{text}");
}

#[test]
fn addresses() {
    let web = "https://example.com/a.git";
    check(web, web, None, None);
    check("https://example.com/a.git#", web, None, None);
    check("https://example.com/a.git#main", web, Some("main"), None);
    check("https://example.com/a.git#a/b:c/d", web, Some("a/b"), Some("c/d"));
    check("https://example.com/a.git#:/c/", web, None, Some("c"));
    check("https://example.com/a.git#a%23b", web, Some("a#b"), None);
    check(
        "https://example.com/a.git?ref=v1&subdir=/c",
        web,
        Some("v1"),
        Some("c"),
    );
    check(
        "https://example.com/a.git?subdir=c#v1",
        web,
        Some("v1"),
        Some("c"),
    );
    check(
        "https://example.com/a.git?tag=v1",
        web,
        Some("refs/tags/v1"),
        None,
    );
    check(
        "https://example.com/a.git?branch=refs/heads/b",
        web,
        Some("refs/heads/b"),
        None,
    );
    check(
        "HTTP://example.com:80/a.git",
        "HTTP://example.com:80/a.git",
        None,
        None,
    );
    check("git://example.com/a", "git://example.com/a", None, None);
    check(
        "ssh://git@example.com:22/a#b",
        "ssh://git@example.com:22/a",
        Some("b"),
        None,
    );
    check(
        "git@example.com:a/b#c:d",
        "git@example.com:a/b",
        Some("c"),
        Some("d"),
    );
    check(
        "git@example.com:a?branch=b",
        "git@example.com:a",
        Some("refs/heads/b"),
        None,
    );
    check("github.com/a/b#c", "https://github.com/a/b", Some("c"), None);
}

#[test]
fn what_is_no_address_of_a_repository() {
    for text in [
        "",
        ".",
        "./a.git",
        "../a.git",
        "a.git",
        "/a/b",
        "https://example.com/a",
        "https://example.com/a.git/",
        "http://example.com/a.git:#b",
        "example.com/a.git",
        "file:///a.git",
        "ext::sh -c true",
        "-oProxyCommand=x@host:a",
        "a b@host:c",
        "git@host",
        "@host:a",
        "git@:a",
        "https://example.com/\n.git",
    ] {
        assert_eq!(GitSource::parse_context(text).unwrap(), None, "{text}");
    }
    assert_eq!(GitSource::parse("github.com/a/b").unwrap(), None);
}

#[test]
fn switches() {
    let query = "keep-git-dir&submodules=false&fetch-by-commit=1&mtime=checkout&commit=abc";
    let text = format!("https://example.com/a.git?{query}");
    let source = GitSource::parse(&text).unwrap().unwrap();
    assert_eq!(source.keep_git_dir, Some(true));
    assert!(!source.submodules);
    assert!(source.fetch_by_commit);
    assert!(source.checkout_mtime);
    assert_eq!(source.checksum.as_deref(), Some("abc"));
}

#[test]
fn faults() {
    for (query, message) in [
        (
            "?ref=a&tag=b",
            "a git address asks for `a` and, by `tag`, for `refs/tags/b`",
        ),
        ("?ref=a#b", "a git address asks for `b` and, by `ref`, for `a`"),
        ("?ref=a&ref=b", "`ref` stands twice in a git address"),
        ("?ref", "`ref` has no value in a git address"),
        (
            "?submodules=maybe",
            "`submodules` is `maybe` in a git address; expected true or false",
        ),
        (
            "?mtime=now",
            "`mtime` is `now` in a git address; expected commit or checkout",
        ),
        ("#--upload-pack=x", "`--upload-pack=x` is no git reference"),
        (
            "#a%2",
            "a `%` in `a%2` is not followed by the two digits of a character",
        ),
        (
            "#a%ff",
            "a `%` in `a%ff` is not followed by the two digits of a character",
        ),
    ] {
        let text = format!("https://example.com/a.git{query}");
        assert_eq!(GitSource::parse(&text).unwrap_err().to_string(), message);
    }
    let error = GitSource::parse("git@example.com:a?depth=1").unwrap_err();
    let key = "depth".to_owned();
    assert_eq!(error, GitAddressError::UnknownKey { key });
}

#[test]
fn passwords_are_not_shown() {
    let source = GitSource::parse("https://me:secret@example.com/a.git")
        .unwrap()
        .unwrap();
    assert_eq!(source.redacted_remote(), "https://example.com/a.git");
    assert!(!format!("{source:?}").contains("secret"));
    let source = GitSource::parse("git@example.com:a").unwrap().unwrap();
    assert_eq!(source.redacted_remote(), "git@example.com:a");
}
