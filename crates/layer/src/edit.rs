use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bstr::{BStr, BString};

use crate::node::{Directory, Node, NodeKind, Slot};
use crate::{ImagePath, Lookup, Metadata, ModificationTime, Tree};

/// A tree being changed by one instruction, with hard links as a running system has them.
///
/// Paths are places, as [`Tree::resolve`] gives them: through no symbolic link. The base below is what overlay file
/// systems make of it: changing a file of the base under one name leaves its other names as they were, while names that
/// this edit linked together change together.
#[derive(Clone, Debug)]
pub struct Edit {
    tree: Tree,
    /// The names of each file that this edit gave a second name.
    linked: Vec<Vec<ImagePath>>,
}

impl Edit {
    /// Starts from a tree, which stays as it is.
    pub fn new(tree: &Tree) -> Self {
        Self {
            tree: tree.clone(),
            linked: Vec::new(),
        }
    }

    /// The tree as changed so far.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Ends the edit.
    pub fn finish(self) -> Tree {
        self.tree
    }

    /// Puts a node at a path, in place of whatever was there.
    ///
    /// # Errors
    /// The parent is not a directory that is known to be there.
    pub fn put(&mut self, path: &ImagePath, node: Node) -> Result<(), EditError> {
        self.forget(path);
        self.set(path, Slot::Present(Arc::new(node)))
    }

    /// Gives the file at `existing` a second name, in place of whatever was there.
    ///
    /// # Errors
    /// `existing` is missing or a directory, or the new parent is not there.
    pub fn link(&mut self, existing: &ImagePath, new: &ImagePath) -> Result<(), EditError> {
        let mut node = self.node(existing)?;
        if node.is_directory() {
            return Err(EditError::IsADirectory(existing.clone()));
        }
        if existing == new {
            return Ok(());
        }
        if !self.linked.iter().any(|names| names.contains(existing)) {
            // A file of the base becomes one of this edit, so that its other names there are no names of this one.
            node = Arc::new(Node::clone(&node));
            self.set(existing, Slot::Present(node.clone()))?;
        }
        self.forget(new);
        self.set(new, Slot::Present(node))?;
        match self.linked.iter_mut().find(|names| names.contains(existing)) {
            Some(names) => names.push(new.clone()),
            None => self.linked.push(vec![existing.clone(), new.clone()]),
        }
        Ok(())
    }

    /// Removes a path, with all below it.
    ///
    /// # Errors
    /// The parent is not a directory that is known to be there.
    pub fn remove(&mut self, path: &ImagePath) -> Result<(), EditError> {
        self.forget(path);
        self.set(path, Slot::Absent)
    }

    /// Moves a path, with all below it, in place of whatever was at `to`.
    ///
    /// # Errors
    /// `from` is missing, `to` lies below it, or the new parent is not there.
    pub fn rename(&mut self, from: &ImagePath, to: &ImagePath) -> Result<(), EditError> {
        if to.is_within(from) {
            return Err(EditError::IntoItself(from.clone()));
        }
        let node = self.node(from)?;
        let moved = Move {
            linked: self.linked.iter().flatten().collect(),
            renewed: HashMap::new(),
        }
        .renew(&node, from);
        self.forget(to);
        self.set(to, Slot::Present(moved))?;
        self.set(from, Slot::Absent)?;
        for name in self.linked.iter_mut().flatten() {
            if let Some(moved) = name.rebase(from, to) {
                *name = moved;
            }
        }
        Ok(())
    }

    /// Changes a node's metadata, under all the names that this edit gave it.
    ///
    /// # Errors
    /// There is nothing at `path`.
    pub fn set_metadata(&mut self, path: &ImagePath, metadata: Metadata) -> Result<(), EditError> {
        let node = self.node(path)?;
        self.replace(
            path,
            Node {
                metadata,
                ..Node::clone(&node)
            },
        )
    }

    /// Changes a node's time, under all the names that this edit gave it.
    ///
    /// # Errors
    /// There is nothing at `path`.
    pub fn set_mtime(&mut self, path: &ImagePath, mtime: ModificationTime) -> Result<(), EditError> {
        let node = self.node(path)?;
        self.replace(
            path,
            Node {
                mtime,
                ..Node::clone(&node)
            },
        )
    }

    /// Replaces what a file *is*, under all the names that this edit gave it: what writing into an open file does.
    ///
    /// # Errors
    /// There is nothing at `path`.
    pub fn replace(&mut self, path: &ImagePath, node: Node) -> Result<(), EditError> {
        let node = Arc::new(node);
        let names = self.linked.iter().find(|names| names.contains(path)).cloned();
        for name in names.unwrap_or_else(|| vec![path.clone()]) {
            self.set(&name, Slot::Present(node.clone()))?;
        }
        Ok(())
    }

