//! curl, which knows nothing of registries.

use std::process::Command;

/// An answer as curl shows it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    /// Asserts the status, and words of the body.
    #[track_caller]
    pub(crate) fn says(&self, status: u16, words: &str) {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        assert!(self.body.contains(words), "{}", self.body);
    }
}

/// Sends one request and follows nothing.
pub(crate) fn run(url: &str, more: &[&str]) -> Answer {
    // A HEAD that is asked for by name would wait for a body.
    let more: Vec<&str> = match more.windows(2).position(|pair| pair == ["-X", "HEAD"]) {
        Some(at) => [&more[..at], &["--head"], &more[at + 2..]].concat(),
        None => more.to_vec(),
    };
    let output = Command::new("curl")
        .args(["-sS", "-i", url])
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text
        .strip_prefix("HTTP/1.1 100 Continue\r\n\r\n")
        .unwrap_or(&text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
