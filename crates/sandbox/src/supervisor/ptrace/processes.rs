//! System calls about other processes: only the command's own are reached.

use nix::errno::Errno as NixErrno;
use nix::libc;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::super::watch::{descendants, parent_of};
use super::errno::{Errno, of_nix};
use super::listener::Answer;
use super::{Call, Guard};

/// What a command sees as the machine's name (dockerfile.md 1.10).
const HOST_NAME: &[u8] = b"buildkitsandbox\0";

/// Whether a process descends from the supervisor.
pub(super) fn is_ours(process: i32) -> bool {
    let own = Pid::this().as_raw();
    let mut current = process;
    // The chain ends at process 1, whose parent is 0.
    while current > 1 {
        match parent_of(current) {
            Some(parent) if parent == own => return true,
            Some(parent) => current = parent,
            None => return false,
        }
    }
    false
}

impl Guard {
    /// kill and its kin, where nothing else keeps signals inside.
    pub(super) fn signal(&mut self, call: &Call) -> Result<Answer, Errno> {
        let target = call.arguments[0] as i32;
        if call.number != libc::SYS_kill || target > 0 {
            return if is_ours(target) {
                Ok(Answer::Continue)
            } else {
                Err(Errno::SRCH)
            };
        }
        if target != -1 {
            // The supervisor began a session, so a group of the command's has nobody else in it.
            let group = if target == 0 {
                Pid::from_raw(call.process())
            } else {
                Pid::from_raw(-target)
            };
            return if is_ours(group.as_raw()) {
                Ok(Answer::Continue)
            } else {
                Err(Errno::SRCH)
            };
        }
        // All but the caller.
        let signal = match call.arguments[1] as i32 {
            0 => None,
            number => Some(nix::sys::signal::Signal::try_from(number).map_err(of_nix)?),
        };
        let own = call.process();
        let mut result = Err(Errno::SRCH);
        for process in descendants(Pid::this())
            .into_iter()
            .filter(|process| process.as_raw() != own)
        {
            match kill(process, signal) {
                Ok(()) | Err(NixErrno::ESRCH) => result = Ok(Answer::Value(0)),
                Err(errno) => result = Err(of_nix(errno)),
            }
        }
        result
    }

    /// prlimit, getrlimit and setrlimit of the limit that serves as a mark, and limits of other processes.
    pub(super) fn limit(&mut self, call: &Call) -> Result<Answer, Errno> {
        let (resource, target) = match call.number {
            libc::SYS_prlimit64 => (call.arguments[1] as u32, call.arguments[0] as i32),
            _ => (call.arguments[0] as u32, 0),
        };
        if target != 0 && target != call.process() && !is_ours(target) {
            return Err(Errno::SRCH);
        }
        if resource != libc::RLIMIT_RTTIME {
            return Ok(Answer::Continue);
        }
        let old = match call.number {
            libc::SYS_prlimit64 => call.arguments[3],
            libc::SYS_getrlimit => call.arguments[1],
            _ => 0,
        };
        if old != 0 {
            call.memory().write(old, &[0xFF; 16])?;
        }
        Ok(Answer::Value(0))
    }

    pub(super) fn machine(&mut self, call: &Call) -> Result<Answer, Errno> {
        /// The length of each of the six fields of `struct new_utsname`.
        const FIELD: usize = 65;
        let names = rustix::system::uname();
        let host = std::ffi::CStr::from_bytes_with_nul(HOST_NAME).unwrap_or_default();
        let fields = [
            names.sysname(),
            host,
            names.release(),
            names.version(),
            names.machine(),
            c"(none)",
        ];
        let mut bytes = Vec::with_capacity(6 * FIELD);
        for (index, field) in fields.iter().enumerate() {
            let field = field.to_bytes();
            bytes.extend(&field[..field.len().min(FIELD - 1)]);
            bytes.resize((index + 1) * FIELD, 0);
        }
        call.memory().write(call.arguments[0], &bytes)?;
        Ok(Answer::Value(0))
    }
}
