//! What differs between two trees, in the order in which a layer has it.
//!
//! Two rules that append tools get wrong decide the shape (dockerfile.md §0, findings 1 and 2):
//!
//! - every ancestor of something that is written is written too, with its exact mode, owner and extended attributes:
//!   Docker and containers-storage unpack each layer by itself and would invent a missing parent as 0755 root;
//! - no path runs through a symbolic link, because trees have none on the way to anything.
//!
//! The rest is what engines agree on: one entry per path, whiteouts before their siblings, explicit whiteouts for what
//! is gone from a directory that was replaced (never `.wh.d` beside a new `d/`, which loses the deletion), and no hard
//! link to a file of a lower layer.

use std::collections::HashMap;
use std::sync::Arc;

use bstr::BString;

use crate::node::{Directory, Node, NodeKind, Slot};
use crate::{Content, ImagePath, Metadata, ModificationTime, PathError, Tree};

/// One entry of a layer to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Where; of a whiteout, what is removed.
    pub path: ImagePath,
    /// Mode, owner and extended attributes.
    pub metadata: Metadata,
    /// Last modification.
    pub mtime: ModificationTime,
    /// What is written.
    pub kind: ChangeKind,
}

/// What a [`Change`] writes.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeKind {
    /// A directory's header: new, changed, or an ancestor of something that is.
    Directory,
    /// A regular file with its content.
    File(Content),
    /// A symbolic link.
    Symlink(BString),
    /// Another name of a file of this layer, written before it.
    HardLink(ImagePath),
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
    /// The path of the layers below is gone.
    Whiteout,
}

/// Lists what turns `before` into `after`, in the order of a layer: depth first, of each directory its header, its
/// whiteouts, then its children bytewise by name.
///
/// Files are unchanged if type, mode, owner, extended attributes, time and content are; directories do not compare
/// times. What an edit did and undid leaves no trace.
///
/// # Errors
/// [`ChangeError::Unknown`] if a directory of the base was replaced and a layer that was not read yet may have more
/// in it that must be whited out.
pub fn changes(before: &Tree, after: &Tree) -> Result<Vec<Change>, ChangeError> {
    let mut comparison = Comparison {
        complete: before.complete,
        changes: Vec::new(),
        written: HashMap::new(),
    };
    let (Some(old), Some(new)) = (before.root.as_directory(), after.root.as_directory()) else {
        return Err(ChangeError::Root);
    };
    if before.root.metadata != after.root.metadata {
        return Err(ChangeError::Root);
    }
    comparison.children(&ImagePath::root(), Some(old), new)?;
    Ok(comparison.changes)
}

struct Comparison {
    complete: bool,
    changes: Vec<Change>,
    /// Where each file of this layer was written first, for hard links.
    written: HashMap<*const Node, ImagePath>,
}

impl Comparison {
    fn children(
        &mut self,
        path: &ImagePath,
        old: Option<&Directory>,
        new: &Directory,
    ) -> Result<(), ChangeError> {
        if let Some(old) = old {
            self.whiteouts(path, old, new)?;
        }
        for (name, node) in new.present() {
            let before = old.and_then(|old| present(old, name));
            if !before.is_some_and(|before| Arc::ptr_eq(before, node)) {
                self.node(path.join(name)?, before, node)?;
            }
        }
        Ok(())
    }

    fn whiteouts(&mut self, path: &ImagePath, old: &Directory, new: &Directory) -> Result<(), ChangeError> {
        let replaced = new.sealed && !old.sealed;
        if replaced && !self.complete {
            return Err(ChangeError::Unknown(path.clone()));
        }
        for (name, _) in old.present() {
            if present(new, name).is_none() {
                self.changes.push(Change::whiteout(path.join(name)?));
            }
        }
        // A name that only layers not read yet can have was removed by name, and stands as a mark of its own.
        for (name, slot) in &new.children {
            if matches!(slot, Slot::Absent) && old.get(name).is_none() {
                self.changes.push(Change::whiteout(path.join(name)?));
            }
        }
        Ok(())
    }

    fn node(
        &mut self,
        path: ImagePath,
        before: Option<&Arc<Node>>,
        node: &Arc<Node>,
    ) -> Result<(), ChangeError> {
        match &node.kind {
            NodeKind::Directory(directory) => self.directory(path, before, node, directory),
            _ if before.is_some_and(|before| before == node) => Ok(()),
            _ => {
                self.leaf(path, node);
                Ok(())
            }
        }
    }

