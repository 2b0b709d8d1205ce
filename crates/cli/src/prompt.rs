//! Questions on the terminal.

use std::io::{self, BufRead, IsTerminal, stderr, stdin};

use onlay_registry::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::terminal;

/// The terminal with its echo off. It comes back with the end of the value, which is also that of a run that is
/// interrupted: that drops what it was about.
struct Silence(Termios);

/// Tells whether there is somebody to ask.
pub(crate) fn can_ask() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Asks for a line.
pub(crate) async fn ask(question: &str) -> io::Result<String> {
    terminal::ask(question);
    read_line().await
}

/// Asks for a line that is not shown while it is typed.
pub(crate) async fn ask_secretly(question: &str) -> io::Result<Secret> {
    let _silence = Silence::begin()?;
    terminal::ask(question);
    let line = read_line().await;
    // The end of the line was not shown either.
    terminal::ask("\n");
    Ok(Secret::new(line?))
}

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // What was typed ahead was seen; it is no answer.
        tcsetattr(stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that has gone has no echo to bring back.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// Reads on a thread that may be left behind, so that signals are heard meanwhile.
async fn read_line() -> io::Result<String> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        stdin().lock().read_line(&mut line)?;
        Ok(line.trim_end_matches(['\n', '\r']).to_owned())
    });
    read.await?
}
