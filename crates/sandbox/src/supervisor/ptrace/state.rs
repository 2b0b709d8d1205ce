//! What is kept for every process: who it is, where it stands.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::libc;

use super::super::watch::descendants;
use super::errno::{Errno, checked};
use crate::User;

/// What a process is and where it stands, as far as that is played to it. Threads share it; a child begins with that of
/// its parent.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) user: Ids,
    pub(super) group: Ids,
    /// Supplementary groups.
    pub(super) groups: Rc<[u32]>,
    pub(super) umask: u32,
    /// The working directory.
    pub(super) directory: Rc<OwnedFd>,
    /// The root directory.
    pub(super) root: Rc<OwnedFd>,
}

/// The four ids of a process (credentials(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    pub(super) file_system: u32,
}

impl Ids {
    pub(super) fn all(id: u32) -> Self {
        Self {
            real: id,
            effective: id,
            saved: id,
            file_system: id,
        }
    }

    /// Tells whether a process without privileges may become this.
    pub(super) fn has(self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }
}

impl State {
    pub(super) fn new(user: &User, root: OwnedFd, directory: OwnedFd) -> Self {
        Self {
            user: Ids::all(user.uid),
            group: Ids::all(user.gid),
            groups: user.groups.clone().into(),
            umask: 0o022,
            directory: Rc::new(directory),
            root: Rc::new(root),
        }
    }

    /// Tells whether it may do what it likes with ids.
    pub(super) fn is_root(&self) -> bool {
        self.user.effective == 0
    }

    /// Tells whether it may do what it likes with files.
    pub(super) fn overrides_files(&self) -> bool {
        self.user.file_system == 0
    }

    pub(super) fn is_in_group(&self, gid: u32) -> bool {
        self.group.file_system == gid || self.groups.contains(&gid)
    }

    /// Tells whether it may read (4), write (2) and search or execute (1) a file (path_resolution(7)).
    pub(super) fn allows(&self, record: &crate::records::Record, wanted: u32) -> bool {
        let is_directory = record.kind() == rustix::fs::FileType::Directory;
        if self.overrides_files() {
            return wanted & 1 == 0 || is_directory || record.mode & 0o111 != 0;
        }
        let shift = if self.user.file_system == record.uid {
            6
        } else if self.is_in_group(record.gid) {
            3
        } else {
            0
        };
        (record.mode >> shift) & wanted == wanted
    }
}

/// The states of all processes.
///
/// Which process has which is kept by the kernel, in the soft limit `RLIMIT_RTTIME`: a number that a child inherits, that
/// an exec leaves alone, that can be read and set from outside, and that means nothing to who has no real-time priority
/// (getrlimit(2)). No fork has to be watched for that, and none is missed.
#[derive(Debug, Default)]
pub(super) struct States(Vec<Option<Rc<State>>>);

/// The limit of the first state, in microseconds: far more than anything that could run out.
const FIRST: u64 = 1 << 50;

/// How many states there may be before those that nobody has are dropped.
const MANY: usize = 512;

impl States {
    /// The state of a thread's process.
    pub(super) fn of(&self, thread: i32) -> Result<Rc<State>, Errno> {
        let number = limit(thread)?.checked_sub(FIRST).ok_or(Errno::SRCH)?;
        let state = usize::try_from(number).ok().and_then(|number| self.0.get(number));
        state.cloned().flatten().ok_or(Errno::SRCH)
    }

    /// Gives a thread's process another state.
    pub(super) fn set(&mut self, thread: i32, state: State) -> Result<(), Errno> {
        let number = self.place();
        set_limit(thread, FIRST + number as u64)?;
        self.0[number] = Some(Rc::new(state));
        Ok(())
    }

    /// A number that is free.
    fn place(&mut self) -> usize {
        if self.0.len() >= MANY && self.0.iter().all(Option::is_some) {
            self.drop_unused();
        }
        self.0.iter().position(Option::is_none).unwrap_or_else(|| {
            self.0.push(None);
            self.0.len() - 1
        })
    }

    /// Drops what no process has. A process that is being born meanwhile has the state of its parent.
    fn drop_unused(&mut self) {
        let mut is_used = vec![false; self.0.len()];
        for process in descendants(nix::unistd::Pid::this()) {
            let number = limit(process.as_raw())
                .ok()
                .and_then(|limit| limit.checked_sub(FIRST));
            if let Some(used) = number.and_then(|number| is_used.get_mut(number as usize)) {
                *used = true;
            }
        }
        for (state, _) in self.0.iter_mut().zip(is_used).filter(|(_, is_used)| !is_used) {
            *state = None;
        }
    }
}

/// The limit that serves as a mark.
fn limit(process: i32) -> Result<u64, Errno> {
    prlimit(process, None).map(|limit| limit.rlim_cur)
}

fn set_limit(process: i32, soft: u64) -> Result<(), Errno> {
    let hard = prlimit(process, None)?.rlim_max;
    let wanted = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    prlimit(process, Some(wanted)).map(drop)
}

/// Sets the mark of this process, and of those that it will start: tells whether the rung is possible.
pub(super) fn try_mark() -> Result<(), Errno> {
    set_limit(0, FIRST)
}

fn prlimit(process: i32, new: Option<libc::rlimit64>) -> Result<libc::rlimit64, Errno> {
    let mut old = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the kernel reads one structure, if there is one, and writes the other; both outlive the call.
    #[expect(unsafe_code, reason = "no crate at hand reads the limits of another process")]
    let done = unsafe { libc::prlimit64(process, libc::RLIMIT_RTTIME, new, &raw mut old) };
    checked(i64::from(done)).map(|_| old)
}
