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
    let _ = writeln!(io::stderr().lock(), "{text}");
}
