//! A directory that holds a tree.

mod owners;
mod scan;
mod stamp;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use onlay_layer::{
    ChangeError, Content, ContentSource, Edit, EditError, ImagePath, Lookup, PathError, Tree, changes,
};
use rustix::fs::{AtFlags, Gid, Mode, Uid, chmodat, chownat, statat, unlinkat};

use crate::Rung;
use crate::below::{open_directory, open_root};
use crate::records::{Record, Records};
use owners::Owners;
use scan::Scan;
use stamp::Stamp;
use writer::{Writer, split};

/// A private directory that holds the files of a tree, as a command finds them.
///
/// Owners, modes and devices are on disk where the [`Rung`] needs them there, which only root can do; they are recorded
/// otherwise. Time has whole seconds, as in layers.
#[derive(Debug)]
pub struct Root {
    directory: PathBuf,
    owners: Owners,
    tree: Tree,
    stamps: BTreeMap<ImagePath, Stamp>,
}

/// What a command finds below these names is not the image's, and what it leaves there is not kept.
const NOT_THE_IMAGES: [&[u8]; 3] = [b"dev", b"proc", b"sys"];

impl Root {
    /// Starts with an empty directory, which must exist. The rung says how owners are kept: commands are run on that one.
    pub fn new(directory: PathBuf, rung: Rung) -> Self {
        Self {
            directory,
            owners: if rung.owns_files() {
                Owners::OnDisk
            } else {
                Owners::Recorded(Records::default())
            },
            tree: Tree::scratch(),
            stamps: BTreeMap::new(),
        }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it holds, unless a command has run since.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Makes the directory hold `tree`, which must be complete. Only what differs is written.
    ///
    /// `build_time` is the time of what has none of its own, in seconds since 1970.
    ///
    /// # Errors
    /// A file could not be written or its content not be had. The directory holds something in between then.
    pub fn update(
        &mut self,
        tree: &Tree,
        contents: &mut dyn ContentSource,
        build_time: i64,
    ) -> Result<(), RootError> {
        let changes = changes(&self.tree, tree)?;
        if !changes.is_empty() || self.stamps.is_empty() {
            let root =
                open_root(&self.directory).map_err(|source| self.failed(&ImagePath::root(), source))?;
            Writer::new(root.as_fd(), contents, &mut self.owners, build_time)
                .write(&changes)
                .map_err(|(path, source)| failed(&self.directory, &path, source))?;
            self.stamps = self.scan()?.stamps;
        }
        self.tree = tree.clone();
        self.split_links()
    }

    /// Gives each name of a file that an earlier command linked a file of its own: to the next command they are of a
    /// layer below, where what is done to one name leaves the others as they are.
    fn split_links(&mut self) -> Result<(), RootError> {
        let mut first = BTreeSet::new();
        let shared = self
            .stamps
            .iter()
            .filter_map(|(path, stamp)| Some((path, stamp.shared()?)));
        let further: Vec<ImagePath> = shared
            .filter(|(_, file)| !first.insert(*file))
            .map(|(path, _)| path.clone())
            .collect();
        if further.is_empty() {
            return Ok(());
        }
        let root = open_root(&self.directory).map_err(|source| self.failed(&ImagePath::root(), source))?;
        for path in &further {
            split(root.as_fd(), &mut self.owners, path)
                .map_err(|source| failed(&self.directory, path, source))?;
        }
        self.stamps = self.scan()?.stamps;
        Ok(())
    }

    /// What [`update`](Self::update) needs the contents of to make the directory hold `tree`.
    ///
    /// # Errors
    /// The tree is not complete.
    pub fn missing(&self, tree: &Tree) -> Result<Vec<onlay_layer::Change>, RootError> {
        Ok(changes(&self.tree, tree)?)
    }

    /// What the directory holds now, after a command: the tree with all that differs from it. Files whose content is new
    /// get it from `content`, which is told path and size.
    ///
    /// Something that was touched and is as before is not changed, and sockets are left out, as in layers.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn changed(&mut self, content: &dyn Fn(&ImagePath, u64) -> Content) -> Result<Tree, RootError> {
        let scan = self.scan()?;
        let after = scan.compare(&self.tree, &self.stamps, content)?;
        let stamps = scan.stamps;
        self.stamps = stamps;
        Ok(after)
    }

