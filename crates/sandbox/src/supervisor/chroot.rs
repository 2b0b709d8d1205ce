//! The second rung: a private directory and `chroot`.

use std::os::unix::net::UnixStream;

use nix::unistd::chroot;

pub(super) use super::ptrace::run_with_proc as run;
use super::watch::{read_report, start, wait};
use super::{Refused, private_pipe, refused, watch};
use crate::order::Report;

/// Tries what the rung needs: to change the root directory, and to make devices and other users' files.
pub(super) fn probe(socket: &UnixStream) -> Result<Report, Refused> {
    attempt(socket, || {
        chroot("/").map_err(refused("chroot"))?;
        nix::unistd::setgroups(&[]).map_err(refused("setgroups"))
    })
}

/// Does something in a process of its own, and tells whether it could be done.
pub(super) fn attempt(
    socket: &UnixStream,
    work: impl FnOnce() -> Result<(), Refused>,
) -> Result<Report, Refused> {
    let (reader, writer) = private_pipe()?;
    let child = start(|| {
        let report = match work() {
            Ok(()) => Report::Possible,
            Err(Refused { step, errno }) => Report::failed(&step, errno),
        };
        watch::write_report(writer, &report);
        0
    })?;
    let ended = wait(child, socket)?;
    Ok(read_report(reader).unwrap_or(ended))
}
