//! What a command needs in its root filesystem beside the image: places to mount on, files of the machine, devices. All
//! of it goes again, so that no layer knows of it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use onlay_layer::ImagePath;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Timestamps, chmodat, fchmod, futimens, makedev,
    mkdirat, mknodat, openat, renameat_with, statat, symlinkat, unlinkat,
};

use crate::Rung;
use crate::below::{open_directory, open_root};
use crate::records::{Record, Records};

/// What was made, last first.
pub(crate) struct Stubs<'a> {
    root: OwnedFd,
    made: Vec<Made>,
    /// What is recorded of the files of the root filesystem.
    records: &'a mut Records,
    /// Directories that something was made in, with their times before.
    times: Vec<(ImagePath, Timestamps)>,
}

enum Made {
    Directory(ImagePath),
    File(ImagePath),
    /// A file in place of the image's, which waits elsewhere.
    Replaced(ImagePath, PathBuf),
}

/// The devices that every program may count on (kernel documentation, devices.txt).
pub(crate) const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// What is in `/dev` beside devices.
pub(crate) const DEVICE_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Where scripts are shown (dockerfile.md 1.4).
pub(crate) const SCRIPTS: &str = "dev/pipes";

impl<'a> Stubs<'a> {
    /// Makes what a rung needs. `files` are shown in place of the image's; `aside` is a directory on the same file system.
    pub(crate) fn make(
        root: &Path,
        rung: Rung,
        files: &[(String, PathBuf)],
        aside: &Path,
        records: &'a mut Records,
    ) -> io::Result<Self> {
        let mut stubs = Self {
            root: open_root(root)?,
            made: Vec::new(),
            records,
            times: Vec::new(),
        };
        let made = stubs.make_all(rung, files, aside);
        if made.is_err() {
            // The first error is the one to tell.
            _ = stubs.remove();
        }
        made.map(|()| stubs)
    }

    /// What is recorded of the files of the root filesystem, with these.
    pub(crate) fn records(&self) -> &Records {
        self.records
    }

    fn make_all(&mut self, rung: Rung, files: &[(String, PathBuf)], aside: &Path) -> io::Result<()> {
        for name in ["dev", "proc", "sys", "etc"] {
            self.directory(name)?;
        }
        match rung {
            Rung::Namespaces => files.iter().try_for_each(|(path, _)| self.empty_file(path)),
            Rung::Chroot | Rung::Ptrace => {
                if files.iter().any(|(path, _)| path.starts_with(SCRIPTS)) {
                    self.directory(SCRIPTS)?;
                }
                for (number, (path, source)) in files.iter().enumerate() {
                    self.replace(path, source, &aside.join(number.to_string()))?;
                }
                self.devices(rung)
            }
        }
    }

