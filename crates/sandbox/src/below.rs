//! Files below a root directory, however hostile what is in it: no path leaves it, and no symbolic link is followed
//! unless that is said.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use onlay_layer::ImagePath;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// The longest path that the kernel takes at once, with some room (limits.h, `PATH_MAX`).
const LONGEST: usize = 4000;

/// Opens a root directory itself.
pub(crate) fn open_root(directory: &std::path::Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, directory, DIRECTORY, Mode::empty())?)
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens a directory; a symbolic link anywhere on the way is an error.
pub(crate) fn open_directory(root: BorrowedFd<'_>, path: &ImagePath) -> io::Result<OwnedFd> {
    let mut current: Option<OwnedFd> = None;
    let mut piece: Vec<u8> = Vec::new();
    for name in path.names() {
        if piece.len() + name.len() > LONGEST {
            let next = open_piece(current.as_ref().map_or(root, |fd| fd.as_fd()), &piece)?;
            (current, piece) = (Some(next), Vec::new());
        }
        if !piece.is_empty() {
            piece.push(b'/');
        }
        piece.extend(name);
    }
    if piece.is_empty() {
        piece.push(b'.');
    }
    open_piece(current.as_ref().map_or(root, |fd| fd.as_fd()), &piece)
}

fn open_piece(at: BorrowedFd<'_>, piece: &[u8]) -> io::Result<OwnedFd> {
    let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(at, piece, DIRECTORY, Mode::empty(), strict) {
        Err(rustix::io::Errno::NOSYS) => one_by_one(at, piece),
        opened => Ok(opened?),
    }
}

/// The same where the kernel is older than 5.6.
fn one_by_one(at: BorrowedFd<'_>, piece: &[u8]) -> io::Result<OwnedFd> {
    let mut current = openat(at, ".", DIRECTORY, Mode::empty())?;
    for name in piece.split(|&byte| byte == b'/') {
        current = openat(&current, name, DIRECTORY, Mode::empty())?;
    }
    Ok(current)
}

/// Opens a file for reading with symbolic links followed as a process does whose root directory it is.
pub(crate) fn open_file_as_inside(root: BorrowedFd<'_>, path: &str) -> io::Result<std::fs::File> {
    open_as_inside(root, path, OFlags::RDONLY | OFlags::NONBLOCK).map(std::fs::File::from)
}

/// Opens a place, to be mounted on, in the same way.
pub(crate) fn open_place_as_inside(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    open_as_inside(root, path, OFlags::PATH)
}

fn open_as_inside(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC;
    Ok(openat2(root, path, flags, Mode::empty(), inside)?)
}
