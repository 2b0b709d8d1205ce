//! The only places that print. Neither may end the process: a pipe that nobody reads and a full disk are no reason to
//! panic, least of all when the image is published already.

use std::io::{self, ErrorKind, Write};

/// Prints lines of data on standard output. That nobody reads them is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context(format!("failed to print to standard output: {text}")))
        }
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Prints bytes as they are.
pub(crate) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = DataOut::new();
    let written = out.write_all(bytes);
    out.finish(written)
}

/// Standard output for bytes as they are. That nobody reads on is no failure.
pub(crate) struct DataOut {
    out: io::StdoutLock<'static>,
    is_closed: bool,
}

impl DataOut {
    pub(crate) fn new() -> Self {
        Self {
            out: io::stdout().lock(),
            is_closed: false,
        }
    }

    /// Tells how it went: well if it was only the reader who had enough.
    pub(crate) fn finish<T, E>(mut self, written: Result<T, E>) -> anyhow::Result<()>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let flushed = self.flush();
        match (written, self.is_closed) {
            (_, true) => Ok(()),
            (Err(error), false) => Err(error.into()),
            (Ok(_), false) => Ok(flushed?),
        }
    }

    fn noticed<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.is_closed |= matches!(&result, Err(error) if error.kind() == ErrorKind::BrokenPipe);
        result
    }
}

impl Write for DataOut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.noticed(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.noticed(flushed)
    }
}

/// Says something on standard error, if anybody listens.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
}

/// Begins a line on standard error that somebody is to end.
pub(crate) fn ask(text: &str) {
    let mut error = io::stderr().lock();
    let _ = write!(error, "{}", harmless(text)).and_then(|()| error.flush());
}

/// Text of Dockerfiles and images must not move the cursor of a terminal, or name its window.
fn harmless(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' | '\t' => character,
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_not_obeyed() {
        assert_eq!(
            harmless("a\tb\n\u{1b}]0;title\u{7}"),
            "a\tb\n\u{fffd}]0;title\u{fffd}"
        );
    }
}
