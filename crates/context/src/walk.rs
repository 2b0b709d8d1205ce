use std::collections::{BTreeMap, HashMap};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bstr::{BString, ByteSlice};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat, major, minor};
use rustix::io::Errno;

use crate::clean::clean;
use crate::directory::ContextError;
use crate::entry::{ContextEntry, ContextKind};
use crate::ignore::{Ignore, Verdict};

/// The longest path that Linux takes, PATH_MAX. It also bounds how deep the walk goes.
const PATH_LIMIT: usize = 4096;

/// Room for the names that one system call returns: about a thousand.
const LISTING_BYTES: usize = 32 * 1024;

/// Which entries of a directory are walked.
#[derive(Debug)]
pub(crate) enum Scope {
    Whole,
    Names(BTreeMap<Vec<u8>, Scope>),
}

impl Scope {
    pub(crate) fn none() -> Self {
        Scope::Names(BTreeMap::new())
    }

    /// Adds a path and all below it.
    pub(crate) fn add(&mut self, path: &[u8]) {
        let rooted = clean(&[b"/", path].concat());
        let mut scope = self;
        for component in rooted.split_str("/").filter(|component| !component.is_empty()) {
            match scope {
                Scope::Whole => return,
                Scope::Names(names) => scope = names.entry(component.to_vec()).or_insert_with(Scope::none),
            }
        }
        *scope = Scope::Whole;
    }

    fn below(&self, name: &[u8]) -> &Scope {
        match self {
            Scope::Whole => self,
            Scope::Names(names) => names.get(name).unwrap_or(self),
        }
    }
}

/// One walk through a context.
pub(crate) struct Walk<'a> {
    ignore: &'a Ignore,
    entries: Vec<ContextEntry>,
    /// Ignored directories above, to be listed if something below them is.
    pending: Vec<ContextEntry>,
    /// Where files with several names were listed first, by device and number.
    links: HashMap<(u64, u64), usize>,
    path: Vec<u8>,
    listing: Vec<MaybeUninit<u8>>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(ignore: &'a Ignore) -> Self {
        Walk {
            ignore,
            entries: Vec::new(),
            pending: Vec::new(),
            links: HashMap::new(),
            path: Vec::new(),
            listing: vec![MaybeUninit::uninit(); LISTING_BYTES],
        }
    }

    pub(crate) fn run(mut self, root: &OwnedFd, scope: &Scope) -> Result<Vec<ContextEntry>, ContextError> {
        // The names are read through a descriptor of its own, since reading moves its position.
        let directory = open_directory(root.as_fd(), b".").map_err(|errno| self.directory_error(errno))?;
        self.visit_all(directory.as_fd(), scope, Verdict::default())?;
        Ok(self.entries)
    }

    fn visit_all(
        &mut self,
        directory: BorrowedFd<'_>,
        scope: &Scope,
        verdict: Verdict,
    ) -> Result<(), ContextError> {
        let names = match scope {
            Scope::Whole => self
                .read_names(directory)
                .map_err(|errno| self.directory_error(errno))?,
            Scope::Names(names) => Names::of(names.keys()),
        };
        let length = self.path.len();
        for (name, file_type) in names.iter() {
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            self.visit(directory, name, file_type, scope.below(name), verdict)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    /// Lists one entry and what is below it.
    fn visit(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        file_type: FileType,
        scope: &Scope,
        above: Verdict,
    ) -> Result<(), ContextError> {
        if self.path.len() > PATH_LIMIT {
            return Err(ContextError::TooLong {
                path: self.path.as_slice().into(),
                limit: PATH_LIMIT,
            });
        }
        let verdict = self.ignore.verdict(above, &self.path);
        if verdict.is_ignored() {
            let may_hold_more = matches!(file_type, FileType::Directory | FileType::Unknown)
                && self.ignore.may_restore_below(verdict, &self.path);
            return match may_hold_more {
                true => self.visit_ignored(directory, name, scope, verdict),
                false => Ok(()),
            };
        }
        let Some(seen) = self.look_at(directory, name)? else {
            return Ok(());
        };
        let is_directory = seen.entry.kind == ContextKind::Directory;
        self.list(seen);
        if !is_directory {
            return Ok(());
        }
        match open_directory(directory, name) {
            Ok(inner) => self.visit_all(inner.as_fd(), scope, verdict),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.directory_error(errno)),
        }
    }

    /// Looks for what an exception takes back in below an ignored directory. That it may not be read is no matter.
    fn visit_ignored(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        scope: &Scope,
        verdict: Verdict,
    ) -> Result<(), ContextError> {
        let Ok(inner) = open_directory(directory, name) else {
            return Ok(());
        };
        let Some(seen) = self.look_at(directory, name)? else {
            return Ok(());
        };
        let above = self.pending.len();
        self.pending.push(seen.entry);
        self.visit_all(inner.as_fd(), scope, verdict)?;
        self.pending.truncate(above);
        Ok(())
    }

    fn list(&mut self, Seen { mut entry, shared }: Seen) {
        self.entries.append(&mut self.pending);
        if let Some(identity) = shared {
            let first = *self.links.entry(identity).or_insert(self.entries.len());
            entry.hard_link = self.entries.get(first).map(|first| first.path.clone());
        }
        self.entries.push(entry);
    }

    /// Reads what there is to know of an entry.
    fn look_at(&self, directory: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Seen>, ContextError> {
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // It was removed since the directory was read, or a path that was asked for is not there.
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.entry_error(errno)),
        };
        let kind = match kind_of(&stat, directory, name) {
            Ok(kind) => kind,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.entry_error(errno)),
        };
        let has_links =
            !matches!(kind, ContextKind::Directory | ContextKind::Symlink { .. }) && stat.st_nlink > 1;
        let entry = ContextEntry {
            path: self.path.as_slice().into(),
            kind,
            mode: stat.st_mode & 0o7777,
            mtime: stat.st_mtime,
            hard_link: None,
        };
        let shared = has_links.then_some((stat.st_dev, stat.st_ino));
        Ok(Some(Seen { entry, shared }))
    }

    fn read_names(&mut self, directory: BorrowedFd<'_>) -> Result<Names, Errno> {
        let mut names = Names::default();
        let mut listing = RawDir::new(directory, &mut self.listing);
        while let Some(entry) = listing.next() {
            let entry = entry?;
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(name, entry.file_type()),
            }
        }
        names.sort();
        Ok(names)
    }

    fn directory_error(&self, errno: Errno) -> ContextError {
        ContextError::Directory {
            path: match self.path.is_empty() {
                true => ".".into(),
                false => self.path.as_slice().into(),
            },
            source: errno.into(),
        }
    }

    fn entry_error(&self, errno: Errno) -> ContextError {
        ContextError::Entry {
            path: self.path.as_slice().into(),
            source: errno.into(),
        }
    }
}

