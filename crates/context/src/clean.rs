/// Makes a path the shortest one of the same meaning, by its text alone: Go's `filepath.Clean`.
///
/// Empty and `.` components go, `..` takes away the component before it and stays at the start of a relative path only.
/// Nothing at all is `.`.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut components: Vec<&[u8]> = Vec::new();
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if components.last().is_some_and(|last| *last != b"..") => {
                components.pop();
            }
            b".." if rooted => {}
            other => components.push(other),
        }
    }
    let mut cleaned = components.join(&b'/');
    if rooted {
        cleaned.insert(0, b'/');
    }
    if cleaned.is_empty() {
        cleaned.push(b'.');
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use bstr::ByteSlice;

    #[test]
    fn as_go_cleans() {
        for (path, expected) in [
            ("", "."),
            (".", "."),
            ("/", "/"),
            ("//a//b/", "/a/b"),
            ("a/./b/..", "a"),
            ("a/..", "."),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("/../a", "/a"),
            ("!a/", "!a"),
        ] {
            assert_eq!(
                clean(path.as_bytes()).as_bstr(),
                expected.as_bytes().as_bstr(),
                "{path}"
            );
        }
    }
}
