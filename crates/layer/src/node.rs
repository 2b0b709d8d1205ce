use std::collections::BTreeMap;
use std::sync::Arc;

use bstr::{BStr, BString};

use crate::{Content, Metadata, ModificationTime};

/// A file of a tree: a directory with what is in it, or a leaf.
///
/// Nodes are shared and never change; an edited tree has new nodes along the path. Two names with one and the same leaf
/// (`Arc::ptr_eq`) are hard links of each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Mode, owner and extended attributes.
    pub metadata: Metadata,
    /// Last modification.
    pub mtime: ModificationTime,
    /// What it is.
    pub kind: NodeKind,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// A directory.
    Directory(Directory),
    /// A regular file.
    File(Content),
    /// A symbolic link, with its target as written.
    Symlink(BString),
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// What is in a directory, as far as the layers that were read say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directory {
    pub(crate) children: BTreeMap<BString, Slot>,
    /// Nothing of the layers below shows through: it was made by an edit, emptied by an opaque whiteout, or stands where
    /// a lower layer has no directory.
    pub(crate) sealed: bool,
    /// No header was read yet, so its metadata is a guess that a lower layer may still put right.
    pub(crate) implied: bool,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Slot {
    Present(Arc<Node>),
    /// Removed: whatever lower layers have under this name does not show.
    Absent,
}

impl Node {
    /// A new, empty directory.
    pub fn directory(metadata: Metadata, mtime: ModificationTime) -> Self {
        let directory = Directory {
            sealed: true,
            ..Directory::default()
        };
        Self {
            metadata,
            mtime,
            kind: NodeKind::Directory(directory),
        }
    }

    /// A regular file.
    pub fn file(metadata: Metadata, mtime: ModificationTime, content: Content) -> Self {
        Self {
            metadata,
            mtime,
            kind: NodeKind::File(content),
        }
    }

    /// A symbolic link, with the mode that Linux gives all of them.
    pub fn symlink(target: &[u8], uid: u32, gid: u32, mtime: ModificationTime) -> Self {
        Self {
            metadata: Metadata::owned(0o777, uid, gid),
            mtime,
            kind: NodeKind::Symlink(target.into()),
        }
    }

    /// The directory, if it is one.
    pub fn as_directory(&self) -> Option<&Directory> {
        match &self.kind {
            NodeKind::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// Tells whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.as_directory().is_some()
    }

    /// The link's target, if it is a symbolic link.
    pub fn symlink_target(&self) -> Option<&[u8]> {
        match &self.kind {
            NodeKind::Symlink(target) => Some(target),
            _ => None,
        }
    }
}

impl Directory {
    /// The names known to be in it, in bytewise order; all of them only where the tree is complete or the directory new.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&BString, &Arc<Node>)> {
        self.children.iter().filter_map(|(name, slot)| match slot {
            Slot::Present(node) => Some((name, node)),
            Slot::Absent => None,
        })
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&Slot> {
        self.children.get(BStr::new(name))
    }
}
