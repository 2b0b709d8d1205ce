//! COPY and ADD as functions of trees: what is picked out of one tree is put into another. No I/O.
//!
//! The order of what happens is BuildKit's, because it shows: directories on the way to a destination are made before
//! anything is copied, several sources follow one another, and the destination is looked at anew for each.
//!
//! Source: dockerfile.md §0 findings 5 to 10 and §1.9 (BuildKit, executed).

mod destination;
mod mode;
mod parents;
mod place;
mod select;
#[cfg(test)]
mod tests;
mod unpack;

pub(crate) use destination::Destination;
pub(crate) use mode::FileMode;
pub(crate) use select::{Selection, select};

use onlay_context::Ignore;
use onlay_layer::{
    Edit, EditError, ImagePath, Lookup, ModificationTime, Node, PathError, ResolveError, Tree,
};

/// How what is copied is changed on the way, and what of it is left out.
#[derive(Clone, Debug)]
pub(crate) struct Treatment {
    /// `--chown`, as numbers: for all that is copied, and for directories that are made on the way.
    pub(crate) owner: Option<(u32, u32)>,
    /// `--chmod`
    pub(crate) mode: Option<FileMode>,
    /// `--exclude`, against paths below each source.
    pub(crate) exclude: Ignore,
    /// Nothing is later than this, in seconds since 1970.
    pub(crate) latest: Option<i64>,
}

impl Treatment {
    /// Nothing but an owner for what is made.
    pub(crate) fn of_owner(owner: (u32, u32)) -> Self {
        Self {
            owner: Some(owner),
            mode: None,
            exclude: Ignore::none(),
            latest: None,
        }
    }
}

/// A tree that is copied into.
pub(crate) struct Transfer<'a> {
    edit: Edit,
    treatment: &'a Treatment,
}

/// Why something was not copied; what was changed until then is thrown away.
#[derive(Debug, PartialEq)]
pub(crate) enum Fault {
    /// A layer of the source that was not read yet decides.
    UnreadSource,
    /// A layer of the destination that was not read yet decides.
    UnreadDestination,
    /// There is no such source.
    NotFound(ImagePath),
    /// It cannot be done.
    Message(String),
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(tree: &Tree, treatment: &'a Treatment) -> Self {
        Self {
            edit: Edit::new(tree),
            treatment,
        }
    }

    pub(crate) fn finish(self) -> Tree {
        self.edit.finish()
    }

    /// What is at a place of the destination, if anything is.
    fn existing(&self, place: &ImagePath) -> Result<Option<std::sync::Arc<Node>>, Fault> {
        match self.edit.tree().lookup(place) {
            Lookup::Found(node) => Ok(Some(node.clone())),
            Lookup::Absent => Ok(None),
            Lookup::Unknown => Err(Fault::UnreadDestination),
        }
    }

    /// A copied file's time: its own, in whole seconds, but never later than the build's.
    fn mtime(&self, node: &Node) -> ModificationTime {
        match (node.mtime, self.treatment.latest) {
            (ModificationTime::Seconds(seconds), Some(latest)) => {
                ModificationTime::Seconds(seconds.min(latest))
            }
            (mtime, _) => mtime,
        }
    }
}

impl Fault {
    /// A question about the tree that is copied from.
    fn of_source(error: ResolveError, path: &ImagePath) -> Self {
        match error {
            ResolveError::Unknown(_) => Self::UnreadSource,
            ResolveError::NotFound | ResolveError::NotADirectory => Self::NotFound(path.clone()),
            other => Self::Message(format!("`{path}`: {other}")),
        }
    }
}

impl From<EditError> for Fault {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Unknown(_) => Self::UnreadDestination,
            other => Self::Message(other.to_string()),
        }
    }
}

impl From<PathError> for Fault {
    fn from(error: PathError) -> Self {
        Self::Message(error.to_string())
    }
}
