//! Where owners, modes, devices and capabilities of files are: on disk, or recorded beside it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use onlay_layer::Metadata;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Uid, XattrFlags, chmodat, chownat, fchmod, fchown, fgetxattr,
    fsetxattr, fstat, mknodat, openat, statat,
};

use super::scan::{CAPABILITIES, READ_FILE};
use crate::records::{Record, Records, mode_on_disk};

/// How a root directory keeps what only root can give to files.
#[derive(Debug)]
pub(super) enum Owners {
    /// By giving it to them.
    OnDisk,
    /// In records.
    Recorded(Records),
}

impl Owners {
    /// A file as a layer has it.
    pub(super) fn show(&self, stat: Stat) -> Stat {
        match self {
            Self::OnDisk => stat,
            Self::Recorded(records) => records.show(stat),
        }
    }

    /// Gives a file or directory what it is to have. Owner first: that takes set-id bits and capabilities away.
    pub(super) fn set(&mut self, file: impl AsFd, metadata: &Metadata) -> io::Result<()> {
        let file = file.as_fd();
        if let Self::Recorded(records) = self {
            fchmod(
                file,
                Mode::from_raw_mode(with_kind(&fstat(file)?, metadata.mode, mode_on_disk)),
            )?;
            let stat = fstat(file)?;
            records.set(&stat, record(&stat, metadata, None));
            return Ok(());
        }
        fchown(
            file,
            Some(Uid::from_raw(metadata.uid)),
            Some(Gid::from_raw(metadata.gid)),
        )?;
        fchmod(file, Mode::from_raw_mode(metadata.mode))?;
        for (name, value) in &metadata.xattrs {
            fsetxattr(file, name.as_str(), value, XattrFlags::empty())?;
        }
        Ok(())
    }

    /// Gives a symbolic link its owner.
    pub(super) fn set_link(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        metadata: &Metadata,
    ) -> io::Result<()> {
        match self {
            Self::OnDisk => give_away(parent, name, metadata),
            Self::Recorded(records) => {
                let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                let links_mode = Metadata {
                    mode: 0o777,
                    ..metadata.clone()
                };
                records.set(&stat, record(&stat, &links_mode, None));
                Ok(())
            }
        }
    }

    /// Makes a pipe or a device.
    pub(super) fn make_special(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        metadata: &Metadata,
        kind: FileType,
        device: u64,
    ) -> io::Result<()> {
        let mode = Mode::from_raw_mode(metadata.mode);
        match self {
            Self::OnDisk => {
                mknodat(parent, name, kind, mode, device)?;
                give_away(parent, name, metadata)?;
                // The umask had its say when it was made.
                chmodat(parent, name, mode, AtFlags::empty())?;
            }
            Self::Recorded(records) => {
                let on_disk = if kind == FileType::Fifo {
                    kind
                } else {
                    FileType::RegularFile
                };
                let mode = Mode::from_raw_mode(mode_on_disk(on_disk.as_raw_mode() | metadata.mode));
                mknodat(parent, name, on_disk, mode, 0)?;
                chmodat(parent, name, mode, AtFlags::empty())?;
                let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                records.set(&stat, record(&stat, metadata, Some((kind, device))));
            }
        }
        Ok(())
    }

    /// The capabilities of a regular file, as an extended attribute.
    pub(super) fn capabilities(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> io::Result<Vec<(String, Vec<u8>)>> {
        let named = |value: Vec<u8>| (CAPABILITIES.to_owned(), value);
        if let Self::Recorded(records) = self {
            let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            return Ok(records.of(&stat).capabilities.into_iter().map(named).collect());
        }
        let file = openat(parent, name, READ_FILE, Mode::empty())?;
        let mut value = vec![0; 256];
        match fgetxattr(&file, CAPABILITIES, &mut value) {
            Ok(size) => {
                value.truncate(size);
                Ok(vec![named(value)])
            }
            Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}

fn give_away(parent: BorrowedFd<'_>, name: &[u8], metadata: &Metadata) -> io::Result<()> {
    let (uid, gid) = (
        Some(Uid::from_raw(metadata.uid)),
        Some(Gid::from_raw(metadata.gid)),
    );
    Ok(chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn with_kind(stat: &Stat, mode: u32, then: impl Fn(u32) -> u32) -> u32 {
    then(FileType::from_raw_mode(stat.st_mode).as_raw_mode() | mode)
}

/// What is recorded of a file that is to have this.
fn record(stat: &Stat, metadata: &Metadata, device: Option<(FileType, u64)>) -> Record {
    let (kind, device) = device.unwrap_or((FileType::from_raw_mode(stat.st_mode), 0));
    let mut xattrs = metadata.xattrs.iter();
    Record {
        mode: kind.as_raw_mode() | metadata.mode & 0o7777,
        uid: metadata.uid,
        gid: metadata.gid,
        device,
        capabilities: xattrs
            .find(|(name, _)| name == CAPABILITIES)
            .map(|(_, value)| value.clone()),
    }
}