    fn directory(&mut self, name: &str) -> io::Result<()> {
        let path = ImagePath::clamped(name.as_bytes()).map_err(io::Error::other)?;
        let parent = self.parent(&path)?;
        let name = path.name().unwrap_or_default();
        let mode = Mode::from_raw_mode(0o755);
        match mkdirat(&parent, name, mode) {
            Ok(()) => {
                // The umask is the caller's.
                chmodat(&parent, name, mode, AtFlags::empty())?;
                self.record(&parent, name, None)?;
                self.made.push(Made::Directory(path));
            }
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// A file to mount on, where the image has none.
    fn empty_file(&mut self, path: &str) -> io::Result<()> {
        let path = ImagePath::clamped(path.as_bytes()).map_err(io::Error::other)?;
        let Ok(parent) = self.parent(&path) else {
            // No directory: then nothing is mounted either.
            return Ok(());
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(
            &parent,
            path.name().unwrap_or_default(),
            flags,
            Mode::from_raw_mode(0o644),
        ) {
            Ok(_) => self.made.push(Made::File(path)),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Puts a copy of a file where the image has its own, or none.
    fn replace(&mut self, path: &str, source: &Path, aside: &Path) -> io::Result<()> {
        let path = ImagePath::clamped(path.as_bytes()).map_err(io::Error::other)?;
        let Ok(parent) = self.parent(&path) else {
            return Ok(());
        };
        let name = path.name().unwrap_or_default();
        match renameat_with(&parent, name, CWD, aside, RenameFlags::empty()) {
            Ok(()) => self.made.push(Made::Replaced(path.clone(), aside.to_owned())),
            Err(rustix::io::Errno::NOENT) => self.made.push(Made::File(path.clone())),
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut from = fs_err::File::open(source)?;
        let mode = Mode::from_raw_mode(from.metadata()?.permissions().mode() & 0o777);
        let file = openat(&parent, name, flags, mode)?;
        fchmod(&file, mode)?;
        self.record(&parent, name, None)?;
        io::copy(&mut from, &mut std::fs::File::from(file)).map(drop)
    }

    /// Says what a new file is: root's, or a device. Another file may have had its inode before.
    fn record(
        &mut self,
        parent: &OwnedFd,
        name: impl rustix::path::Arg,
        device: Option<u64>,
    ) -> io::Result<()> {
        let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        self.records
            .set(&stat, device.map_or_else(|| Record::plain(&stat), Record::device));
        Ok(())
    }

    /// The devices, or files of which it is recorded that they are devices.
    fn devices(&mut self, rung: Rung) -> io::Result<()> {
        let parent = self.parent(&dev("null")?)?;
        for (name, major, minor) in DEVICES {
            let mode = Mode::from_raw_mode(0o666);
            let device = makedev(major, minor);
            let (kind, on_disk, recorded) = if rung.owns_files() {
                (FileType::CharacterDevice, device, None)
            } else {
                (FileType::RegularFile, 0, Some(device))
            };
            match mknodat(&parent, name, kind, mode, on_disk) {
                Ok(()) => {
                    chmodat(&parent, name, mode, AtFlags::empty())?;
                    self.made.push(Made::File(dev(name)?));
                    self.record(&parent, name, recorded)?;
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for (name, target) in DEVICE_LINKS {
            if symlinkat(target, &parent, name).is_ok() {
                self.record(&parent, name, None)?;
                self.made.push(Made::File(dev(name)?));
            }
        }
        Ok(())
    }

    /// The directory that a path is in; its times are kept.
    fn parent(&mut self, path: &ImagePath) -> io::Result<OwnedFd> {
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        let opened = open_directory(self.root.as_fd(), &parent)?;
        if !self.times.iter().any(|(known, _)| *known == parent) {
            let stat = rustix::fs::fstat(&opened)?;
            let time = |seconds, nanoseconds: u64| rustix::fs::Timespec {
                tv_sec: seconds,
                tv_nsec: nanoseconds as _,
            };
            let times = Timestamps {
                last_access: time(stat.st_atime, stat.st_atime_nsec),
                last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
            };
            self.times.push((parent, times));
        }
        Ok(opened)
    }

    /// Removes what was made, but for directories that the command has put something into, and puts back what was there.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        while let Some(made) = self.made.pop() {
            match made {
                Made::Directory(path) => self.unlink(&path, AtFlags::REMOVEDIR)?,
                Made::File(path) => self.unlink(&path, AtFlags::empty())?,
                Made::Replaced(path, aside) => {
                    self.unlink(&path, AtFlags::empty())?;
                    let parent = path.parent().unwrap_or_else(ImagePath::root);
                    if let Ok(parent) = open_directory(self.root.as_fd(), &parent) {
                        let name = path.name().unwrap_or_default();
                        renameat_with(CWD, &aside, &parent, name, RenameFlags::empty())?;
                    }
                }
            }
        }
        for (path, times) in self.times.drain(..) {
            // The command may have removed it.
            if let Ok(directory) = open_directory(self.root.as_fd(), &path) {
                futimens(&directory, &times)?;
            }
        }
        Ok(())
    }

    fn unlink(&self, path: &ImagePath, flags: AtFlags) -> io::Result<()> {
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        let Ok(parent) = open_directory(self.root.as_fd(), &parent) else {
            return Ok(());
        };
        let name = path.name().unwrap_or_default();
        let is_empty = |flags: AtFlags| {
            flags.contains(AtFlags::REMOVEDIR)
                || statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| !is_directory(stat.st_mode))
        };
        if !is_empty(flags) {
            return Ok(());
        }
        match unlinkat(&parent, name, flags) {
            Ok(())
            | Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTEMPTY | rustix::io::Errno::NOTDIR) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn is_directory(mode: u32) -> bool {
    FileType::from_raw_mode(mode) == FileType::Directory
}

fn dev(name: &str) -> io::Result<ImagePath> {
    let path = ImagePath::root()
        .join(b"dev")
        .and_then(|dev| dev.join(name.as_bytes()));
    path.map_err(io::Error::other)
}
