use bstr::{BString, ByteSlice};
use percent_encoding::percent_decode_str;
use url::Url;

/// The name of a download whose URL has none.
const UNNAMED: &str = "__unnamed__";

/// The name of a download whose URL has one that no file can have.
const UNUSABLE: &str = "download";

/// Tells what ADD calls the file that a URL names: the last part of the decoded path, `__unnamed__` where there is none.
///
/// Nothing that a server answers has a say in it, neither `Content-Disposition` nor a redirect, so it is known before
/// anything is asked.
///
/// Source: reference "ADD URL"; BuildKit, `dispatchCopy` and `SafeFileName`.
pub fn file_name(url: &Url) -> BString {
    let path: Vec<u8> = percent_decode_str(url.path()).collect();
    let path = path.trim_end_with(|character| character == '/');
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if matches!(name, b"" | b".") {
        return UNNAMED.into();
    }
    match name.trim_with(char::is_whitespace) {
        b"" | b"." | b".." => UNUSABLE.into(),
        name if name.chars().any(char::is_control) => UNUSABLE.into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_last_part_of_the_path() {
        let cases: &[(&str, &[u8])] = &[
            ("https://a.example/x/y.tar.gz", b"y.tar.gz"),
            ("https://a.example/x/y.tar.gz?raw=true#part", b"y.tar.gz"),
            ("https://a.example/dir/", b"dir"),
            ("https://a.example/dir//", b"dir"),
            ("https://a.example/", b"__unnamed__"),
            ("https://a.example", b"__unnamed__"),
            ("https://a.example/?file=x", b"__unnamed__"),
            ("https://a.example/a%20b+c", b"a b+c"),
            ("https://a.example/x%2Fy", b"y"),
            ("https://a.example/%ff", b"\xff"),
            ("https://a.example/%20x%20", b"x"),
            ("https://a.example/%20", b"download"),
            ("https://a.example/x%2F..", b"download"),
            ("https://a.example/x%00y", b"download"),
            ("https://a.example/x%0Ay", b"download"),
        ];
        for (url, name) in cases {
            assert_eq!(file_name(&Url::parse(url).unwrap()), *name, "{url}");
        }
    }
}
