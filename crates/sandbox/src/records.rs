//! What a file is to a command where the machine lets onlay own nothing but its own: owners, modes, devices and
//! capabilities, kept beside the files.

use std::collections::HashMap;

use rustix::fs::{FileType, Stat, makedev};
use serde::{Deserialize, Serialize};

/// What is recorded of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Kind and permissions, as in `st_mode`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Of a device, its number.
    pub(crate) device: u64,
    /// The extended attribute `security.capability`.
    pub(crate) capabilities: Option<Vec<u8>>,
}

impl Record {
    /// A file of root's with nothing special, whose mode on disk is its mode.
    pub(crate) fn plain(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode,
            uid: 0,
            gid: 0,
            device: 0,
            capabilities: None,
        }
    }

    /// A device that everybody may use.
    pub(crate) fn device(number: u64) -> Self {
        Self {
            mode: FileType::CharacterDevice.as_raw_mode() | 0o666,
            uid: 0,
            gid: 0,
            device: number,
            capabilities: None,
        }
    }

    /// What stands for it on disk. A socket may have got the inode of something that was recorded.
    fn kind_on_disk(&self) -> FileType {
        match self.kind() {
            FileType::CharacterDevice | FileType::BlockDevice => FileType::RegularFile,
            kind => kind,
        }
    }

    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
}

/// The records of a root directory, by device and inode. A file without one is root's, with the mode that it has on disk.
///
/// Whoever makes a file sets its record, so that no file inherits that of another which had its inode before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records(HashMap<(u64, u64), Record>);

impl Records {
    /// What a file is.
    pub(crate) fn of(&self, stat: &Stat) -> Record {
        let recorded = self.0.get(&(stat.st_dev, stat.st_ino));
        let of_this =
            recorded.filter(|record| record.kind_on_disk() == FileType::from_raw_mode(stat.st_mode));
        of_this.cloned().unwrap_or_else(|| Record::plain(stat))
    }

    /// Sets what a file is; `stat` is of the disk.
    pub(crate) fn set(&mut self, stat: &Stat, record: Record) {
        let file = (stat.st_dev, stat.st_ino);
        if record == Record::plain(stat) {
            self.0.remove(&file);
        } else {
            self.0.insert(file, record);
        }
    }

    /// The stat of a file, as a command is to see it.
    pub(crate) fn show(&self, mut stat: Stat) -> Stat {
        let record = self.of(&stat);
        stat.st_mode = record.mode;
        stat.st_uid = record.uid;
        stat.st_gid = record.gid;
        stat.st_rdev = record.device;
        stat
    }

    pub(crate) fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let all: Vec<(&(u64, u64), &Record)> = self.0.iter().collect();
        serde_json::to_vec(&all)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> serde_json::Result<Self> {
        let all: Vec<((u64, u64), Record)> = serde_json::from_slice(bytes)?;
        Ok(Self(all.into_iter().collect()))
    }
}

/// The permissions that a file has on disk: those of its mode that do no harm, and what its keeper needs to look into it.
pub(crate) fn mode_on_disk(mode: u32) -> u32 {
    let executable = if mode & 0o111 == 0 { 0 } else { 0o100 };
    match FileType::from_raw_mode(mode) {
        FileType::Directory => mode & 0o777 | 0o700,
        _ => mode & 0o777 | 0o600 | executable,
    }
}

/// One of the devices that every container has: null, zero, full, random, urandom, tty.
pub(crate) fn is_harmless(device: u64) -> bool {
    crate::stubs::DEVICES
        .iter()
        .any(|(_, major, minor)| makedev(*major, *minor) == device)
}
