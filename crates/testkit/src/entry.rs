//! One member of a layer's tar, written as tests like to read it.
//!
//! Names are taken literally, so that hostile ones (`../x`, `/x`, `./x`) can be made as well. Directories get
//! the trailing slash that real layers have. Mode defaults to 0755 for directories, 0777 for symbolic links
//! and 0644 for the rest; the owner to 0:0; the time to [`DEFAULT_MTIME`].

use std::io::Write;
use tar::{EntryType, Header};

/// 2023-08-01T00:00:00Z: the time of every entry that does not say otherwise.
pub const DEFAULT_MTIME: u64 = 1_690_848_000;

/// The longest name or link target that fits a ustar header; longer ones go into a PAX record.
const USTAR_NAME: usize = 100;

/// A member of a layer's tar.
///
/// Made by the functions of this module, completed by the `with_*` methods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    path: String,
    kind: EntryType,
    link: String,
    content: Vec<u8>,
    device: Option<(u32, u32)>,
    mode: u32,
    owner: (u64, u64),
    mtime: u64,
    pax: Vec<(String, Vec<u8>)>,
}

/// Makes a directory.
pub fn dir(path: &str) -> Entry {
    Entry::new(&format!("{path}/"), EntryType::Directory, 0o755)
}

/// Makes a regular file.
pub fn file(path: &str, content: impl Into<Vec<u8>>) -> Entry {
    Entry {
        content: content.into(),
        ..Entry::new(path, EntryType::Regular, 0o644)
    }
}

/// Makes a symbolic link at `path` that points to `target`.
pub fn symlink(path: &str, target: &str) -> Entry {
    Entry {
        link: target.to_owned(),
        ..Entry::new(path, EntryType::Symlink, 0o777)
    }
}

/// Makes a hard link at `path` to the member `target`.
///
/// As in real layers the header repeats mode, owner and time of the target: set them when they matter.
pub fn hardlink(path: &str, target: &str) -> Entry {
    Entry {
        link: target.to_owned(),
        ..Entry::new(path, EntryType::Link, 0o644)
    }
}

/// Makes the whiteout that hides `path` of the layers below.
pub fn whiteout(path: &str) -> Entry {
    let (parent, name) = path
        .rsplit_once('/')
        .map_or(("", path), |(parent, name)| (parent, name));
    let slash = if parent.is_empty() { "" } else { "/" };
    Entry::new(&format!("{parent}{slash}.wh.{name}"), EntryType::Regular, 0)
}

/// Makes the opaque whiteout that hides everything the layers below have in directory `path`.
pub fn opaque(path: &str) -> Entry {
    Entry::new(&format!("{path}/.wh..wh..opq"), EntryType::Regular, 0)
}

/// Makes a named pipe.
pub fn fifo(path: &str) -> Entry {
    Entry::new(path, EntryType::Fifo, 0o644)
}

/// Makes a character device.
pub fn char_device(path: &str, major: u32, minor: u32) -> Entry {
    Entry {
        device: Some((major, minor)),
        ..Entry::new(path, EntryType::Char, 0o644)
    }
}

impl Entry {
    fn new(path: &str, kind: EntryType, mode: u32) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            link: String::new(),
            content: Vec::new(),
            device: None,
            mode,
            owner: (0, 0),
            mtime: DEFAULT_MTIME,
            pax: Vec::new(),
        }
    }

    /// Sets the permission bits, the special ones (setuid, setgid, sticky) included.
    pub fn with_mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// Sets the numeric owner.
    pub fn with_owner(self, uid: u64, gid: u64) -> Self {
        Self {
            owner: (uid, gid),
            ..self
        }
    }

    /// Sets the modification time, in seconds since 1970.
    pub fn with_mtime(self, mtime: u64) -> Self {
        Self { mtime, ..self }
    }

    /// Adds an extended attribute, as the PAX record `SCHILY.xattr.<name>`.
    pub fn with_xattr(self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.with_pax(&format!("SCHILY.xattr.{name}"), value)
    }

    /// Adds a PAX record as it is, after those that long names need.
    pub fn with_pax(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.pax.push((key.to_owned(), value.into()));
        self
    }

    /// Moves the time of a directory; other members stay as they are.
    pub(crate) fn with_directory_mtime(self, mtime: u64) -> Self {
        if self.kind.is_dir() {
            self.with_mtime(mtime)
        } else {
            self
        }
    }

    pub(crate) fn append_to<W: Write>(&self, tar: &mut tar::Builder<W>) {
        let records = self.pax_records();
        if !records.is_empty() {
            let records = records
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_slice()));
            tar.append_pax_extensions(records)
                .expect("PAX records are written to memory");
        }
        tar.append(&self.header(), self.content.as_slice())
            .expect("an entry is written to memory");
    }

    fn pax_records(&self) -> Vec<(String, Vec<u8>)> {
        let long_names = [("path", &self.path), ("linkpath", &self.link)];
        long_names
            .into_iter()
            .filter(|(_, name)| name.len() > USTAR_NAME)
            .map(|(key, name)| (key.to_owned(), name.clone().into_bytes()))
            .chain(self.pax.iter().cloned())
            .collect()
    }

    fn header(&self) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(self.kind);
        // Not `Header::set_path`: it refuses the hostile names that some tests are about.
        write_name(&mut header.as_old_mut().name, &self.path);
        write_name(&mut header.as_old_mut().linkname, &self.link);
        header.set_size(self.content.len() as u64);
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(self.mtime);
        if let Some((major, minor)) = self.device {
            header
                .set_device_major(major)
                .expect("ustar headers have a device");
            header
                .set_device_minor(minor)
                .expect("ustar headers have a device");
        }
        header.set_cksum();
        header
    }
}

fn write_name(field: &mut [u8; USTAR_NAME], name: &str) {
    let length = name.len().min(USTAR_NAME);
    field[..length].copy_from_slice(&name.as_bytes()[..length]);
}
