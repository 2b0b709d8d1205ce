/// The shortest path that means the same, as Go's `path.Clean` has it: no `.`, no doubled or final slash, `..` only in
/// front. The empty path is `.`.
pub(super) fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    match (is_rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Whether a path does not depend on where it is looked at from.
pub(super) fn is_absolute(path: &str, is_windows: bool) -> bool {
    let path = match path.as_bytes() {
        [letter, b':', ..] if is_windows && letter.is_ascii_alphabetic() => &path[2..],
        _ => path,
    };
    path.starts_with('/') || (is_windows && path.starts_with('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        let check = |path, expected| assert_eq!(clean(path), expected, "{path}");
        check("", ".");
        check(".", ".");
        check("./", ".");
        check("/", "/");
        check("//a//b/", "/a/b");
        check("./a/./b", "a/b");
        check("a/../b", "b");
        check("a/..", ".");
        check("../a", "../a");
        check("../../a", "../../a");
        check("/../a", "/a");
    }

    #[test]
    fn windows_has_more_absolute_paths() {
        let check = |path, linux, windows| {
            assert_eq!(
                (is_absolute(path, false), is_absolute(path, true)),
                (linux, windows),
                "{path}"
            );
        };
        check("/a", true, true);
        check("a", false, false);
        check("", false, false);
        check("C:/a", false, true);
        check("c:\\a", false, true);
        check("c:a", false, false);
        check("\\a", false, true);
    }
}
