//! Calls that may wait for somebody else: a pipe with a name is opened when both ends are.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::super::watch::start;
use super::errno::Errno;
use super::files::reopen;
use super::listener::Answer;
use super::{Call, Guard};

impl Guard {
    /// Opens a pipe in a process of its own, which answers the call when that is done. If nobody ever opens the other end,
    /// it goes with everything else at the end of the command.
    pub(super) fn open_later(&self, call: &Call, file: &OwnedFd, flags: OFlags) -> Result<(), Errno> {
        let started = start(|| {
            let opened = reopen(file.as_fd(), flags, Mode::empty());
            let is_closed = flags.contains(OFlags::CLOEXEC);
            let answer = opened.map(|opened| Answer::Descriptor(opened, is_closed));
            self.listener.answer(&call.caught, answer);
            0
        });
        started.map(drop).map_err(|_| Errno::AGAIN)
    }
}
