use bstr::BString;

/// One file of a context, as it lies on the disk. Owners are left out: in an image they are 0:0 unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextEntry {
    /// Its path from the root, with slashes and none at the start.
    pub path: BString,
    /// What it is.
    pub kind: ContextKind,
    /// The permission bits with set-user-id, set-group-id and sticky: `07777`.
    pub mode: u32,
    /// When it was changed, in whole seconds since 1970.
    pub mtime: i64,
    /// The first path of the walk that is the same file. Directories and symbolic links have none.
    pub hard_link: Option<BString>,
}

/// What a file of a context is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads, as it is written.
        target: BString,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharacterDevice {
        /// The number of its driver.
        major: u32,
        /// Its number there.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The number of its driver.
        major: u32,
        /// Its number there.
        minor: u32,
    },
    /// A socket. BuildKit copies it out of a context as an empty regular file.
    Socket,
}
