//! `/proc` in a chroot, where nothing can be mounted: calls that open, look at or read the links of something there are
//! served, all others pass.
//!
//! Directories of the machine's `/proc` are never given away: from one of them a process of root's could walk on by
//! itself, to other processes and through their links to everywhere.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;

use nix::libc;
use nix::unistd::{chdir, chroot};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use super::super::filter::{self, LAST_OF_ALL, Rule};
use super::super::walls::Walls;
use super::super::watch::{kill_descendants, read_report, wait, wait_serving};
use super::super::{Refused, private_pipe, refused};
use super::attach::Again;
use super::errno::Errno;
use super::listener::{Answer, Listener};
use super::programs::Programs;
use super::state::{State, States};
use super::walk::{Found, Last};
use super::{Call, Guard, io_refused, start, walk};
use crate::order::Report;
use crate::records::Records;
use crate::{Command, User};

/// Calls whose first argument is a path, and those whose second is.
const FIRST: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    libc::SYS_execve,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
];
const SECOND: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
];

/// Calls that the process makes itself, with the path that a link leads to: as who it is. A busybox that runs its commands
/// by itself executes `/proc/self/exe`; C libraries change modes of links by `/proc/self/fd`.
const BY_ITSELF: &[i64] = &[
    libc::SYS_execve,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
];

/// Where something of `/proc` is looked for: there, or behind a link that every image has.
const PLACES: [&[u8]; 6] = [
    b"/proc/",
    b"/dev/fd/",
    b"/dev/stdin",
    b"/dev/stdout",
    b"/dev/stderr",
    b"/etc/mtab",
];

/// Runs a command in a chroot, and ends what it leaves. Without a listener there is no `/proc`.
pub(in super::super) fn run(root: &Path, command: &Command, socket: &UnixStream) -> Result<Report, Refused> {
    let place = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, root, flags, Mode::empty()).map_err(io_refused("opening the root filesystem"))
    };
    let top = place()?;
    let stat = fstat(&top).map_err(io_refused("opening the root filesystem"))?;
    let path =
        walk::host_path(std::os::fd::AsFd::as_fd(&top)).map_err(io_refused("reading /proc/self/fd"))?;
    let (reader, writer) = private_pipe()?;
    let (child, listener) = match start::spawn(command, Walls::Chroot, writer, || prepare(root)) {
        Ok(started) => started,
        Err(Refused { step, errno }) => {
            return Ok(read_report(reader).unwrap_or_else(|| Report::failed(&step, errno)));
        }
    };
    let ended = match listener {
        None => wait(child, socket),
        Some(listener) => {
            let listener = Listener::new(listener);
            let source = listener.duplicate().map_err(io_refused("dup"))?;
            let state = Rc::new(State::new(&User::root(), top, place()?));
            let mut guard = Guard {
                listener,
                states: States::default(),
                records: Records::default(),
                programs: Programs::new(root.to_owned()),
                approved: HashMap::new(),
                top: (stat.st_dev, stat.st_ino),
                path,
                keeper: rustix::process::geteuid().as_raw(),
                plays_ids: false,
            };
            wait_serving(child, socket, &source, &mut || guard.serve_proc(&state))
        }
    };
    kill_descendants();
    Ok(read_report(reader).unwrap_or(ended?))
}

fn prepare(root: &Path) -> Result<Option<i32>, Refused> {
    chroot(root).map_err(refused("chroot"))?;
    chdir("/").map_err(refused("chdir"))?;
    nix::sys::prctl::set_no_new_privs().map_err(refused("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    let rules: Vec<(i64, Rule)> = FIRST
        .iter()
        .chain(SECOND)
        .map(|call| (*call, Rule::Serve))
        .collect();
    // Whoever is under such a filter already has no second listener.
    Ok(filter::install_listening(&mut filter::program(&rules, LAST_OF_ALL)).ok())
}

impl Guard {
    /// Serves one call that is about something in `/proc`, and lets others pass.
    fn serve_proc(&mut self, state: &Rc<State>) {
        let Ok(Some(caught)) = self.listener.next() else {
            return;
        };
        let call = Call {
            thread: caught.thread,
            number: caught.number,
            arguments: caught.arguments,
            caught,
            state: state.clone(),
            process: OnceCell::new(),
        };
        let answer = if self.is_approved(&call) || !self.is_in_proc(&call) {
            Ok(Answer::Continue)
        } else if self.listener.is_waiting(&caught) {
            self.serve_file(&call)
        } else {
            Ok(Answer::Answered)
        };
        self.listener.answer(&caught, answer);
    }

    fn is_approved(&mut self, call: &Call) -> bool {
        let approved = self.approved.remove(&call.thread);
        approved.is_some_and(|approved| approved.arguments == call.arguments)
    }

    fn serve_file(&mut self, call: &Call) -> Result<Answer, Errno> {
        if BY_ITSELF.contains(&call.number) {
            return self.lead_elsewhere(call);
        }
        match self.serve(call)? {
            Answer::Descriptor(opened, is_closed) => {
                let kind = FileType::from_raw_mode(fstat(&opened)?.st_mode);
                if kind == FileType::Directory {
                    Err(Errno::ACCESS)
                } else {
                    Ok(Answer::Descriptor(opened, is_closed))
                }
            }
            answer => Ok(answer),
        }
    }

    /// Has a call made again with the path that a link in `/proc` leads to.
    fn lead_elsewhere(&mut self, call: &Call) -> Result<Answer, Errno> {
        let argument = path_argument(call);
        let path = call.memory().read_path(call.arguments[argument])?;
        let Found::Process(names, _) = self.find(call, libc::AT_FDCWD, &path, Last::Follow)? else {
            return Ok(Answer::Continue);
        };
        let target = [self.process_link(call, &names)?.as_slice(), b"\0"].concat();
        let again = Again {
            texts: vec![(argument, target)],
            ..Again::default()
        };
        self.make_again(call, &again, None)
    }

    /// Whether a call names something in `/proc`. Whose memory cannot be read, since it is another user's, names nothing.
    fn is_in_proc(&self, call: &Call) -> bool {
        let argument = path_argument(call);
        let Ok(path) = call.memory().read_path(call.arguments[argument]) else {
            return false;
        };
        let last = if looks_at_links(call) {
            Last::Itself
        } else {
            Last::Follow
        };
        PLACES.iter().any(|place| path.starts_with(place))
            && matches!(
                self.find(call, libc::AT_FDCWD, &path, last),
                Ok(Found::Process(..))
            )
    }
}

/// Which argument is the path.
fn path_argument(call: &Call) -> usize {
    usize::from(!FIRST.contains(&call.number))
}

/// Whether a call is about a link itself where its path ends with one.
fn looks_at_links(call: &Call) -> bool {
    let [_, two, three, four, ..] = call.arguments;
    let has = |flags: u64, flag: i32| flags & flag as u64 != 0;
    match call.number {
        libc::SYS_readlinkat => true,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_readlink | libc::SYS_lstat => true,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => has(two, libc::O_NOFOLLOW),
        libc::SYS_openat => has(three, libc::O_NOFOLLOW),
        libc::SYS_newfstatat => has(four, libc::AT_SYMLINK_NOFOLLOW),
        libc::SYS_statx => has(three, libc::AT_SYMLINK_NOFOLLOW),
        _ => false,
    }
}
