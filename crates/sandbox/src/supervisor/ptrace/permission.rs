//! Whom a new file belongs to, and who may change what is there: the rules of the kernel, over what is recorded.

use nix::libc;
use rustix::fs::{FileType, Stat};

use super::errno::Errno;
use super::{Call, Guard};
use crate::records::{Record, mode_on_disk};

/// A file in the making.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    /// Kind and permissions.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Of a device.
    pub(super) device: u64,
}

impl Made {
    pub(super) fn record(self) -> Record {
        Record {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            device: self.device,
            capabilities: None,
        }
    }
}

/// The mode that a new file is made with on disk.
pub(super) fn mode_of_new(mode: u32) -> u32 {
    mode_on_disk(mode)
}

impl Guard {
    /// What a process makes in a directory (inode(7), "The set-group-ID bit").
    pub(super) fn made(&self, call: &Call, directory: &Stat, kind: FileType, mode: u32) -> Made {
        let above = self.records.of(directory);
        let state = &call.state;
        let mut mode = match kind {
            FileType::Symlink => 0o777,
            _ => mode & 0o7777 & !state.umask,
        };
        let inherits = above.mode & libc::S_ISGID != 0;
        let gid = if inherits {
            above.gid
        } else {
            state.group.file_system
        };
        if inherits && kind == FileType::Directory {
            mode |= libc::S_ISGID;
        }
        let is_executable_by_group = mode & (libc::S_ISGID | 0o010) == libc::S_ISGID | 0o010;
        if kind == FileType::RegularFile
            && is_executable_by_group
            && !state.overrides_files()
            && !state.is_in_group(gid)
        {
            mode &= !libc::S_ISGID;
        }
        Made {
            mode: kind.as_raw_mode() | mode,
            uid: state.user.file_system,
            gid,
            device: 0,
        }
    }

    /// Fails unless a process may change what only the owner may.
    pub(super) fn check_owner(&self, call: &Call, record: &Record) -> Result<(), Errno> {
        let state = &call.state;
        let may = state.overrides_files() || state.user.file_system == record.uid;
        if may { Ok(()) } else { Err(Errno::PERM) }
    }

    /// Fails unless a process may remove an entry of a directory.
    pub(super) fn check_removal(&self, call: &Call, directory: &Stat, entry: &Stat) -> Result<(), Errno> {
        self.check(call, directory, 3)?;
        let above = self.records.of(directory);
        let state = &call.state;
        let is_sticky = above.mode & libc::S_ISVTX != 0;
        let own = state.user.file_system;
        let may =
            !is_sticky || state.overrides_files() || own == above.uid || own == self.records.of(entry).uid;
        if may { Ok(()) } else { Err(Errno::PERM) }
    }

    /// A file was opened for writing: its capabilities go, and where root does not write, its set-id bits, too.
    pub(super) fn written(&mut self, call: &Call, stat: &Stat) {
        let mut record = self.records.of(stat);
        if record.kind() != FileType::RegularFile {
            return;
        }
        record.capabilities = None;
        if !call.state.overrides_files() {
            drop_set_id(&mut record);
        }
        self.records.set(stat, record);
    }
}

/// Takes the bits away that a change of owner or content takes away.
pub(super) fn drop_set_id(record: &mut Record) {
    record.mode &= !libc::S_ISUID;
    if record.mode & 0o010 != 0 {
        record.mode &= !libc::S_ISGID;
    }
}
