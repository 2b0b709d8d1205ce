//! Paths, resolved in the private root directory as the kernel would if it were the root directory.
//!
//! Nobody but the supervisor changes names there while a command runs, so that nothing moves between two steps of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::libc;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat, statat};

use super::errno::{Errno, of_io};
use super::{Call, Guard};

/// What becomes of the last name of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// A symbolic link is followed.
    Follow,
    /// It is not.
    Itself,
    /// It is followed; what is missing at its end is to be made.
    Make,
    /// It is not looked at.
    Name,
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found {
    /// A file, opened as a place (`O_PATH`).
    File(OwnedFd),
    /// A name in a directory.
    Name(OwnedFd, Vec<u8>),
    /// Something in `/proc`, by the names below that, with links at the end followed or not.
    Process(Vec<Vec<u8>>, bool),
}

/// How many symbolic links are followed (path_resolution(7)).
const MOST_LINKS: usize = 40;

pub(super) const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Guard {
    /// What a path leads to, from the directory that an argument names.
    pub(super) fn find(&self, call: &Call, at: i32, path: &[u8], last: Last) -> Result<Found, Errno> {
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        let is_absolute = path[0] == b'/';
        let start = if is_absolute {
            call.state.root.clone()
        } else {
            self.directory(call, at)?
        };
        if !is_absolute && at != libc::AT_FDCWD && fstat(&*start)?.st_dev != self.top.0 {
            // None of the image's directories: the kernel must not go on from there by itself.
            let path = [host_path(start.as_fd())?.as_slice(), b"/", path].concat();
            let below = below(&path, b"/proc").ok_or(Errno::ACCESS)?;
            let names = below.split(|&byte| byte == b'/').map(<[u8]>::to_vec);
            return self.in_proc(call, names, last);
        }
        if call.state.overrides_files()
            && let Some(found) = Self::find_at_once(&start, path, last)
        {
            return Ok(found);
        }
        self.walk(call, &start, path, last)
    }

    /// What names below `/proc` lead to.
    fn in_proc(&self, call: &Call, names: impl Iterator<Item = Vec<u8>>, last: Last) -> Result<Found, Errno> {
        let mut found: Vec<Vec<u8>> = Vec::new();
        let mut names = names.filter(|name| !matches!(name.as_slice(), b"" | b"."));
        while let Some(name) = names.next() {
            match (name.as_slice(), found.last()) {
                (b"..", None) => {
                    let rest: Vec<Vec<u8>> = names.collect();
                    let path = [b"/", rest.join(&b'/').as_slice()].concat();
                    return self.walk(call, &call.state.root.clone(), &path, last);
                }
                // What is above a link's end is elsewhere.
                (b"..", Some(above)) if matches!(above.as_slice(), b"cwd" | b"root" | b"exe") => {
                    return Err(Errno::ACCESS);
                }
                (b"..", Some(_)) => drop(found.pop()),
                _ => found.push(name),
            }
        }
        Ok(Found::Process(found, last != Last::Itself))
    }

    /// The file that a path leads to.
    pub(super) fn file(&self, call: &Call, at: i32, path: &[u8], last: Last) -> Result<OwnedFd, Errno> {
        match self.find(call, at, path, last)? {
            Found::File(file) => Ok(file),
            Found::Process(names, follows) => self.process_file(call, &names, follows),
            Found::Name(..) => Err(Errno::NOENT),
        }
    }

    /// The directory and the name that a path names. Nothing in `/proc` can be made, removed or renamed.
    pub(super) fn name(&self, call: &Call, at: i32, path: &[u8]) -> Result<(OwnedFd, Vec<u8>), Errno> {
        match self.find(call, at, path, Last::Name)? {
            Found::Name(directory, name) => Ok((directory, name)),
            Found::File(_) | Found::Process(..) => Err(Errno::PERM),
        }
    }

    /// The directory that relative paths start from.
    pub(super) fn directory(&self, call: &Call, at: i32) -> Result<Rc<OwnedFd>, Errno> {
        match at {
            libc::AT_FDCWD => Ok(call.state.directory.clone()),
            descriptor => call.descriptor(descriptor).map(Rc::new),
        }
    }

    /// Lets the kernel do all of it: for root, where nothing is in the way. None if it has to be looked at more closely.
    fn find_at_once(start: &OwnedFd, path: &[u8], last: Last) -> Option<Found> {
        let is_absolute = path[0] == b'/';
        let is_parent_named = path.split(|&byte| byte == b'/').any(|name| name == b"..");
        let is_inside = if is_absolute {
            !begins_with_proc(path)
        } else {
            !is_parent_named
        };
        if !is_inside {
            return None;
        }
        // From a root directory, links and parents stay inside it. From elsewhere they need to know what is above.
        let resolve = if is_absolute {
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS
        } else {
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS
        };
        let (path, name) = if last == Last::Name {
            split(path)?
        } else {
            (path, None)
        };
        let flags = match last {
            Last::Itself => PLACE,
            Last::Follow | Last::Make => OFlags::PATH | OFlags::CLOEXEC,
            Last::Name => OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY,
        };
        let opened = openat2(start, path, flags, Mode::empty(), resolve).ok()?;
        Some(match name {
            Some(name) => Found::Name(opened, name),
            None => Found::File(opened),
        })
    }

    /// Name by name, with everything that the kernel looks at.
    fn walk(&self, call: &Call, start: &OwnedFd, path: &[u8], last: Last) -> Result<Found, Errno> {
        let root = fstat(&*call.state.root)?;
        let is_root = |stat: &rustix::fs::Stat| (stat.st_dev, stat.st_ino) == (root.st_dev, root.st_ino);
        let mut current = start.try_clone().map_err(|error| of_io(&error))?;
        let mut rest: Vec<Vec<u8>> = Vec::new();
        push(&mut rest, path);
        let mut links = 0;
        while let Some(name) = rest.pop() {
            let directory = fstat(&current)?;
            self.check(call, &directory, 1)?;
            let slash = rest.last().is_some_and(Vec::is_empty) && rest.len() == 1;
            let is_last = rest.is_empty() || slash;
            if is_last && last == Last::Name {
                let mut name = if name.is_empty() { b".".to_vec() } else { name };
                if slash {
                    name.push(b'/');
                }
                return Ok(Found::Name(current, name));
            }
            match name.as_slice() {
                b"" | b"." => continue,
                b".." if is_root(&directory) || self.is_top(&directory) => continue,
                b".." => {
                    current = openat(&current, "..", PLACE, Mode::empty())?;
                    continue;
                }
                b"proc" if self.is_top(&directory) => {
                    let last = if slash { Last::Follow } else { last };
                    return self.in_proc(call, rest.into_iter().rev(), last);
                }
                _ => {}
            }
            let next = match openat(&current, &*name, PLACE, Mode::empty()) {
                Err(rustix::io::Errno::NOENT) if is_last && last == Last::Make && !slash => {
                    return Ok(Found::Name(current, name));
                }
                next => next?,
            };
            let kind = FileType::from_raw_mode(fstat(&next)?.st_mode);
            if kind == FileType::Symlink && (!is_last || slash || last != Last::Itself) {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = readlinkat(&next, "", Vec::new())?.into_bytes();
                if target.first() == Some(&b'/') {
                    current = call.state.root.try_clone().map_err(|error| of_io(&error))?;
                }
                push(&mut rest, &target);
                continue;
            }
            if kind != FileType::Directory && (!is_last || slash) {
                return Err(Errno::NOTDIR);
            }
            if is_last {
                return Ok(Found::File(next));
            }
            current = next;
        }
        if last == Last::Name {
            return Ok(Found::Name(current, b".".to_vec()));
        }
        Ok(Found::File(current))
    }

    /// Whether this is the top of the private root directory, below which the places of `/proc` are.
    pub(super) fn is_top(&self, stat: &rustix::fs::Stat) -> bool {
        (stat.st_dev, stat.st_ino) == self.top
    }

    /// Fails unless a process may do this with a file.
    pub(super) fn check(&self, call: &Call, stat: &rustix::fs::Stat, wanted: u32) -> Result<(), Errno> {
        if call.state.allows(&self.records.of(stat), wanted) {
            Ok(())
        } else {
            Err(Errno::ACCESS)
        }
    }

    /// Where a place is, as a command knows it; none if it is none of the private root directory's.
    pub(super) fn path_of(&self, call: &Call, place: BorrowedFd<'_>) -> Option<Vec<u8>> {
        let path = host_path(place).ok()?;
        let root = host_path(call.state.root.as_fd()).ok()?;
        below(&path, &root).or_else(|| below(&path, &self.path))
    }
}

