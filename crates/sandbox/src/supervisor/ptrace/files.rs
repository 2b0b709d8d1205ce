//! System calls that open files, or look at them.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, StatxFlags, fstat, fstatfs, openat, readlinkat, statx,
};

use super::attach::Again;
use super::errno::Errno;
use super::listener::Answer;
use super::permission::{Made, mode_of_new};
use super::walk::{Found, Last, host_path};
use super::{Call, Guard};
use crate::records::is_harmless;

/// How a file is to be opened.
#[derive(Clone, Copy)]
struct How {
    at: i32,
    path: u64,
    flags: OFlags,
    mode: u32,
}

impl Guard {
    /// open, creat, openat, openat2.
    pub(super) fn open(&mut self, call: &Call) -> Result<Answer, Errno> {
        let how = how(call)?;
        let path = call.memory().read_path(how.path)?;
        let is_closed = how.flags.contains(OFlags::CLOEXEC);
        let opened = self.open_path(call, how, &path)?;
        Ok(match opened {
            Some(opened) => Answer::Descriptor(opened, is_closed),
            None => Answer::Answered,
        })
    }

    /// Opens a file as the process could; none if that takes time, and the call is answered later.
    fn open_path(&mut self, call: &Call, how: How, path: &[u8]) -> Result<Option<OwnedFd>, Errno> {
        let creates = how.flags.contains(OFlags::CREATE);
        let is_new = creates && how.flags.contains(OFlags::EXCL);
        let last = if how.flags.contains(OFlags::NOFOLLOW) || is_new {
            Last::Itself
        } else {
            Last::Follow
        };
        let found = match self.find(call, how.at, path, last) {
            Err(Errno::NOENT) if creates => match last {
                Last::Itself => self.find(call, how.at, path, Last::Name)?,
                _ => self.find(call, how.at, path, Last::Make)?,
            },
            found => found?,
        };
        match found {
            Found::Name(directory, name) => self.create(call, how, &directory, &name).map(Some),
            Found::Process(names, follows) => self.open_process(call, &names, follows, how.flags).map(Some),
            Found::File(_) if is_new => Err(Errno::EXIST),
            Found::File(file) => self.open_place(call, how, file),
        }
    }

    fn create(&mut self, call: &Call, how: How, directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        let above = fstat(directory)?;
        self.check(call, &above, 3)?;
        let made = self.made(call, &above, FileType::RegularFile, how.mode);
        let flags = how.flags | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(
            directory,
            name,
            flags,
            Mode::from_raw_mode(mode_of_new(made.mode)),
        )?;
        self.record(&fstat(&file)?, made);
        Ok(file)
    }

    /// Opens a file that is there.
    fn open_place(&mut self, call: &Call, how: How, file: OwnedFd) -> Result<Option<OwnedFd>, Errno> {
        let stat = fstat(&file)?;
        if how.flags.contains(OFlags::PATH) {
            return self.open_as_place(call, how, &file, &stat);
        }
        let record = self.records.of(&stat);
        let wanted = wanted(how.flags);
        self.check(call, &stat, wanted)?;
        match record.kind() {
            FileType::Symlink => return Err(Errno::LOOP),
            FileType::CharacterDevice | FileType::BlockDevice => {
                return open_device(record.device, how.flags).map(Some);
            }
            FileType::Fifo if !how.flags.contains(OFlags::NONBLOCK) => {
                self.open_later(call, &file, how.flags)?;
                return Ok(None);
            }
            _ => {}
        }
        // `O_TMPFILE` has the bit of `O_DIRECTORY`, too.
        let is_temporary = how.flags.contains(OFlags::TMPFILE);
        if is_temporary {
            self.check(call, &stat, 3)?;
        }
        let made = is_temporary.then(|| self.made(call, &stat, FileType::RegularFile, how.mode));
        let mode = made.map_or(0, |made| mode_of_new(made.mode));
        let opened = reopen(file.as_fd(), how.flags, Mode::from_raw_mode(mode))?;
        match made {
            Some(made) => self.record(&fstat(&opened)?, made),
            None if wanted & 2 != 0 => self.written(call, &stat),
            None => {}
        }
        Ok(Some(opened))
    }

