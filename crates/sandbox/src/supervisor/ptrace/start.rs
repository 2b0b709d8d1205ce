//! From the supervisor to a process under the filter.

use std::io::Read;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use landlock::{ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fs::Mode;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::super::child::become_command;
use super::super::chroot::attempt;
use super::super::filter;
use super::super::walls::{Walls, landlock_version};
use super::super::watch::write_report;
use super::super::{Refused, private_pipe, refused};
use super::state::try_mark;
use super::{io_refused, table};
use crate::order::Report;
use crate::{Command, Network};

/// The first version of Landlock that keeps signals inside (Linux 6.12).
const HAS_SCOPES: u32 = 6;

/// Tries what the rung needs: to be traced, to be listened to, and to mark processes.
pub(in super::super) fn probe(socket: &UnixStream) -> Result<Report, Refused> {
    if !cfg!(target_arch = "x86_64") {
        return Err(refused("this architecture")(Errno::ENOSYS));
    }
    attempt(socket, || {
        try_mark().map_err(io_refused("prlimit(RLIMIT_RTTIME)"))?;
        nix::sys::ptrace::traceme().map_err(refused("ptrace"))?;
        nix::sys::prctl::set_no_new_privs().map_err(refused("prctl(PR_SET_NO_NEW_PRIVS)"))?;
        let mut program = filter::program(&[], table::LAST);
        filter::install_listening(&mut program).map(drop)
    })
}

/// Where copies of programs are kept, beside the root directory.
pub(super) fn programs_directory(root: &Path) -> Result<PathBuf, Refused> {
    let directory = root.parent().unwrap_or(root).join("programs");
    match rustix::fs::mkdir(&directory, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(directory),
        Err(errno) => Err(io_refused("making a place for programs")(errno)),
    }
}

/// Starts a process that prepares its place, puts itself under a filter and becomes the command, which is served from its
/// first step on. Gives the process, and where its calls come from, unless `prepare` has done without a filter.
pub(super) fn spawn(
    command: &Command,
    walls: Walls,
    faults: OwnedFd,
    prepare: impl FnOnce() -> Result<Option<i32>, Refused>,
) -> Result<(Pid, Option<OwnedFd>), Refused> {
    let (mut numbers, answers) =
        private_pipe().map(|(reader, writer)| (std::fs::File::from(reader), writer))?;
    // This process must close nothing of what both have until the other has left the table.
    let (faults, answers) = (&faults, &answers);
    let child = start_sharing_descriptors(|| {
        let listener = prepare();
        // From here on this process has descriptors of its own; the listener's stays in the supervisor's, too.
        let listener = leave_descriptors().and(listener);
        let number = listener.as_ref().map_or(FAILED, |number| number.unwrap_or(NONE));
        _ = nix::unistd::write(answers, &number.to_ne_bytes());
        let became = listener.and_then(|number| {
            number.into_iter().for_each(close);
            become_command(command, walls)
        });
        let report = match became {
            Ok(errno) => Report::Program(errno as i32),
            Err(Refused { step, errno }) => Report::failed(&step, errno),
        };
        if let Ok(faults) = faults.try_clone() {
            write_report(faults, &report);
        }
        127
    })?;
    match read_number(&mut numbers, child)? {
        NONE => Ok((child, None)),
        // SAFETY: the other process has made it in the table that was this one's, too, and nothing here knows of it.
        #[expect(unsafe_code, reason = "a descriptor that another process has put here")]
        number if number >= 0 => Ok((child, Some(unsafe { OwnedFd::from_raw_fd(number) }))),
        _ => {
            // It has told why, or is told of here.
            _ = waitpid(child, None);
            Err(refused("putting the command under a filter")(Errno::EPERM))
        }
    }
}

/// What is told instead of a number: that there is no listener, or that the process could not be prepared.
const NONE: i32 = -2;
const FAILED: i32 = -1;

/// Reads the number of a descriptor, as long as there is somebody to write it.
fn read_number(numbers: &mut std::fs::File, child: Pid) -> Result<i32, Refused> {
    const PATIENCE: u8 = 50;
    loop {
        let mut sources = [PollFd::new(numbers.as_fd(), PollFlags::POLLIN)];
        match poll(&mut sources, PollTimeout::from(PATIENCE)) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => break,
            Err(errno) => return Err(refused("poll")(errno)),
        }
        // This end of the pipe never closes, since the descriptors are shared.
        let options = WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::WEXITED;
        let ended = nix::sys::wait::waitid(nix::sys::wait::Id::Pid(child), options);
        if !matches!(ended, Ok(WaitStatus::StillAlive)) {
            return Ok(FAILED);
        }
    }
    let mut bytes = [0; 4];
    let read = numbers.read_exact(&mut bytes);
    Ok(read.map_or(FAILED, |()| i32::from_ne_bytes(bytes)))
}