    fn directory(
        &mut self,
        path: ImagePath,
        before: Option<&Arc<Node>>,
        node: &Node,
        directory: &Directory,
    ) -> Result<(), ChangeError> {
        let old = before.filter(|before| before.is_directory());
        // Its header stands before its children, and is dropped again if there turns out to be nothing to say.
        let header = self.changes.len();
        self.changes.push(Change {
            path: path.clone(),
            metadata: node.metadata.clone(),
            // A directory that the base has is only re-emitted, and its own time would make the layer differ between
            // platforms that agree on all else.
            mtime: if old.is_some() {
                ModificationTime::Build
            } else {
                node.mtime
            },
            kind: ChangeKind::Directory,
        });
        self.children(&path, old.and_then(|old| old.as_directory()), directory)?;
        let unchanged = old.is_some_and(|old| old.metadata == node.metadata);
        if unchanged && self.changes.len() == header + 1 {
            self.changes.truncate(header);
        }
        Ok(())
    }

    fn leaf(&mut self, path: ImagePath, node: &Arc<Node>) {
        let kind = match self.written.get(&Arc::as_ptr(node)) {
            Some(first) => ChangeKind::HardLink(first.clone()),
            None => {
                self.written.insert(Arc::as_ptr(node), path.clone());
                leaf_kind(&node.kind)
            }
        };
        self.changes.push(Change {
            path,
            metadata: node.metadata.clone(),
            mtime: node.mtime,
            kind,
        });
    }
}

fn present<'a>(directory: &'a Directory, name: &BString) -> Option<&'a Arc<Node>> {
    match directory.get(name) {
        Some(Slot::Present(node)) => Some(node),
        Some(Slot::Absent) | None => None,
    }
}

fn leaf_kind(kind: &NodeKind) -> ChangeKind {
    match kind {
        NodeKind::Directory(_) => ChangeKind::Directory,
        NodeKind::File(content) => ChangeKind::File(content.clone()),
        NodeKind::Symlink(target) => ChangeKind::Symlink(target.clone()),
        NodeKind::CharacterDevice { major, minor } => ChangeKind::CharacterDevice {
            major: *major,
            minor: *minor,
        },
        NodeKind::BlockDevice { major, minor } => ChangeKind::BlockDevice {
            major: *major,
            minor: *minor,
        },
        NodeKind::Fifo => ChangeKind::Fifo,
    }
}

impl Change {
    fn whiteout(path: ImagePath) -> Self {
        Self {
            path,
            metadata: Metadata::root_owned(0),
            mtime: ModificationTime::Seconds(0),
            kind: ChangeKind::Whiteout,
        }
    }
}

