use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::{exit_code, terminal};

/// What the system sends when a file grows beyond the limit (signal(7)): the same number on all of Linux's platforms.
const SIGXFSZ: i32 = 25;

/// The signal that ended the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    /// Ctrl-C.
    Interrupt,
    /// What a container's engine sends first.
    Terminate,
}

/// How long a tag that is being moved is waited for. Engines send SIGKILL 30 seconds after SIGTERM, some earlier.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the run is asked to end. What is in flight is dropped then, but for tags: those come last, so nothing is
/// published half.
pub(crate) async fn requested() -> Shutdown {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end the process by themselves.
        return std::future::pending().await;
    };
    // A file that grows beyond the limit is then an error of the write, not the end of the process.
    let _file_size = signal(SignalKind::from_raw(SIGXFSZ));
    tokio::select! {
        _ = interrupt.recv() => Shutdown::Interrupt,
        _ = terminate.recv() => Shutdown::Terminate,
    }
}

impl Shutdown {
    /// Says so, and gives the exit code.
    pub(crate) fn exit(self) -> ExitCode {
        terminal::say("error: interrupted; no tag was moved that is not printed above");
        ExitCode::from(match self {
            Self::Interrupt => exit_code::INTERRUPTED,
            Self::Terminate => exit_code::TERMINATED,
        })
    }
}