/// What is left of a path below another.
pub(super) fn below(path: &[u8], top: &[u8]) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(top)?;
    match rest.first() {
        None => Some(b"/".to_vec()),
        Some(b'/') => Some(rest.to_vec()),
        Some(_) => None,
    }
}

/// The path of an open file on the machine.
pub(super) fn host_path(place: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", place.as_raw_fd());
    Ok(readlinkat(rustix::fs::CWD, link, Vec::new())?.into_bytes())
}

/// What is in a directory under a name, if anything.
pub(super) fn entry(directory: &OwnedFd, name: &[u8]) -> Result<rustix::fs::Stat, Errno> {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// The names of a path, last first, before those that are still to be walked. An empty last name stands for a slash at
/// the end.
fn push(rest: &mut Vec<Vec<u8>>, path: &[u8]) {
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let count = names.len();
    let kept = names
        .into_iter()
        .enumerate()
        .filter(|(index, name)| !name.is_empty() || (*index + 1 == count && count > 1));
    let kept: Vec<Vec<u8>> = kept.map(|(_, name)| name.to_vec()).collect();
    // More than one slash at the end of a link's target and of the path that it is in are one.
    rest.extend(kept.into_iter().rev());
}

fn begins_with_proc(path: &[u8]) -> bool {
    let mut names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
    let first = names.find(|name| *name != b".");
    // A parent may come before it.
    first == Some(b"proc") || path.windows(4).any(|window| window == b"/../")
}

/// A path without its last name; none if that is a matter for a closer look.
fn split(path: &[u8]) -> Option<(&[u8], Option<Vec<u8>>)> {
    let (directory, name) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) => (&path[..1], &path[1..]),
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b"."[..], path),
    };
    let is_plain = !name.is_empty() && name != b"." && name != b"..";
    is_plain.then(|| (directory, Some(name.to_vec())))
}