    /// Opens a file that is only to be named by its descriptor. A place itself cannot be put into another process
    /// (`SECCOMP_IOCTL_NOTIF_ADDFD` takes none), so it is opened for reading, which serves for whatever may follow; a
    /// link or a socket the process opens itself.
    fn open_as_place(
        &mut self,
        call: &Call,
        how: How,
        file: &OwnedFd,
        stat: &Stat,
    ) -> Result<Option<OwnedFd>, Errno> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::Symlink | FileType::Socket) {
            let directory = how.flags & OFlags::DIRECTORY;
            return reopen(file.as_fd(), OFlags::NONBLOCK | directory, Mode::empty()).map(Some);
        }
        if how.flags.contains(OFlags::DIRECTORY) {
            return Err(Errno::NOTDIR);
        }
        let path = [host_path(file.as_fd())?.as_slice(), b"\0"].concat();
        let argument = if call.number == libc::SYS_open { 0 } else { 1 };
        let again = Again {
            texts: vec![(argument, path)],
            ..Again::default()
        };
        self.make_again(call, &again, None).map(|_| None)
    }

    /// Remembers who made a new file.
    pub(super) fn record(&mut self, stat: &Stat, made: Made) {
        self.records.set(stat, made.record());
    }

    /// stat, lstat, fstat, newfstatat.
    pub(super) fn stat(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, four, ..] = call.arguments;
        let memory = call.memory();
        let (file, into) = match call.number {
            libc::SYS_fstat => (call.descriptor(one as i32)?, two),
            libc::SYS_newfstatat => (self.file_at(call, one as i32, two, four as u32)?, three),
            number => {
                let last = if number == libc::SYS_stat {
                    Last::Follow
                } else {
                    Last::Itself
                };
                (
                    self.file(call, libc::AT_FDCWD, &memory.read_path(one)?, last)?,
                    two,
                )
            }
        };
        let shown = self.show(call, fstat(&file)?);
        memory.write(into, &bytes_of(&shown))?;
        Ok(Answer::Value(0))
    }

    /// A file as a process sees it: what is not of the image and the keeper's is the process's.
    pub(super) fn show(&self, call: &Call, stat: Stat) -> Stat {
        if stat.st_dev == self.top.0 {
            return self.records.show(stat);
        }
        let mut stat = stat;
        if stat.st_uid == self.keeper {
            stat.st_uid = call.state.user.effective;
            stat.st_gid = call.state.group.effective;
        }
        stat
    }

    pub(super) fn statx(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [at, path, flags, mask, into, _] = call.arguments;
        let file = self.file_at(call, at as i32, path, flags as u32)?;
        let mask = StatxFlags::from_bits_retain(mask as u32 & !libc::STATX__RESERVED as u32);
        let mut found = statx(&file, "", AtFlags::EMPTY_PATH, mask | StatxFlags::BASIC_STATS)?;
        let shown = self.show(call, fstat(&file)?);
        found.stx_mode = shown.st_mode as u16;
        found.stx_uid = shown.st_uid;
        found.stx_gid = shown.st_gid;
        found.stx_rdev_major = rustix::fs::major(shown.st_rdev);
        found.stx_rdev_minor = rustix::fs::minor(shown.st_rdev);
        call.memory().write(into, &bytes_of(&found))?;
        Ok(Answer::Value(0))
    }

    /// The file of a directory, a path and flags, as the `*at` calls name it.
    pub(super) fn file_at(&self, call: &Call, at: i32, path: u64, flags: u32) -> Result<OwnedFd, Errno> {
        let flags = AtFlags::from_bits_retain(flags);
        let last = if flags.contains(AtFlags::SYMLINK_NOFOLLOW) {
            Last::Itself
        } else {
            Last::Follow
        };
        // Some programs name nothing at all with an empty path.
        let is_empty = flags.contains(AtFlags::EMPTY_PATH);
        let path = if path == 0 && is_empty {
            Vec::new()
        } else {
            call.memory().read_path(path)?
        };
        if path.is_empty() && is_empty {
            let file = self.directory(call, at)?;
            return file.try_clone().map_err(|error| super::errno::of_io(&error));
        }
        self.file(call, at, &path, last)
    }

    /// access, faccessat, faccessat2.
    pub(super) fn access(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, four, ..] = call.arguments;
        let (at, path, wanted, flags) = match call.number {
            libc::SYS_access => (libc::AT_FDCWD, one, two, 0),
            libc::SYS_faccessat => (one as i32, two, three, 0),
            _ => (one as i32, two, three, four as u32),
        };
        if wanted & !7 != 0 {
            return Err(Errno::INVAL);
        }
        let file = self.file_at(call, at, path, flags)?;
        // It asks what the real user may, unless it is told otherwise.
        let mut state = (*call.state).clone();
        if flags & libc::AT_EACCESS as u32 == 0 {
            state.user.file_system = state.user.real;
            state.group.file_system = state.group.real;
        }
        let stat = fstat(&file)?;
        if stat.st_dev == self.top.0 {
            return match state.allows(&self.records.of(&stat), wanted as u32) {
                true => Ok(Answer::Value(0)),
                false => Err(Errno::ACCESS),
            };
        }
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::access(link, rustix::fs::Access::from_bits_retain(wanted as u32))?;
        Ok(Answer::Value(0))
    }

    pub(super) fn read_link(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, four, ..] = call.arguments;
        let (at, path, into, room) = match call.number {
            libc::SYS_readlink => (libc::AT_FDCWD, one, two, three),
            _ => (one as i32, two, three, four),
        };
        if room as i32 <= 0 {
            return Err(Errno::INVAL);
        }
        let path = call.memory().read_path(path)?;
        let target = match path.is_empty() {
            true => readlinkat(call.descriptor(at)?, "", Vec::new())?.into_bytes(),
            false => match self.find(call, at, &path, Last::Itself)? {
                Found::Process(names, _) => self.process_link(call, &names)?,
                Found::File(file) => readlinkat(&file, "", Vec::new())
                    .map_err(not_a_link)?
                    .into_bytes(),
                Found::Name(..) => return Err(Errno::NOENT),
            },
        };
        let length = target.len().min(room as i32 as usize);
        call.memory().write(into, &target[..length])?;
        Ok(Answer::Value(length as i64))
    }

    pub(super) fn file_system(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [path, into, ..] = call.arguments;
        let path = call.memory().read_path(path)?;
        let file = self.file(call, libc::AT_FDCWD, &path, Last::Follow)?;
        let found = fstatfs(&file)?;
        call.memory().write(into, &bytes_of(&found))?;
        Ok(Answer::Value(0))
    }
}

