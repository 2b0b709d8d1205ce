use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use bstr::{BString, ByteSlice};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::directory::ContextError;

/// How often opening is tried again when the kernel says that a directory on the way was being moved.
const ATTEMPTS: u32 = 8;

/// A regular file of a context, open for reading.
///
/// It gives exactly as many bytes as the walk has found, or an error that names the file.
#[derive(Debug)]
pub struct ContextFile {
    file: File,
    path: BString,
    size: u64,
    read: u64,
}

impl ContextFile {
    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn changed(&self) -> ContextError {
        ContextError::Changed {
            path: self.path.clone(),
            expected: self.size,
            found: self.read,
        }
    }
}

impl Read for ContextFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        let ended_early = count == 0 && !buffer.is_empty() && self.read < self.size;
        if ended_early || self.read > self.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, self.changed()));
        }
        Ok(count)
    }
}

pub(crate) fn open(root: &OwnedFd, path: &[u8], size: u64) -> Result<ContextFile, ContextError> {
    let fault = |errno| match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV | Errno::ISDIR | Errno::NXIO => {
            ContextError::NotAFile { path: path.into() }
        }
        errno => ContextError::Entry {
            path: path.into(),
            source: io::Error::from(errno),
        },
    };
    let descriptor = open_beneath(root, path).map_err(fault)?;
    let stat = rustix::fs::fstat(&descriptor).map_err(fault)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(ContextError::NotAFile { path: path.into() });
    }
    let file = ContextFile {
        file: File::from(descriptor),
        path: path.into(),
        size,
        read: u64::try_from(stat.st_size).unwrap_or_default(),
    };
    match file.read == size {
        true => Ok(ContextFile { read: 0, ..file }),
        false => Err(file.changed()),
    }
}

/// Does not block on a pipe, nor take a terminal, that was put in the file's place.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

fn open_beneath(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(root, path, FILE, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            // Old kernels do not have the call, and some filters of system calls forbid what they do not know.
            Err(Errno::NOSYS | Errno::PERM) => break,
            done => return done,
        }
    }
    open_by_components(root, path)
}

/// Goes down one directory at a time, none of them a link.
fn open_by_components(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let (directories, name) = match path.rsplit_once_str("/") {
        Some((directories, name)) => (directories, name),
        None => (&b""[..], path),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut inner: Option<OwnedFd> = None;
    for component in directories
        .split_str("/")
        .filter(|component| !component.is_empty())
    {
        let parent = inner.as_ref().unwrap_or(root);
        if component == b".." {
            return Err(Errno::XDEV);
        }
        inner = Some(rustix::fs::openat(
            parent.as_fd(),
            component,
            flags,
            Mode::empty(),
        )?);
    }
    if name == b".." {
        return Err(Errno::XDEV);
    }
    rustix::fs::openat(inner.as_ref().unwrap_or(root).as_fd(), name, FILE, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Open = fn(&OwnedFd, &[u8]) -> Result<OwnedFd, Errno>;

    /// The way without openat2 refuses the same.
    #[test]
    fn both_ways_stay_beneath() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs_err::create_dir_all(path.join("root/inner")).unwrap();
        fs_err::write(path.join("root/inner/file"), "").unwrap();
        fs_err::write(path.join("outside"), "").unwrap();
        std::os::unix::fs::symlink("inner", path.join("root/link")).unwrap();
        std::os::unix::fs::symlink("inner/file", path.join("root/file-link")).unwrap();
        let root = OwnedFd::from(File::from(fs_err::File::open(path.join("root")).unwrap()));
        for open in [open_beneath as Open, open_by_components] {
            open(&root, b"inner/file").unwrap();
            assert_eq!(open(&root, b"none").unwrap_err(), Errno::NOENT);
            for path in ["link/file", "file-link", "../outside", "inner/../../outside"] {
                let errno = open(&root, path.as_bytes()).unwrap_err();
                assert!(
                    [Errno::LOOP, Errno::NOTDIR, Errno::XDEV].contains(&errno),
                    "{path}: {errno}"
                );
            }
        }
    }
}