    fn node(&self, path: &ImagePath) -> Result<Arc<Node>, EditError> {
        match self.tree.lookup(path) {
            Lookup::Found(node) => Ok(node.clone()),
            Lookup::Absent => Err(EditError::Absent(path.clone())),
            Lookup::Unknown => Err(EditError::Unknown(path.clone())),
        }
    }

    fn forget(&mut self, path: &ImagePath) {
        for names in &mut self.linked {
            names.retain(|name| !name.is_within(path));
        }
        self.linked.retain(|names| names.len() > 1);
    }

    fn set(&mut self, path: &ImagePath, slot: Slot) -> Result<(), EditError> {
        let names: Vec<&[u8]> = path.names().collect();
        if names.is_empty() {
            return match slot {
                Slot::Present(node) if node.is_directory() => {
                    self.tree.root = node;
                    Ok(())
                }
                _ => Err(EditError::Root),
            };
        }
        let complete = self.tree.complete;
        set_below(&mut self.tree.root, &names, slot, complete).map_err(|fault| fault.at(path))
    }
}

enum Fault {
    NoParent,
    Unknown,
}

impl Fault {
    fn at(self, path: &ImagePath) -> EditError {
        match self {
            Self::NoParent => EditError::NoParent(path.clone()),
            Self::Unknown => EditError::Unknown(path.clone()),
        }
    }
}

fn set_below(node: &mut Arc<Node>, names: &[&[u8]], slot: Slot, complete: bool) -> Result<(), Fault> {
    let NodeKind::Directory(directory) = &mut Arc::make_mut(node).kind else {
        return Err(Fault::NoParent);
    };
    let Some((name, rest)) = names.split_first() else {
        return Err(Fault::NoParent);
    };
    if !rest.is_empty() {
        return match directory.children.get_mut(BStr::new(*name)) {
            Some(Slot::Present(child)) => set_below(child, rest, slot, complete),
            None if !complete && !directory.sealed => Err(Fault::Unknown),
            _ => Err(Fault::NoParent),
        };
    }
    let gone_for_good = matches!(slot, Slot::Absent) && (complete || directory.sealed);
    if gone_for_good {
        directory.children.remove(BStr::new(*name));
    } else {
        directory.children.insert(BString::from(*name), slot);
    }
    Ok(())
}

/// Nodes on their way to another place.
struct Move<'a> {
    /// The names that this edit linked to others, which stay one file.
    linked: HashSet<&'a ImagePath>,
    renewed: HashMap<*const Node, Arc<Node>>,
}

impl Move<'_> {
    /// What stands at the new place: a directory shows nothing of what lower layers have there, and a file of the base
    /// is another file than its other names that stay behind, since moving it copies it up. Names that move together
    /// stay together.
    fn renew(&mut self, node: &Arc<Node>, place: &ImagePath) -> Arc<Node> {
        match &node.kind {
            NodeKind::Directory(directory) => self.renew_directory(node, directory, place),
            _ if self.linked.contains(place) => node.clone(),
            _ => {
                let renewed = self.renewed.entry(Arc::as_ptr(node));
                renewed.or_insert_with(|| Arc::new(Node::clone(node))).clone()
            }
        }
    }

    fn renew_directory(&mut self, node: &Node, directory: &Directory, place: &ImagePath) -> Arc<Node> {
        let mut children = BTreeMap::new();
        for (name, slot) in &directory.children {
            let slot = match slot {
                // A name of a tree is a name; a path that got too long is linked to nothing.
                Slot::Present(child) => {
                    Slot::Present(self.renew(child, &place.join(name).unwrap_or_default()))
                }
                Slot::Absent => Slot::Absent,
            };
            children.insert(name.clone(), slot);
        }
        let directory = Directory {
            children,
            sealed: true,
            implied: false,
        };
        Arc::new(Node {
            kind: NodeKind::Directory(directory),
            metadata: node.metadata.clone(),
            mtime: node.mtime,
        })
    }
}

/// Why a tree cannot be changed as asked. Whoever edits looks first, so these are faults of the caller or questions to a
/// further layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// There is nothing there.
    #[error("{0} does not exist")]
    Absent(ImagePath),
    /// The parent is missing or no directory.
    #[error("the parent of {0} is not a directory")]
    NoParent(ImagePath),
    /// Directories have one name.
    #[error("{0} is a directory")]
    IsADirectory(ImagePath),
    /// A directory cannot move below itself.
    #[error("{0} cannot be moved below itself")]
    IntoItself(ImagePath),
    /// The root can be neither replaced nor removed.
    #[error("the root directory can be neither replaced nor removed")]
    Root,
    /// The layers read so far do not decide this path.
    #[error("{0} is decided by a layer that was not read yet")]
    Unknown(ImagePath),
}
