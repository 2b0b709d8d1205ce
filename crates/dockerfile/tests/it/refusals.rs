//! Files that are wrong, and all that is said about them.

use std::path::{Path, PathBuf};

use onlay_dockerfile::{Dockerfile, SourceFile, parse_instructions};

fn cases() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dockerfile");
    let entries = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

#[test]
fn wrong_files_are_refused_with_all_that_is_wrong() {
    let mut different = String::new();
    for case in cases() {
        let source = SourceFile::new("Dockerfile", fs_err::read(case.join("Dockerfile")).unwrap());
        let expected = fs_err::read_to_string(case.join("expected")).unwrap_or_default();
        let found = match Dockerfile::parse(source) {
            Ok(_) => "accepted\n".to_owned(),
            Err(diagnostics) => format!("{diagnostics}\n"),
        };
        if found != expected {
            different += &format!("--- {}\nexpected:\n{expected}\nfound:\n{found}\n", case.display());
        }
    }
    assert!(different.is_empty(), "{different}");
}

#[test]
fn instructions_that_stand_alone_have_no_from() {
    let check = |text: &str, expected: &str| {
        let diagnostics = parse_instructions(SourceFile::new("argument 1", text)).unwrap_err();
        assert_eq!(diagnostics.to_string(), expected, "{text}");
    };
    check(
        "FROM a",
        "error: FROM is not allowed here\n  --> argument 1:1:1\n1 | FROM a\n  | ^^^^\nhint: the base is chosen elsewhere: leave FROM out",
    );
    check(
        "",
        "error: no instruction in an empty text\n  --> argument 1:1:1\n1 | \n  | ^",
    );
    check(
        "mkdir /a",
        "error: unknown instruction `mkdir`\n  --> argument 1:1:1\n1 | mkdir /a\n  | ^^^^^",
    );
}
