//! Users and passwords in addresses, where they do not belong: found, and kept out of what is printed.
//!
//! Passwords hold what they like, so that an address need not be well-formed: whatever comes before its last `@` is
//! taken for a secret.

/// What stands for what is not shown.
const REDACTED: &str = "[redacted]";

/// The host of an address that has a user or a password in it.
pub(crate) fn host_beside(address: &str) -> Option<&str> {
    let (_, after) = address.rsplit_once('@')?;
    after.split(['/', '?', '#']).next()
}

/// A text with lines of a file in it, without the users and passwords of addresses.
pub(crate) fn without(text: &str) -> String {
    text.lines().map(line_without).collect::<Vec<_>>().join("\n")
}

fn line_without(line: &str) -> String {
    let Some((before, after)) = line.rsplit_once('@') else {
        return line.to_owned();
    };
    // Where an address begins: after its scheme, or else its quote, or else what stands before a line that is quoted.
    let begins = |mark: &str| before.find(mark).map(|at| at + mark.len());
    let start = begins("://")
        .or_else(|| begins("\""))
        .or_else(|| begins("'"))
        .or_else(|| begins("| "))
        .unwrap_or_default();
    format!("{}{REDACTED}@{after}", &before[..start])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let cases = [
            ("https://a.example/x", None),
            ("a.example:5000", None),
            ("https://user:hunter2@a.example:5000/x", Some("a.example:5000")),
            ("user:hun/t@er2@a.example", Some("a.example")),
            (":hunter2@a.example?x#y", Some("a.example")),
            ("hunter2@", Some("")),
        ];
        for (address, expected) in cases {
            assert_eq!(host_beside(address), expected, "{address}");
        }
    }

    #[test]
    fn lines() {
        let cases = [
            ("as it is", "as it is"),
            (
                "error\n1 | a = 'https://user:hunter2@a.example'\n  | ^",
                "error\n1 | a = 'https://[redacted]@a.example'\n  | ^",
            ),
            (
                "string \"u:hun\\\"t'er2@h\", expected",
                "string \"[redacted]@h\", expected",
            ),
            ("a = 'u:hun ter2@h'", "a = '[redacted]@h'"),
            ("1 | u:hunter2@h", "1 | [redacted]@h"),
            ("u:hunter2@h", "[redacted]@h"),
            ("x://a y://u:hunter2@h", "x://[redacted]@h"),
        ];
        for (text, expected) in cases {
            assert_eq!(without(text), expected);
        }
    }
}
