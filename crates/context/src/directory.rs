use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bstr::BString;
use rustix::fs::{Mode, OFlags};

use crate::entry::ContextEntry;
use crate::file::{self, ContextFile};
use crate::ignore::Ignore;
use crate::walk::{Scope, Walk};

/// A build context that is a directory.
///
/// The directory is opened once: everything is found below it even if it is moved. No symbolic link below it is
/// followed, so nothing outside of it is ever read.
///
/// ```
/// use onlay_context::{DirectoryContext, Ignore};
///
/// let directory = tempfile::tempdir()?;
/// fs_err::write(directory.path().join("file"), "text")?;
/// let context = DirectoryContext::open(directory.path())?;
/// let entries = context.walk(&Ignore::none())?;
/// assert_eq!(entries[0].path, "file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DirectoryContext {
    root: OwnedFd,
    path: PathBuf,
}

impl DirectoryContext {
    /// Opens the directory. Links in this path are followed.
    ///
    /// # Errors
    /// It is not there, no directory, or may not be read.
    pub fn open(path: &Path) -> Result<Self, ContextError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| ContextError::Root {
            path: path.to_owned(),
            source: error.into(),
        })?;
        Ok(DirectoryContext {
            root,
            path: path.to_owned(),
        })
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lists all that is not ignored, the root itself excepted.
    ///
    /// Names are in the order of their bytes, and what is in a directory follows it at once. An ignored directory is
    /// listed when something below it is not ignored, and not read when nothing there could be. What vanishes during
    /// the walk is not listed.
    ///
    /// # Errors
    /// A directory that is not ignored cannot be read. Ignored ones do not matter, nor does it whether files can be read.
    pub fn walk(&self, ignore: &Ignore) -> Result<Vec<ContextEntry>, ContextError> {
        Walk::new(ignore).run(&self.root, &Scope::Whole)
    }

    /// Lists these paths, what is below them, and the directories that they are in; otherwise as [`walk`](Self::walk).
    ///
    /// The paths are read as from the root, `..` stops there. No other directory is read. A path that runs through a
    /// link ends at the link, which is listed; one that is not there adds nothing but the directories on the way.
    ///
    /// # Errors
    /// As for [`walk`](Self::walk).
    pub fn walk_prefixes<P: AsRef<[u8]>>(
        &self,
        prefixes: &[P],
        ignore: &Ignore,
    ) -> Result<Vec<ContextEntry>, ContextError> {
        let mut scope = Scope::none();
        for prefix in prefixes {
            scope.add(prefix.as_ref());
        }
        Walk::new(ignore).run(&self.root, &scope)
    }

    /// Opens a regular file of the size that the walk has found.
    ///
    /// Neither the file nor a directory on the way may be a link by now. Reading fails with a
    /// [`ContextError::Changed`] inside the error when the file turns out shorter or longer.
    ///
    /// # Errors
    /// The file cannot be opened, is no regular file below the root, or has another size.
    pub fn open_file(&self, path: &[u8], size: u64) -> Result<ContextFile, ContextError> {
        file::open(&self.root, path, size)
    }
}

/// Why files of a context cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The root cannot be opened.
    #[error("the build context `{}` cannot be opened", path.display())]
    Root {
        /// Its path.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A directory that is wanted cannot be read.
    #[error("the directory `{path}` of the build context cannot be read")]
    Directory {
        /// Its path from the root.
        path: BString,
        /// What happened.
        source: io::Error,
    },
    /// A file cannot be looked at.
    #[error("`{path}` of the build context cannot be read")]
    Entry {
        /// Its path from the root.
        path: BString,
        /// What happened.
        source: io::Error,
    },
    /// A path is longer than the system allows.
    #[error("a path of the build context is longer than {limit} bytes: `{path}`")]
    TooLong {
        /// The path from the root.
        path: BString,
        /// The limit.
        limit: usize,
    },
    /// What was to be read is no regular file, or lies behind a link.
    #[error("`{path}` of the build context is no regular file any more")]
    NotAFile {
        /// Its path from the root.
        path: BString,
    },
    /// The file was written to between the walk and the reading of it.
    #[error(
        "`{path}` of the build context changed while it was read: expected {expected} bytes, found {found}"
    )]
    Changed {
        /// Its path from the root.
        path: BString,
        /// The size that the walk has found.
        expected: u64,
        /// The size now, or how much was read when it was too much.
        found: u64,
    },
}
