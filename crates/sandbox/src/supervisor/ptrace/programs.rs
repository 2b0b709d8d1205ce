//! Programs that need a loader: the kernel would look for it in the machine's files, so a copy of the program names the
//! loader's place in the private root directory.

use std::collections::HashMap;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, Stat, fstat, mkdirat, openat, renameat};

use super::elf::{Elf, interpreter_entry};
use super::errno::{Errno, of_io};
use super::files::reopen;

/// The copies, in a directory that the command cannot see. They are kept as long as the root directory.
#[derive(Debug)]
pub(super) struct Programs {
    directory: PathBuf,
    /// What each is a copy of, by its path on the machine.
    originals: HashMap<Vec<u8>, Vec<u8>>,
}

impl Programs {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            originals: HashMap::new(),
        }
    }

    /// The path, as the command knows it, of a program of which there is a copy here.
    pub(super) fn original(&self, copy: &[u8]) -> Option<&[u8]> {
        self.originals.get(copy).map(Vec::as_slice)
    }

    /// The path on the machine of a copy of a program that names its loader by the path there. `shown` is the program's
    /// path as the command knows it.
    pub(super) fn copy(
        &mut self,
        program: &OwnedFd,
        elf: &Elf,
        loader: (&OwnedFd, &[u8]),
        shown: &[u8],
    ) -> Result<Vec<u8>, Errno> {
        use std::os::unix::ffi::OsStrExt;
        let place = self.directory.join(format!(
            "{}-{}",
            stamp(&fstat(program)?),
            stamp(&fstat(loader.0)?)
        ));
        let name = shown.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let path = place.join(std::ffi::OsStr::from_bytes(name));
        let bytes = path.as_os_str().as_bytes().to_vec();
        if !path.exists() {
            match mkdirat(CWD, &place, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            let making = place.join(".making");
            self.write(&making, program, elf, loader.1)?;
            renameat(CWD, &making, CWD, &path)?;
        }
        self.originals.insert(bytes.clone(), shown.to_vec());
        Ok(bytes)
    }

    fn write(&self, to: &PathBuf, program: &OwnedFd, elf: &Elf, loader: &[u8]) -> Result<(), Errno> {
        let io = |error: std::io::Error| of_io(&error);
        let mut from = std::fs::File::from(reopen(program.as_fd(), OFlags::RDONLY, Mode::empty())?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mut file = std::fs::File::from(openat(CWD, to, flags, Mode::RWXU)?);
        std::io::copy(&mut from, &mut file).map_err(io)?;
        let end = file.seek(SeekFrom::End(0)).map_err(io)?;
        file.write_all(&[loader, b"\0"].concat()).map_err(io)?;
        for (offset, bytes) in interpreter_entry(elf, end, loader.len() as u64 + 1) {
            file.write_all_at(&bytes, offset).map_err(io)?;
        }
        Ok(())
    }
}

/// What tells one state of a file from another.
fn stamp(stat: &Stat) -> String {
    format!("{}-{}-{}", stat.st_ino, stat.st_ctime, stat.st_ctime_nsec)
}
