//! Where caught system calls come from, and their answers go to (seccomp_unotify(2)).

use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc::{self, seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp};

use super::errno::{Errno, checked};

/// The descriptor that the filter gave.
pub(super) struct Listener(OwnedFd);

/// A system call that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caught {
    pub(super) id: u64,
    /// The thread.
    pub(super) thread: i32,
    pub(super) number: i64,
    pub(super) arguments: [u64; 6],
}

/// What a caught call gives.
#[derive(Debug)]
pub(super) enum Answer {
    /// This value.
    Value(i64),
    /// A new descriptor, closed by an exec or not.
    Descriptor(OwnedFd, bool),
    /// The kernel carries it out as it stands.
    Continue,
    /// It has been answered already.
    Answered,
}

impl Listener {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// The same once more, to be waited for.
    pub(super) fn duplicate(&self) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.0, 0)
    }

    /// The next call; none if who made it is gone. It waits if there is none.
    pub(super) fn next(&self) -> Result<Option<Caught>, Errno> {
        // SAFETY: all of it is numbers, for which zero is a value; the kernel wants it zeroed.
        #[expect(unsafe_code, reason = "a C structure without pointers")]
        let mut caught: seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills in the structure that this request takes.
        #[expect(unsafe_code, reason = "an ioctl")]
        let done = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                &raw mut caught,
            )
        };
        match checked(i64::from(done)) {
            Ok(_) => Ok(Some(Caught {
                id: caught.id,
                thread: caught.pid as i32,
                number: i64::from(caught.data.nr),
                arguments: caught.data.args,
            })),
            Err(Errno::NOENT | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether the call still waits, so that its thread is the one that made it.
    pub(super) fn is_waiting(&self, caught: &Caught) -> bool {
        let id = caught.id;
        // SAFETY: the kernel reads the number.
        #[expect(unsafe_code, reason = "an ioctl")]
        let done = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
                &raw const id,
            )
        };
        done == 0
    }

    /// Answers. That the thread is gone is nothing to anybody.
    pub(super) fn answer(&self, caught: &Caught, answer: Result<Answer, Errno>) {
        match answer {
            Ok(Answer::Answered) => {}
            Ok(Answer::Value(value)) => self.send(caught, value, 0, 0),
            Ok(Answer::Continue) => self.send(caught, 0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Ok(Answer::Descriptor(descriptor, is_closed)) => match self.add(caught, &descriptor, is_closed) {
                Ok(number) => self.send(caught, i64::from(number), 0, 0),
                Err(errno) => self.send(caught, 0, errno.raw_os_error(), 0),
            },
            Err(errno) => self.send(caught, 0, errno.raw_os_error(), 0),
        }
    }

    fn send(&self, caught: &Caught, val: i64, errno: i32, flags: u32) {
        let response = seccomp_notif_resp {
            id: caught.id,
            val,
            error: -errno,
            flags,
        };
        // SAFETY: the kernel reads the structure that this request takes.
        #[expect(unsafe_code, reason = "an ioctl")]
        unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw const response,
            );
        }
    }

    /// Gives the process that waits a descriptor.
    fn add(&self, caught: &Caught, descriptor: &OwnedFd, is_closed: bool) -> Result<i32, Errno> {
        let added = seccomp_notif_addfd {
            id: caught.id,
            flags: 0,
            srcfd: descriptor.as_raw_fd() as u32,
            newfd: 0,
            newfd_flags: if is_closed { libc::O_CLOEXEC as u32 } else { 0 },
        };
        // SAFETY: the kernel reads the structure that this request takes.
        #[expect(unsafe_code, reason = "an ioctl")]
        let number = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ADDFD,
                &raw const added,
            )
        };
        checked(i64::from(number)).map(|number| number as i32)
    }
}
