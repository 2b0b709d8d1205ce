//! System calls that make, remove and rename names, and those about where a process stands.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::libc;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, fstat, linkat, mkdirat, mknodat, openat,
    renameat_with, symlinkat, unlinkat,
};

use super::changes::link_to;
use super::errno::Errno;
use super::listener::Answer;
use super::permission::{Made, mode_of_new};
use super::state::State;
use super::walk::{Found, Last, PLACE, entry};
use super::{Call, Guard};

impl Guard {
    pub(super) fn make_directory(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, ..] = call.arguments;
        let (at, path, mode) = match call.number {
            libc::SYS_mkdir => (libc::AT_FDCWD, one, two),
            _ => (one as i32, two, three),
        };
        self.make(
            call,
            at,
            path,
            FileType::Directory,
            mode,
            |directory, name, made| mkdirat(directory, name, Mode::from_raw_mode(mode_of_new(made.mode))),
        )
    }

    pub(super) fn make_node(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, four, ..] = call.arguments;
        let (at, path, mode, device) = match call.number {
            libc::SYS_mknod => (libc::AT_FDCWD, one, two, three),
            _ => (one as i32, two, three, four),
        };
        let kind = match mode as u32 & libc::S_IFMT {
            0 => FileType::RegularFile,
            kind => FileType::from_raw_mode(kind),
        };
        let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        match kind {
            FileType::Directory => return Err(Errno::PERM),
            FileType::Symlink | FileType::Unknown => return Err(Errno::INVAL),
            _ if is_device && !call.state.overrides_files() => return Err(Errno::PERM),
            _ => {}
        }
        self.make(call, at, path, kind, mode, |directory, name, made| {
            // The bits of a device's number are the same to the kernel as to programs.
            made.device = if is_device { u64::from(device as u32) } else { 0 };
            let on_disk = if is_device { FileType::RegularFile } else { kind };
            mknodat(
                directory,
                name,
                on_disk,
                Mode::from_raw_mode(mode_of_new(made.mode)),
                0,
            )
        })
    }

    pub(super) fn make_symlink(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, ..] = call.arguments;
        let target = call.memory().read_path(one)?;
        if target.is_empty() {
            return Err(Errno::NOENT);
        }
        let (at, path) = match call.number {
            libc::SYS_symlink => (libc::AT_FDCWD, two),
            _ => (two as i32, three),
        };
        self.make(call, at, path, FileType::Symlink, 0o777, |directory, name, _| {
            symlinkat(target.as_slice(), directory, name)
        })
    }

    /// Makes something under a new name, and remembers whose it is.
    fn make(
        &mut self,
        call: &Call,
        at: i32,
        path: u64,
        kind: FileType,
        mode: u64,
        make: impl FnOnce(&OwnedFd, &[u8], &mut Made) -> Result<(), Errno>,
    ) -> Result<Answer, Errno> {
        let path = call.memory().read_path(path)?;
        let (directory, name) = self.name(call, at, &path)?;
        let above = self.writable(call, &directory, &name)?;
        let mut made = self.made(call, &above, kind, mode as u32);
        make(&directory, &name, &mut made)?;
        let name = name.strip_suffix(b"/").unwrap_or(&name);
        self.record(&entry(&directory, name)?, made);
        Ok(Answer::Value(0))
    }

    /// Fails unless a name can be made in a directory; that it is there counts more than that it may not be.
    fn writable(&self, call: &Call, directory: &OwnedFd, name: &[u8]) -> Result<rustix::fs::Stat, Errno> {
        let above = fstat(directory)?;
        match self.check(call, &above, 3) {
            Err(_) if entry(directory, name).is_ok() => Err(Errno::EXIST),
            checked => checked.map(|()| above),
        }
    }

    /// unlink, rmdir, unlinkat.
    pub(super) fn remove(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, ..] = call.arguments;
        let (at, path, flags) = match call.number {
            libc::SYS_unlink => (libc::AT_FDCWD, one, AtFlags::empty()),
            libc::SYS_rmdir => (libc::AT_FDCWD, one, AtFlags::REMOVEDIR),
            _ => (one as i32, two, AtFlags::from_bits_retain(three as u32)),
        };
        let path = call.memory().read_path(path)?;
        let (directory, name) = self.name(call, at, &path)?;
        let above = fstat(&directory)?;
        let found = entry(&directory, &name)?;
        self.check_removal(call, &above, &found)?;
        unlinkat(&directory, &*name, flags)?;
        Ok(Answer::Value(0))
    }

    /// rename, renameat, renameat2.
    pub(super) fn rename(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, four, five, _] = call.arguments;
        let (from_at, from, to_at, to, flags) = match call.number {
            libc::SYS_rename => (libc::AT_FDCWD, one, libc::AT_FDCWD, two, 0),
            libc::SYS_renameat => (one as i32, two, three as i32, four, 0),
            _ => (one as i32, two, three as i32, four, five),
        };
        let (from, to) = (call.memory().read_path(from)?, call.memory().read_path(to)?);
        let (from_directory, from_name) = self.name(call, from_at, &from)?;
        let (to_directory, to_name) = self.name(call, to_at, &to)?;
        let moved = entry(&from_directory, &from_name)?;
        self.check_removal(call, &fstat(&from_directory)?, &moved)?;
        let above = fstat(&to_directory)?;
        self.check(call, &above, 3)?;
        if let Ok(replaced) = entry(&to_directory, &to_name) {
            self.check_removal(call, &above, &replaced)?;
        }
        // A whiteout would be a device of the overlay's; nobody but an overlay asks for it.
        let flags = RenameFlags::from_bits_retain(flags as u32);
        if flags.contains(RenameFlags::WHITEOUT) {
            return Err(Errno::INVAL);
        }
        renameat_with(&from_directory, &*from_name, &to_directory, &*to_name, flags)?;
        Ok(Answer::Value(0))
    }

    /// link, linkat.
    pub(super) fn link(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, four, five, _] = call.arguments;
        let (file, at, path) = match call.number {
            libc::SYS_link => {
                let flags = libc::AT_SYMLINK_NOFOLLOW as u32;
                (
                    self.file_at(call, libc::AT_FDCWD, one, flags)?,
                    libc::AT_FDCWD,
                    two,
                )
            }
            _ => {
                let follows = five as i32 & libc::AT_SYMLINK_FOLLOW != 0;
                let empty = five as u32 & libc::AT_EMPTY_PATH as u32;
                let flags = if follows {
                    empty
                } else {
                    empty | libc::AT_SYMLINK_NOFOLLOW as u32
                };
                (self.file_at(call, one as i32, two, flags)?, three as i32, four)
            }
        };
        let path = call.memory().read_path(path)?;
        let (directory, name) = self.name(call, at, &path)?;
        self.writable(call, &directory, &name)?;
        let stat = fstat(&file)?;
        if stat.st_dev != self.top.0 {
            return Err(Errno::XDEV);
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            // A place cannot be named by its descriptor if that leads further, so by where it is.
            let path = super::walk::host_path(file.as_fd())?;
            linkat(CWD, path.as_slice(), &directory, &*name, AtFlags::empty())?;
        } else {
            linkat(
                CWD,
                link_to(file.as_fd()),
                &directory,
                &*name,
                AtFlags::SYMLINK_FOLLOW,
            )?;
        }
        Ok(Answer::Value(0))
    }

    /// chdir, fchdir.
    pub(super) fn change_directory(&mut self, call: &Call) -> Result<Answer, Errno> {
        let directory = Rc::new(self.new_directory(call, libc::SYS_fchdir)?);
        let state = State {
            directory,
            ..State::clone(&call.state)
        };
        self.states.set(call.thread, state)?;
        Ok(Answer::Value(0))
    }

    pub(super) fn change_root(&mut self, call: &Call) -> Result<Answer, Errno> {
        if !call.state.is_root() {
            return Err(Errno::PERM);
        }
        let root = Rc::new(self.new_directory(call, -1)?);
        let state = State {
            root,
            ..State::clone(&call.state)
        };
        self.states.set(call.thread, state)?;
        Ok(Answer::Value(0))
    }

    fn new_directory(&self, call: &Call, by_descriptor: i64) -> Result<OwnedFd, Errno> {
        let place = if call.number == by_descriptor {
            call.descriptor(call.arguments[0] as i32)?
        } else {
            let path = call.memory().read_path(call.arguments[0])?;
            match self.find(call, libc::AT_FDCWD, &path, Last::Follow)? {
                // The place itself is there, and empty.
                Found::Process(names, _) if names.is_empty() => {
                    openat(&*call.state.root, "proc", PLACE, Mode::empty())?
                }
                Found::File(file) => file,
                _ => return Err(Errno::ACCESS),
            }
        };
        let stat = fstat(&place)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        self.check(call, &stat, 1)?;
        if self.path_of(call, place.as_fd()).is_none() {
            return Err(Errno::ACCESS);
        }
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(
            CWD,
            format!("/proc/self/fd/{}", place.as_raw_fd()),
            directory,
            Mode::empty(),
        )
    }

    pub(super) fn working_directory(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [into, room, ..] = call.arguments;
        let directory = call.state.directory.as_fd();
        if fstat(directory)?.st_nlink == 0 {
            return Err(Errno::NOENT);
        }
        let mut path = self.path_of(call, directory).ok_or(Errno::NOENT)?;
        path.push(0);
        if path.len() as u64 > room {
            return Err(Errno::RANGE);
        }
        call.memory().write(into, &path)?;
        Ok(Answer::Value(path.len() as i64))
    }
}
