use onlay_context::{Ignore, Verdict};

/// Reads patterns as a `.dockerignore` and as `--exclude`s, and matches them on the paths that follow a NUL byte, one a
/// line: a walk that skips directories must leave out the same paths as one that asks for every path.
pub fn ignore(bytes: &[u8]) {
    let (patterns, paths) = super::parts(bytes);
    let lists = [
        Ignore::parse(patterns).ok(),
        Ignore::from_patterns(patterns.split(|byte| *byte == b'\n')).ok(),
    ];
    for list in lists.into_iter().flatten() {
        for path in paths.split(|byte| *byte == b'\n') {
            list.matches(path);
            if is_entry(path) {
                walk_to(&list, path);
            }
        }
    }
}

/// Tells whether a walk of a directory can come to this path.
fn is_entry(path: &[u8]) -> bool {
    let mut names = path.split(|byte| *byte == b'/');
    !names.any(|name| matches!(name, b"" | b"." | b".."))
}

/// Goes from directory to directory as the walk of a context does.
fn walk_to(list: &Ignore, path: &[u8]) {
    let is_ignored = list.matches(path);
    let mut verdict = Verdict::default();
    let directories = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    for (end, _) in directories {
        let directory = &path[..end];
        verdict = list.verdict(verdict, directory);
        assert_eq!(verdict.is_ignored(), list.matches(directory));
        if verdict.is_ignored() && !list.may_restore_below(verdict, directory) {
            assert!(is_ignored, "a directory is skipped that has something in it");
            return;
        }
    }
    assert_eq!(list.verdict(verdict, path).is_ignored(), is_ignored);
}
