use rustix::fs::{FileType, Stat};

/// What tells that a file is as it was: nothing can be done to a file that leaves all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    /// Last change of the inode, in seconds and nanoseconds, which no program can set.
    changed: (i64, u64),
    size: i64,
    mode: u32,
    /// User, group and device: where they are recorded, they change without the inode.
    owner: (u32, u32),
    number: u64,
    links: u64,
}

impl Stamp {
    pub(super) fn of(stat: &Stat) -> Self {
        // A directory changes with its children, which are looked at themselves.
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            changed: (stat.st_ctime, stat.st_ctime_nsec),
            size: if is_directory { 0 } else { stat.st_size },
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
            number: stat.st_rdev,
            links: if is_directory { 1 } else { stat.st_nlink },
        }
    }

    /// Which file it is.
    pub(super) fn file(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Which file it is, if it is one of several names of a file.
    pub(super) fn shared(&self) -> Option<(u64, u64)> {
        (self.links > 1).then_some((self.device, self.inode))
    }
}
