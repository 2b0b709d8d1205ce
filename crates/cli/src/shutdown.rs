use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

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

/// How long a command that ends in an orderly way has for it. Engines send SIGKILL 30 seconds after SIGTERM.
pub(crate) const DRAIN: Duration = Duration::from_secs(25);

/// Asks a command to end in an orderly way, if it has an ear for that.
pub(crate) struct Drain(watch::Sender<bool>);

impl Drain {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// The ear: it is to end when this turns to true.
    pub(crate) fn subscribe(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Asks; tells whether anybody hears it.
    pub(crate) fn begin(&self) -> bool {
        self.0.send(true).is_ok()
    }
}

/// The ears for signals, open from the moment this is made.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// A file that grows beyond the limit is then an error of the write, not the end of the process.
    _file_size: Option<Signal>,
}

impl Signals {
    /// Begins to listen, which has to be before anything starts that a signal must not end by itself: a question leaves
    /// the terminal without its echo. `None` where the system allows no handlers; signals end the process there.
    pub(crate) fn listen() -> Option<Self> {
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
            _file_size: signal(SignalKind::from_raw(SIGXFSZ)).ok(),
        })
    }
}

/// Waits until the run is asked to end. What is in flight is dropped then, but for tags: those come last, so nothing is
/// published half.
pub(crate) async fn requested(signals: &mut Option<Signals>) -> Shutdown {
    let Some(signals) = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = signals.interrupt.recv() => Shutdown::Interrupt,
        _ = signals.terminate.recv() => Shutdown::Terminate,
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