/// An entry, and the device and number of the file when it has several names.
struct Seen {
    entry: ContextEntry,
    shared: Option<(u64, u64)>,
}

/// The names in a directory, one after another in one piece of memory.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    places: Vec<(usize, usize, FileType)>,
}

impl Names {
    fn of<'a>(names: impl Iterator<Item = &'a Vec<u8>>) -> Self {
        let mut all = Names::default();
        names.for_each(|name| all.push(name, FileType::Unknown));
        all
    }

    fn push(&mut self, name: &[u8], file_type: FileType) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.places.push((start, self.bytes.len(), file_type));
    }

    fn sort(&mut self) {
        let Names { bytes, places } = self;
        places.sort_unstable_by(|left, right| bytes[left.0..left.1].cmp(&bytes[right.0..right.1]));
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], FileType)> {
        self.places
            .iter()
            .map(|&(start, end, file_type)| (&self.bytes[start..end], file_type))
    }
}

fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn kind_of(stat: &Stat, directory: BorrowedFd<'_>, name: &[u8]) -> Result<ContextKind, Errno> {
    let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => ContextKind::Directory,
        FileType::Symlink => ContextKind::Symlink {
            target: BString::from(rustix::fs::readlinkat(directory, name, Vec::new())?.into_bytes()),
        },
        FileType::Fifo => ContextKind::Fifo,
        FileType::Socket => ContextKind::Socket,
        FileType::CharacterDevice => ContextKind::CharacterDevice { major, minor },
        FileType::BlockDevice => ContextKind::BlockDevice { major, minor },
        FileType::RegularFile | FileType::Unknown => ContextKind::File {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
        },
    })
}
