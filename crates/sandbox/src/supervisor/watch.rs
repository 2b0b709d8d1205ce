//! Waiting for a child, while the building process may go away.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::{Refused, refused};
use crate::order::Report;

/// Starts a process that does `work` and ends with the code that gives.
pub(crate) fn start(work: impl FnOnce() -> i32) -> Result<Pid, Refused> {
    // SAFETY: the supervisor has one thread, so the child has all that the standard library needs; no lock is held by
    // anybody else, and no other thread's memory is left in between.
    #[expect(unsafe_code, reason = "a fork of a process of one thread")]
    match unsafe { fork() }.map_err(refused("fork"))? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = work();
            std::process::exit(code)
        }
    }
}

/// Waits for a child and reaps whatever else ends. When the building process ends the socket, the child is killed.
pub(crate) fn wait(child: Pid, socket: &UnixStream) -> Result<Report, Refused> {
    wait_with(child, socket, None)
}

/// The same; calls `serve` whenever there is something to be read from `source`.
pub(crate) fn wait_serving(
    child: Pid,
    socket: &UnixStream,
    source: &OwnedFd,
    serve: &mut dyn FnMut(),
) -> Result<Report, Refused> {
    wait_with(child, socket, Some((source, serve)))
}

fn wait_with(
    child: Pid,
    socket: &UnixStream,
    mut served: Option<(&OwnedFd, &mut dyn FnMut())>,
) -> Result<Report, Refused> {
    let ended = Ended::new()?;
    let mut is_hung_up = false;
    loop {
        if let Some(report) = reap(child)? {
            return Ok(report);
        }
        let also = served
            .as_ref()
            .map_or(ended.0.as_fd(), |(source, _)| source.as_fd());
        let mut sources = [
            PollFd::new(ended.0.as_fd(), PollFlags::POLLIN),
            PollFd::new(also, PollFlags::POLLIN),
            PollFd::new(socket.as_fd(), PollFlags::empty()),
        ];
        // Whoever has hung up stays so.
        let count = if is_hung_up { 2 } else { 3 };
        match poll(&mut sources[..count], PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(refused("poll")(errno)),
        }
        let [has_ended, is_called, hang_up] =
            sources.map(|source| source.revents().unwrap_or(PollFlags::empty()));
        if !is_hung_up && hang_up.intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
            is_hung_up = true;
            _ = kill(child, Signal::SIGKILL);
        }
        if let Some((_, serve)) = &mut served
            && is_called.contains(PollFlags::POLLIN)
        {
            serve();
        }
        if !has_ended.is_empty() {
            ended.drain();
        }
    }
}

/// Reaps what has ended; tells how the child did.
fn reap(child: Pid) -> Result<Option<Report>, Refused> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return Ok(Some(Report::Exited(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(Some(Report::Killed(signal as i32)));
            }
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(refused("waitpid")(errno)),
        }
    }
}

/// A descriptor that can be read when a child has ended.
struct Ended(SignalFd);

impl Ended {
    fn new() -> Result<Self, Refused> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        signals.thread_block().map_err(refused("sigprocmask"))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let descriptor = SignalFd::with_flags(&signals, flags).map_err(refused("signalfd"))?;
        Ok(Self(descriptor))
    }

    fn drain(&self) {
        while matches!(self.0.read_signal(), Ok(Some(_))) {}
    }
}

/// Kills all that descends from this process, and reaps it: what a command leaves running must not outlive it.
pub(crate) fn kill_descendants() {
    let own = Pid::this();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return,
            Ok(WaitStatus::StillAlive) => {}
            _ => continue,
        }
        for pid in descendants(own) {
            _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The processes below one, as `/proc` has them now.
pub(crate) fn descendants(of: Pid) -> Vec<Pid> {
    let mut parents = Vec::new();
    let processes = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let pid: Option<i32> = process.file_name().to_str().and_then(|name| name.parse().ok());
        parents.extend(pid.and_then(|pid| Some((pid, parent_of(pid)?))));
    }
    let mut found: Vec<i32> = vec![of.as_raw()];
    let mut known = 0;
    while known < found.len() {
        let parent = found[known];
        known += 1;
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
    }
    found.into_iter().skip(1).map(Pid::from_raw).collect()
}

/// The parent of a process, if there is such a process.
pub(crate) fn parent_of(process: i32) -> Option<i32> {
    let stat = fs_err::read(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may have anything in it (proc_pid_stat(5)).
    let end = stat.windows(2).rposition(|bytes| bytes == b") ")?;
    let rest = std::str::from_utf8(&stat[end + 2..]).ok()?;
    rest.split(' ').nth(1)?.parse().ok()
}

/// What a child wrote before it ended: a report, if anything went wrong.
pub(crate) fn read_report(reader: OwnedFd) -> Option<Report> {
    let mut text = Vec::new();
    let mut reader = std::fs::File::from(reader);
    io_read(&mut reader, &mut text);
    serde_json::from_slice(&text).ok()
}

fn io_read(reader: &mut std::fs::File, text: &mut Vec<u8>) {
    // What is cut off is no report.
    _ = std::io::Read::read_to_end(reader, text);
}

/// Writes a report for [`read_report`].
pub(crate) fn write_report(writer: OwnedFd, report: &Report) {
    if let Ok(text) = serde_json::to_vec(report) {
        // Who reads it sees that it is missing.
        _ = std::io::Write::write_all(&mut std::fs::File::from(writer), &text);
    }
}