    /// Says that the directory holds this tree: the one that [`changed`](Self::changed) gave, with its contents from
    /// elsewhere.
    pub fn settle(&mut self, tree: Tree) {
        self.tree = tree;
    }

    /// Removes a file at once, if it is there, as if the tree had never had it: what was only lent to a command.
    ///
    /// # Errors
    /// It is still there.
    pub fn discard(&mut self, path: &ImagePath) -> Result<(), RootError> {
        let removed =
            self.parent_of(path)
                .and_then(|(parent, name)| match unlinkat(&parent, name, AtFlags::empty()) {
                    Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
                    Err(error) => Err(error.into()),
                });
        match removed {
            Ok(()) => {}
            // The command has removed the directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(self.failed(path, source)),
        }
        self.stamps.remove(path);
        if let Lookup::Found(_) = self.tree.lookup(path) {
            let mut edit = Edit::new(&self.tree);
            edit.remove(path)?;
            self.tree = edit.finish();
        }
        Ok(())
    }

    /// Makes a socket that a command can connect to, where nothing is; [`discard`](Self::discard) removes it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn listen(
        &mut self,
        path: &ImagePath,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Result<UnixListener, RootError> {
        self.bind(path, mode, (uid, gid))
            .map_err(|source| self.failed(path, source))
    }

    fn bind(&mut self, path: &ImagePath, mode: u32, owner: (u32, u32)) -> io::Result<UnixListener> {
        let (parent, name) = self.parent_of(path)?;
        // The address of a socket has room for 108 bytes.
        let short = Path::new("/proc/self/fd")
            .join(parent.as_raw_fd().to_string())
            .join(OsStr::from_bytes(name));
        let listener = UnixListener::bind(short)?;
        chmodat(&parent, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
        match &mut self.owners {
            Owners::OnDisk => {
                let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
                chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Owners::Recorded(records) => {
                let stat = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                let mut record = Record::plain(&stat);
                (record.uid, record.gid) = owner;
                records.set(&stat, record);
            }
        }
        Ok(listener)
    }

    fn parent_of<'p>(&self, path: &'p ImagePath) -> io::Result<(OwnedFd, &'p [u8])> {
        let root = open_root(&self.directory)?;
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        Ok((
            open_directory(root.as_fd(), &parent)?,
            path.name().unwrap_or_default(),
        ))
    }

    /// What is recorded of its files.
    pub(crate) fn records(&self) -> Records {
        match &self.owners {
            Owners::OnDisk => Records::default(),
            Owners::Recorded(records) => records.clone(),
        }
    }

    /// Says what is recorded of its files after a command.
    pub(crate) fn set_records(&mut self, after: Records) {
        if let Owners::Recorded(records) = &mut self.owners {
            *records = after;
        }
    }

    fn scan(&self) -> Result<Scan<'_>, RootError> {
        let root = open_root(&self.directory).map_err(|source| self.failed(&ImagePath::root(), source))?;
        Scan::of(root, &self.owners).map_err(|(path, source)| self.failed(&path, source))
    }

    fn failed(&self, path: &ImagePath, source: io::Error) -> RootError {
        failed(&self.directory, path, source)
    }
}

fn failed(directory: &Path, path: &ImagePath, source: io::Error) -> RootError {
    RootError::File {
        path: path.to_string(),
        directory: directory.to_owned(),
        source,
    }
}

/// Why a directory does not hold what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// A file of it could not be read or written.
    #[error("`{path}` in the root filesystem at `{}`", directory.display())]
    File {
        /// The path in the image.
        path: String,
        /// Where the root filesystem is.
        directory: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The trees cannot be compared.
    #[error("the files of the image are not all known")]
    Changes(#[from] ChangeError),
    /// A name is none that a layer can have.
    #[error(transparent)]
    Name(#[from] PathError),
    /// What the command left makes no tree.
    #[error("what the command left makes no tree")]
    Edit(#[from] EditError),
}