/// An open of a link without a target's form gives that; of another file it is no link.
fn not_a_link(errno: Errno) -> Errno {
    if errno == Errno::NOENT {
        Errno::INVAL
    } else {
        errno
    }
}

fn how(call: &Call) -> Result<How, Errno> {
    let [one, two, three, four, ..] = call.arguments;
    let (at, path, flags, mode) = match call.number {
        libc::SYS_open => (libc::AT_FDCWD, one, two, three),
        libc::SYS_creat => {
            let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
            (libc::AT_FDCWD, one, flags as u64, two)
        }
        libc::SYS_openat => (one as i32, two, three, four),
        _ => {
            // struct open_how: flags, mode, resolve.
            if four < 24 {
                return Err(Errno::INVAL);
            }
            let flags = call.memory().read_number(three)?;
            let mode = call.memory().read_number(three + 8)?;
            if call.memory().read_number(three + 16)? != 0 {
                // Its restrictions are not played: programs fall back to openat.
                return Err(Errno::NOSYS);
            }
            (one as i32, two, flags, mode)
        }
    };
    Ok(How {
        at,
        path,
        flags: OFlags::from_bits_retain(flags as u32),
        mode: mode as u32 & 0o7777,
    })
}

/// What a process wants to do with what it opens: read (4), write (2).
fn wanted(flags: OFlags) -> u32 {
    let truncates = if flags.contains(OFlags::TRUNC) { 2 } else { 0 };
    truncates
        | match flags & OFlags::RWMODE {
            OFlags::RDONLY => 4,
            OFlags::WRONLY => 2,
            _ => 6,
        }
}

/// Opens what a descriptor is of, once more.
pub(super) fn reopen(file: BorrowedFd<'_>, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = flags.difference(OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW);
    openat(CWD, link, flags | OFlags::CLOEXEC | OFlags::NOCTTY, mode)
}

/// The devices of the machine that every container has.
fn open_device(device: u64, flags: OFlags) -> Result<OwnedFd, Errno> {
    let known = crate::stubs::DEVICES
        .iter()
        .find(|(_, major, minor)| rustix::fs::makedev(*major, *minor) == device);
    match known {
        Some((name, ..)) if is_harmless(device) => {
            let flags = flags.difference(OFlags::CREATE | OFlags::EXCL | OFlags::TRUNC);
            openat(
                CWD,
                format!("/dev/{name}"),
                flags | OFlags::CLOEXEC,
                Mode::empty(),
            )
        }
        // As the rules for devices of a container say.
        _ => Err(Errno::PERM),
    }
}

/// A C structure of numbers, as it lies in memory.
fn bytes_of<T>(value: &T) -> Vec<u8> {
    let pointer = std::ptr::from_ref(value).cast::<u8>();
    // SAFETY: it is only called with structures of the kernel's, which are numbers without padding between them that
    // anybody has left uninitialised: they came from the kernel whole, zeroed before.
    #[expect(unsafe_code, reason = "there is no safe view of a C structure's bytes")]
    let bytes = unsafe { std::slice::from_raw_parts(pointer, size_of::<T>()) };
    bytes.to_vec()
}
