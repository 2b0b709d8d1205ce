//! Changes, written to disk.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use onlay_layer::{Change, ChangeKind, Content, ContentSource, ImagePath, Metadata, ModificationTime};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, futimens, linkat, makedev, mkdirat, openat,
    statat, symlinkat, unlinkat, utimensat,
};

use super::owners::Owners;
use crate::below::open_directory;

/// Which path failed, and how.
pub(super) type Fault = (ImagePath, io::Error);

/// Writes changes below a root directory.
pub(super) struct Writer<'a> {
    root: BorrowedFd<'a>,
    contents: &'a mut dyn ContentSource,
    owners: &'a mut Owners,
    build_time: i64,
    /// The directory that was written to last, since the next change is mostly there, too.
    parent: Option<(ImagePath, OwnedFd)>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        root: BorrowedFd<'a>,
        contents: &'a mut dyn ContentSource,
        owners: &'a mut Owners,
        build_time: i64,
    ) -> Self {
        Self {
            root,
            contents,
            owners,
            build_time,
            parent: None,
        }
    }

    /// Writes changes in the order of a layer. Directories get their times at the end, when nothing is put into them any
    /// more.
    pub(super) fn write(mut self, changes: &[Change]) -> Result<(), Fault> {
        for change in changes {
            self.change(change)
                .map_err(|error| (change.path.clone(), error))?;
        }
        let directories = changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Directory);
        for change in directories.rev() {
            self.set_directory_time(change)
                .map_err(|error| (change.path.clone(), error))?;
        }
        Ok(())
    }

    fn change(&mut self, change: &Change) -> io::Result<()> {
        let Some((parent, name)) = change.path.parent().zip(change.path.name()) else {
            return Ok(());
        };
        let name = name.to_vec();
        let parent = self.parent(&parent)?.try_clone()?;
        let parent = parent.as_fd();
        if change.kind == ChangeKind::Directory {
            return self.directory(parent, &name, change);
        }
        remove(parent, &name)?;
        match &change.kind {
            ChangeKind::Whiteout | ChangeKind::Directory => Ok(()),
            ChangeKind::File(content) => self.file(parent, &name, change, content),
            ChangeKind::HardLink(target) => self.second_name(parent, &name, change, target),
            ChangeKind::Symlink(target) => {
                symlinkat(target.as_slice(), parent, &*name)?;
                self.owners.set_link(parent, &name, &change.metadata)?;
                self.set_time(parent, &name, change)
            }
            ChangeKind::Fifo => self.special(parent, &name, change, FileType::Fifo, 0),
            ChangeKind::CharacterDevice { major, minor } => self.special(
                parent,
                &name,
                change,
                FileType::CharacterDevice,
                makedev(*major, *minor),
            ),
            ChangeKind::BlockDevice { major, minor } => self.special(
                parent,
                &name,
                change,
                FileType::BlockDevice,
                makedev(*major, *minor),
            ),
        }
    }

    fn parent(&mut self, path: &ImagePath) -> io::Result<&OwnedFd> {
        if self.parent.as_ref().is_none_or(|(known, _)| known != path) {
            self.parent = Some((path.clone(), open_directory(self.root, path)?));
        }
        match &self.parent {
            Some((_, directory)) => Ok(directory),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn directory(&mut self, parent: BorrowedFd<'_>, name: &[u8], change: &Change) -> io::Result<()> {
        let existing = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
        let is_there =
            existing.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        if !is_there {
            remove(parent, name)?;
            mkdirat(parent, name, Mode::RWXU)?;
        }
        let directory = openat(parent, name, READ_DIRECTORY, Mode::empty())?;
        self.owners.set(&directory, &change.metadata)
    }

    fn file(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        change: &Change,
        content: &Content,
    ) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = std::fs::File::from(file);
        self.copy(content, &mut file)?;
        self.owners.set(&file, &change.metadata)?;
        Ok(futimens(&file, &self.times(change.mtime))?)
    }

    fn copy(&mut self, content: &Content, file: &mut std::fs::File) -> io::Result<()> {
        match content {
            Content::Bytes(bytes) => io::Write::write_all(file, bytes),
            Content::Concatenation(parts) => parts.iter().try_for_each(|part| self.copy(part, file)),
            other => io::copy(&mut self.contents.open(other)?, file).map(drop),
        }
    }

    /// A second name of a file of the layers below becomes a file of its own: what a command does to one name leaves the
    /// others as they are, as on an overlay file system.
    fn second_name(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        change: &Change,
        target: &ImagePath,
    ) -> io::Result<()> {
        let (Some(directory), Some(existing)) = (target.parent(), target.name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = open_directory(self.root, &directory)?;
        if !is_regular(directory.as_fd(), existing)? {
            return Ok(linkat(directory, existing, parent, name, AtFlags::empty())?);
        }
        let file = duplicate(directory.as_fd(), existing, parent, name)?;
        self.owners.set(&file, &change.metadata)?;
        Ok(futimens(&file, &self.times(change.mtime))?)
    }

    fn special(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        change: &Change,
        kind: FileType,
        device: u64,
    ) -> io::Result<()> {
        self.owners
            .make_special(parent, name, &change.metadata, kind, device)?;
        self.set_time(parent, name, change)
    }

    fn set_time(&self, parent: BorrowedFd<'_>, name: &[u8], change: &Change) -> io::Result<()> {
        let times = self.times(change.mtime);
        Ok(utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn set_directory_time(&mut self, change: &Change) -> io::Result<()> {
        let times = self.times(change.mtime);
        let directory = open_directory(self.root, &change.path)?;
        Ok(futimens(&directory, &times)?)
    }

    fn times(&self, mtime: ModificationTime) -> Timestamps {
        let seconds = match mtime {
            ModificationTime::Build => self.build_time,
            ModificationTime::Seconds(seconds) => seconds,
        };
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        Timestamps {
            last_access: time,
            last_modification: time,
        }
    }
}

const READ_DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

fn is_regular(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// Copies the bytes of a file to a new one, which shares them where the file system can.
fn duplicate(
    from: BorrowedFd<'_>,
    existing: &[u8],
    to: BorrowedFd<'_>,
    name: &[u8],
) -> io::Result<std::fs::File> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut source = std::fs::File::from(openat(from, existing, read, Mode::empty())?);
    let mut file = std::fs::File::from(openat(to, name, create, Mode::RUSR | Mode::WUSR)?);
    io::copy(&mut source, &mut file)?;
    Ok(file)
}

/// Gives a name of a file a file of its own, the same in all else.
pub(super) fn split(root: BorrowedFd<'_>, owners: &mut Owners, path: &ImagePath) -> io::Result<()> {
    const TEMPORARY: &[u8] = b".onlay-split";
    let (Some(directory), Some(name)) = (path.parent(), path.name()) else {
        return Ok(());
    };
    let directory = open_directory(root, &directory)?;
    let directory = directory.as_fd();
    if !is_regular(directory, name)? {
        return Ok(());
    }
    let before = rustix::fs::fstat(directory)?;
    let stat = owners.show(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?);
    remove(directory, TEMPORARY)?;
    let file = duplicate(directory, name, directory, TEMPORARY)?;
    let metadata = Metadata {
        xattrs: owners.capabilities(directory, name)?,
        ..Metadata::owned(stat.st_mode, stat.st_uid, stat.st_gid)
    };
    owners.set(&file, &metadata)?;
    futimens(&file, &times_of(&stat))?;
    rustix::fs::renameat(directory, TEMPORARY, directory, name)?;
    Ok(futimens(directory, &times_of(&before))?)
}

fn times_of(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds as _,
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Removes whatever has a name, with all below it; nothing may be there.
pub(super) fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => remove_directory(parent, name),
        Err(error) => Err(error.into()),
    }
}

/// Goes down and up by one descriptor, however deep the directory.
fn remove_directory(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let mut current = openat(parent, name, READ_DIRECTORY, Mode::empty())?;
    let mut names: Vec<Vec<u8>> = vec![name.to_vec()];
    loop {
        match empty(&current)? {
            Some(child) => {
                current = openat(&current, &*child, READ_DIRECTORY, Mode::empty())?;
                names.push(child);
            }
            None => {
                let Some(emptied) = names.pop() else { return Ok(()) };
                if names.is_empty() {
                    return Ok(unlinkat(parent, &*emptied, AtFlags::REMOVEDIR)?);
                }
                current = openat(&current, "..", READ_DIRECTORY, Mode::empty())?;
                unlinkat(&current, &*emptied, AtFlags::REMOVEDIR)?;
            }
        }
    }
}

/// Removes what is no directory with something in it; gives the first that is.
fn empty(directory: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        match unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => {
                if unlinkat(directory, name, AtFlags::REMOVEDIR).is_err() {
                    return Ok(Some(name.to_vec()));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
