//! The other process: single-threaded, without environment, with one socket. It prepares the place, starts the command,
//! and sees to it that nothing is left of it.

mod child;
mod chroot;
mod filter;
mod mounts;
mod namespaces;
mod ptrace;
mod walls;
mod watch;

use std::env;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::unistd::dup2_stdin;
use rustix::fs::{CWD, Mode, OFlags, openat};

pub use walls::landlock_version;

use crate::Rung;
use crate::order::{Order, Report, receive, send};

/// What a supervisor is called by, as its first argument.
pub(crate) const NAME: &str = "onlay-sandbox";

/// Is the supervisor if this process was started as one, and gives its exit code then. To be called first in `main`, while
/// there is one thread.
pub fn supervise_if_asked() -> Option<ExitCode> {
    let is_asked = env::args_os().next().is_some_and(|name| name == NAME);
    is_asked.then(|| match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody is there to be told.
        Err(_) => ExitCode::FAILURE,
    })
}

fn supervise() -> io::Result<()> {
    close_inherited()?;
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let null = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    let order: Order = receive(&mut socket)?;
    let report = match carry_out(&order, &socket) {
        Ok(report) => report,
        Err(Refused { step, errno }) => Report::failed(&step, errno),
    };
    send(&mut socket, &report)
}

/// Closes what whoever started the building process has left open: neither this process nor a command needs it.
fn close_inherited() -> io::Result<()> {
    let open = fs_err::read_dir("/proc/self/fd")?.flatten();
    let numbers: Vec<i32> = open
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // SAFETY: at this point nothing in this process has opened anything, so nobody owns the number; that of the
        // directory that was just read is closed already, which is an error without consequences.
        #[expect(unsafe_code, reason = "descriptors that nobody here owns")]
        unsafe {
            nix::libc::close(number);
        }
    }
    Ok(())
}

/// A step that the system refused.
pub(crate) struct Refused {
    step: String,
    errno: Errno,
}

/// Names the step that failed.
pub(crate) fn refused<E: Into<Errno>>(step: &str) -> impl FnOnce(E) -> Refused + '_ {
    move |errno| Refused {
        step: step.to_owned(),
        errno: errno.into(),
    }
}

/// The number of an error of the standard library.
pub(crate) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32))
}

fn carry_out(order: &Order, socket: &UnixStream) -> Result<Report, Refused> {
    // Ctrl-C on the terminal is for the building process, which ends the socket.
    nix::unistd::setsid().map_err(refused("setsid"))?;
    nix::sys::prctl::set_child_subreaper(true).map_err(refused("prctl(PR_SET_CHILD_SUBREAPER)"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    match order {
        Order::Probe(Rung::Namespaces) => namespaces::probe(socket),
        Order::Probe(Rung::Chroot) => chroot::probe(socket),
        Order::Probe(Rung::Ptrace) => ptrace::probe(socket),
        Order::Run {
            rung: Rung::Namespaces,
            root,
            command,
            files,
            ..
        } => namespaces::run(root, command, files, socket),
        Order::Run {
            rung: Rung::Chroot,
            root,
            command,
            ..
        } => chroot::run(root, command, socket),
        Order::Run {
            rung: Rung::Ptrace,
            root,
            command,
            records,
            ..
        } => ptrace::run(root, command, records, socket),
    }
}

/// The two ends of a pipe that no program inherits.
pub(crate) fn private_pipe() -> Result<(OwnedFd, OwnedFd), Refused> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(refused("pipe"))
}
