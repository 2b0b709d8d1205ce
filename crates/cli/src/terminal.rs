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

/// Says something on standard error, if anybody listens.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
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
