//! The numbers of errors, from the crates that give them.

use std::io;

pub(super) use rustix::io::Errno;

/// Of a result of the standard library.
pub(super) fn of_io(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Of a result of `nix`.
pub(super) fn of_nix(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}

/// What a system call gave, as the C library gives it.
pub(super) fn checked(value: i64) -> Result<i64, Errno> {
    nix::errno::Errno::result(value).map_err(of_nix)
}