/// Why the difference of two trees is no layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Layers have no entry for the root.
    #[error("the mode or owner of the root directory changed, which no layer can say")]
    Root,
    /// A directory was replaced, and what lower layers have in it is not known.
    #[error("what is in {0} is decided by a layer that was not read yet")]
    Unknown(ImagePath),
    /// A name that no layer can hold.
    #[error(transparent)]
    Path(#[from] PathError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Edit;
    use crate::notation::{partial, path, print, tree};

    const BASE: &str = "d 755 0:0 etc\nf 644 0:0 etc/motd hello\nd 1777 0:0 tmp\nd 750 1000:1001 opt\nd 700 7:7 opt/in\n\
        f 600 0:0 opt/in/x 123\nf 755 0:0 a 1\nh b = a\nl bin -> opt";

    /// Applies an edit to the base and prints what it leaves.
    fn after(edit: impl FnOnce(&mut Edit)) -> Vec<String> {
        let base = tree(&[BASE]);
        let mut changed = Edit::new(&base);
        edit(&mut changed);
        print(&changes(&base, &changed.finish()).unwrap())
    }

    fn directory() -> Node {
        Node::directory(Metadata::root_owned(0o755), ModificationTime::Build)
    }

    fn file(content: &str) -> Node {
        let bytes = Content::Bytes(content.as_bytes().into());
        Node::file(Metadata::root_owned(0o644), ModificationTime::Build, bytes)
    }

    #[test]
    fn ancestors_are_written_as_the_base_has_them() {
        assert_eq!(
            after(|edit| edit.put(&path("opt/in/new"), directory()).unwrap()),
            [
                "d 750 1000:1001 opt *",
                "d 700 7:7 opt/in *",
                "d 755 0:0 opt/in/new *"
            ]
        );
        assert_eq!(
            after(|edit| edit.put(&path("tmp/x"), file("y")).unwrap()),
            ["d 1777 0:0 tmp *", "f 644 0:0 tmp/x y *"]
        );
    }

    #[test]
    fn what_is_undone_leaves_no_trace() {
        let nothing = after(|edit| {
            edit.put(&path("opt/new"), directory()).unwrap();
            edit.remove(&path("opt/new")).unwrap();
            edit.set_metadata(&path("etc"), Metadata::root_owned(0o755))
                .unwrap();
            edit.rename(&path("a"), &path("c")).unwrap();
            edit.rename(&path("c"), &path("a")).unwrap();
        });
        assert!(nothing.is_empty(), "{nothing:?}");
    }

    #[test]
    fn removal_is_one_whiteout() {
        assert_eq!(
            after(|edit| edit.remove(&path("opt/in")).unwrap()),
            ["d 750 1000:1001 opt *", "w opt/in"]
        );
    }

    #[test]
    fn a_replaced_directory_lists_what_is_gone() {
        let replaced = after(|edit| {
            edit.remove(&path("opt/in")).unwrap();
            edit.put(&path("opt/in"), directory()).unwrap();
            edit.put(&path("opt/in/y"), file("1")).unwrap();
        });
        assert_eq!(
            replaced,
            [
                "d 750 1000:1001 opt *",
                "d 755 0:0 opt/in *",
                "w opt/in/x",
                "f 644 0:0 opt/in/y 1 *"
            ]
        );
    }

    #[test]
    fn a_type_change_needs_no_whiteout() {
        assert_eq!(
            after(|edit| edit.put(&path("opt/in"), file("1")).unwrap()),
            ["d 750 1000:1001 opt *", "f 644 0:0 opt/in 1 *"]
        );
        let link_to_directory = after(|edit| edit.put(&path("bin"), directory()).unwrap());
        assert_eq!(link_to_directory, ["d 755 0:0 bin *"]);
    }

    #[test]
    fn a_base_file_changes_under_one_name_only() {
        let metadata = Metadata::root_owned(0o600);
        assert_eq!(
            after(|edit| edit.set_metadata(&path("b"), metadata).unwrap()),
            ["f 600 0:0 b (1 bytes)"]
        );
    }

    #[test]
    fn no_hard_link_leads_into_a_lower_layer() {
        let linked = after(|edit| edit.link(&path("etc/motd"), &path("etc/new")).unwrap());
        assert_eq!(linked, ["d 755 0:0 etc *", "f 644 0:0 etc/new (5 bytes)"]);
    }

    #[test]
    fn links_to_two_names_of_a_base_file_are_two_files() {
        let linked = after(|edit| {
            edit.link(&path("a"), &path("to-a")).unwrap();
            edit.link(&path("b"), &path("to-b")).unwrap();
        });
        assert_eq!(linked, ["f 755 0:0 to-a (1 bytes)", "f 755 0:0 to-b (1 bytes)"]);
    }

    #[test]
    fn names_linked_in_one_edit_change_together() {
        let linked = after(|edit| {
            edit.put(&path("etc/one"), file("1")).unwrap();
            edit.link(&path("etc/one"), &path("etc/two")).unwrap();
            edit.set_metadata(&path("etc/two"), Metadata::root_owned(0o600))
                .unwrap();
        });
        assert_eq!(
            linked,
            [
                "d 755 0:0 etc *",
                "f 600 0:0 etc/one 1 *",
                "h etc/two = etc/one *"
            ]
        );
    }

    #[test]
    fn a_moved_directory_is_written_whole() {
        let moved = after(|edit| edit.rename(&path("opt"), &path("srv")).unwrap());
        assert_eq!(
            moved,
            [
                "w opt",
                "d 750 1000:1001 srv",
                "d 700 7:7 srv/in",
                "f 600 0:0 srv/in/x (3 bytes)"
            ]
        );
    }

    #[test]
    fn a_moved_file_is_no_longer_one_with_the_names_it_left() {
        let are_one = |edit: &Edit| {
            let (first, second) = (path("three"), path("two"));
            match (edit.tree().lookup(&first), edit.tree().lookup(&second)) {
                (crate::Lookup::Found(first), crate::Lookup::Found(second)) => Arc::ptr_eq(first, second),
                other => panic!("{other:?}"),
            }
        };
        let mut linking = Edit::new(&tree(&["f 644 0:0 one 1"]));
        linking.link(&path("one"), &path("two")).unwrap();
        let mut later = Edit::new(linking.tree());
        later.rename(&path("one"), &path("three")).unwrap();
        assert!(!are_one(&later));
        linking.rename(&path("one"), &path("three")).unwrap();
        assert!(are_one(&linking), "what one instruction links stays linked in it");
    }

    #[test]
    fn a_replaced_directory_must_be_known_whole() {
        let base = partial(&[BASE]);
        let mut edit = Edit::new(&base);
        edit.remove(&path("opt/in")).unwrap();
        let removed = changes(&base, edit.tree()).unwrap();
        assert_eq!(print(&removed), ["d 750 1000:1001 opt *", "w opt/in"]);
        edit.put(&path("opt/in"), directory()).unwrap();
        assert_eq!(
            changes(&base, edit.tree()),
            Err(ChangeError::Unknown(path("opt/in")))
        );
    }

    #[test]
    fn the_root_itself_cannot_change() {
        let base = tree(&[BASE]);
        let mut edit = Edit::new(&base);
        edit.set_metadata(&ImagePath::root(), Metadata::root_owned(0o700))
            .unwrap();
        assert_eq!(changes(&base, edit.tree()), Err(ChangeError::Root));
    }
}
