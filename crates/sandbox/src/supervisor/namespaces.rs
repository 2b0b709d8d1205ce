//! The first rung: namespaces of its own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_dumpable, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, sethostname};

use super::child::spawn;
use super::chroot::attempt;
use super::mounts;
use super::walls::Walls;
use super::watch::{read_report, start, wait, write_report};
use super::{Refused, private_pipe, refused};
use crate::order::Report;
use crate::{Command, Network};

/// What a command sees as the machine's name (dockerfile.md 1.10).
const HOST_NAME: &str = "buildkitsandbox";

/// Tries what the rung needs: the namespaces, and a mount in them.
pub(super) fn probe(socket: &UnixStream) -> Result<Report, Refused> {
    attempt(socket, || {
        separate(Network::Host)?;
        mounts::make_private()
    })
}

fn separate(network: Network) -> Result<(), Refused> {
    let mut namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    namespaces.set(CloneFlags::CLONE_NEWNET, network == Network::None);
    unshare(namespaces).map_err(refused("unshare"))
}

/// Runs a command below a first process of its own, whose end is the end of all others.
pub(super) fn run(
    root: &Path,
    command: &Command,
    files: &[(String, PathBuf)],
    socket: &UnixStream,
) -> Result<Report, Refused> {
    separate(command.network)?;
    let (reader, writer) = private_pipe()?;
    let first = start(|| {
        let report = match be_first(root, command, files) {
            Ok(report) => report,
            Err(Refused { step, errno }) => Report::failed(&step, errno),
        };
        write_report(writer, &report);
        0
    })?;
    let ended = wait(first, socket)?;
    Ok(read_report(reader).unwrap_or(ended))
}

/// The first process of the namespace: prepares the place, starts the command, reaps what is orphaned.
fn be_first(root: &Path, command: &Command, files: &[(String, PathBuf)]) -> Result<Report, Refused> {
    set_pdeathsig(Signal::SIGKILL).map_err(refused("prctl(PR_SET_PDEATHSIG)"))?;
    // The command sees this process: not its memory, program or descriptors.
    set_dumpable(false).map_err(refused("prctl(PR_SET_DUMPABLE)"))?;
    mounts::prepare(root, files, command)?;
    sethostname(HOST_NAME).map_err(refused("sethostname"))?;
    if command.network == Network::None {
        mounts::raise_loopback()?;
    }
    let (reader, writer) = private_pipe()?;
    let child = spawn(command, Walls::Namespaces, writer, || Ok(()))?;
    let ended = wait_for(child)?;
    Ok(read_report(reader).unwrap_or(ended))
}

/// Waits for the command and reaps the others meanwhile.
fn wait_for(child: Pid) -> Result<Report, Refused> {
    use nix::sys::wait::{WaitStatus, waitpid};
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return Ok(Report::Exited(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(Report::Killed(signal as i32));
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(refused("waitpid")(errno)),
        }
    }
}