/// Everything up to the filter, which makes the number of the listener.
pub(super) fn prepare(root: &Path, programs: &Path, network: Network) -> Result<Option<i32>, Refused> {
    // The supervisor, which has nothing to hide, must be able to look into it.
    nix::sys::prctl::set_dumpable(true).map_err(refused("prctl(PR_SET_DUMPABLE)"))?;
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(refused("prctl(PR_SET_PDEATHSIG)"))?;
    nix::unistd::chdir(root).map_err(refused("chdir to the root filesystem"))?;
    // For sockets, which it makes itself; for all else its umask is played.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(io_refused("capset"))?;
    nix::sys::prctl::set_no_new_privs().map_err(refused("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    let has_scopes = landlock_version().is_some_and(|version| version >= HAS_SCOPES);
    raise_second_wall(root, programs)?;
    let mut program = filter::program(&table::rules(network == Network::Host, has_scopes), table::LAST);
    filter::install_listening(&mut program).map(Some)
}

/// Nothing outside of these directories can be opened or executed; what the kernel has not is left out.
fn raise_second_wall(root: &Path, programs: &Path) -> Result<(), Refused> {
    let step = "landlock_create_ruleset";
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|ruleset| ruleset.scope(Scope::Signal | Scope::AbstractUnixSocket))
        .and_then(Ruleset::create)
        .map_err(|_| refused(step)(Errno::EINVAL))?;
    let reads = AccessFs::from_read(ABI::V5);
    // Of all that is made, only sockets are made by the process itself.
    for (directory, access) in [(root, reads | AccessFs::MakeSock), (programs, reads)] {
        let place = PathFd::new(directory).map_err(|_| refused("landlock_add_rule")(Errno::ENOENT))?;
        ruleset = ruleset
            .add_rule(PathBeneath::new(place, access))
            .map_err(|_| refused("landlock_add_rule")(Errno::EINVAL))?;
    }
    let restricted = ruleset.restrict_self();
    restricted
        .map(drop)
        .map_err(|_| refused("landlock_restrict_self")(Errno::EPERM))
}

/// Starts a process that has this one's table of descriptors: what it opens is open here.
fn start_sharing_descriptors(work: impl FnOnce() -> i32) -> Result<Pid, Refused> {
    let flags = libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: without a stack of its own and with a copy of the memory this is a fork; the supervisor has one thread, so
    // no lock is held by anybody else. The descriptors that both have are closed by neither until the child has left
    // the table.
    #[expect(unsafe_code, reason = "fork(2) cannot share descriptors")]
    let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match Errno::result(child).map_err(refused("clone"))? {
        0 => {
            let code = work();
            std::process::exit(code)
        }
        child => Ok(Pid::from_raw(child as i32)),
    }
}

/// Gives this process descriptors of its own. Docker's default filter forbids `unshare`, even for that; closing none with
/// this flag does the same (close_range(2), Linux 5.9).
fn leave_descriptors() -> Result<(), Refused> {
    const NONE_OF_THEM: libc::c_uint = i32::MAX as libc::c_uint;
    // SAFETY: there is no such descriptor, so nothing is closed.
    #[expect(unsafe_code, reason = "there is no safe form")]
    let done = unsafe {
        libc::close_range(
            NONE_OF_THEM,
            NONE_OF_THEM,
            libc::CLOSE_RANGE_UNSHARE as libc::c_int,
        )
    };
    Errno::result(done)
        .map(drop)
        .map_err(refused("close_range(CLOSE_RANGE_UNSHARE)"))
}

fn close(number: i32) {
    // SAFETY: it is this process's own copy, which nothing else here knows of.
    #[expect(unsafe_code, reason = "a number that nobody owns yet")]
    drop(unsafe { OwnedFd::from_raw_fd(number) });
}
