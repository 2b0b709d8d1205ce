//! The merged tree: the file system of a stack of layers as a value.
//!
//! Layers are merged from the top down, and a tree knows how far it has got: of a path that no layer read so far
//! decides it says [`Lookup::Unknown`], never "absent". So the caller reads one more layer only when the answer needs it.
//!
//! # How layers merge
//!
//! The top layer wins. For a name in two layers:
//!
//! - a directory over a directory is one directory with the upper's header and both contents, unless an opaque whiteout
//!   seals the upper one;
//! - anything else over anything else hides it, subtree and all;
//! - a whiteout hides the name in the layers below, not in its own;
//! - a directory that a layer only implies (`a/b` without `a/`) takes the header of the directory below, if there is one.
//!   Engines disagree here: containerd does the same, Docker and containers-storage make it 0755 root. Whoever writes
//!   below such a directory writes its header again, and the disagreement ends.
//!
//! Source: image-spec v1.1 layer.md "Applying Changesets".

use std::collections::BTreeMap;
use std::sync::Arc;

use bstr::{BStr, BString};

use crate::listing::{Entry, EntryKind, Listing};
use crate::node::{Directory, Node, NodeKind, Slot};
use crate::{BaseFile, Content, ImagePath, Metadata, ModificationTime};

/// The file system of a stack of layers, as far as they were read. Cloning is cheap.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    pub(crate) root: Arc<Node>,
    pub(crate) complete: bool,
}

/// What a tree knows of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup<'a> {
    /// It is there.
    Found(&'a Arc<Node>),
    /// It is not there, whatever the layers below say.
    Absent,
    /// The layers read so far do not decide it.
    Unknown,
}

impl Tree {
    /// The tree of no layers at all: nothing but a root directory, and complete.
    pub fn scratch() -> Self {
        let root = Node::directory(Metadata::root_owned(0o755), ModificationTime::Build);
        Self {
            root: Arc::new(root),
            complete: true,
        }
    }

    /// A stack of which no layer was read yet.
    pub fn unread() -> Self {
        let root = Node {
            metadata: implied_metadata(),
            mtime: ModificationTime::Build,
            kind: implied_directory(),
        };
        Self {
            root: Arc::new(root),
            complete: false,
        }
    }

    /// Puts the next lower layer under what was read so far.
    #[must_use]
    pub fn over(&self, lower: &Listing) -> Self {
        let lower = LayerView::of(lower).root;
        Self {
            root: merge(&self.root, &lower),
            complete: self.complete,
        }
    }

    /// Puts another tree under this one, as if this one were a layer on it: what it has hides what the other has in the
    /// same place, and directories of both are one.
    ///
    /// This is how `COPY --link` lays files over an image that nobody looked at.
    #[must_use]
    pub fn as_layer_over(&self, lower: &Self) -> Self {
        let upper = as_layer(&self.root);
        let merged = merge(&upper, &lower.root);
        let root = Node {
            metadata: lower.root.metadata.clone(),
            mtime: lower.root.mtime,
            kind: merged.kind.clone(),
        };
        Self {
            root: Arc::new(root),
            complete: lower.complete,
        }
    }

    /// Lays one more layer on top.
    #[must_use]
    pub fn with_layer(&self, layer: &Listing) -> Self {
        let upper = LayerView::of(layer).root;
        let merged = merge(&upper, &self.root);
        // A layer says nothing of the root.
        let root = Node {
            metadata: self.root.metadata.clone(),
            mtime: self.root.mtime,
            kind: merged.kind.clone(),
        };
        Self {
            root: Arc::new(root),
            complete: self.complete,
        }
    }

    /// Says that there is no further layer: what was not found is absent.
    #[must_use]
    pub fn completed(self) -> Self {
        Self {
            complete: true,
            ..self
        }
    }

    /// Tells whether every layer was read.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Looks a path up as it is written: no symbolic link is followed, and nothing lies below one.
    ///
    /// What is found has its final metadata: a directory that was only implied so far is [`Lookup::Unknown`].
    pub fn lookup(&self, path: &ImagePath) -> Lookup<'_> {
        let found = self.find(path);
        let Lookup::Found(node) = &found else { return found };
        // The root has no entry in most layers, and is never written: its header is nothing to wait for.
        if self.is_guess(node) && !path.is_root() {
            Lookup::Unknown
        } else {
            found
        }
    }

    /// Tells whether a lower layer may still say what a directory's header is.
    pub(crate) fn is_guess(&self, node: &Node) -> bool {
        let guessed = |directory: &Directory| directory.implied && !directory.sealed;
        !self.complete && node.as_directory().is_some_and(guessed)
    }

    /// Looks a name up in a directory of this tree, content with knowing what it is.
    pub(crate) fn child<'t>(&self, directory: &'t Directory, name: &[u8]) -> Lookup<'t> {
        match directory.get(name) {
            Some(Slot::Present(child)) => Lookup::Found(child),
            Some(Slot::Absent) => Lookup::Absent,
            None if self.complete || directory.sealed => Lookup::Absent,
            None => Lookup::Unknown,
        }
    }

    /// As [`lookup`](Self::lookup), but content with knowing what a path is, not what its header says.
    pub(crate) fn find(&self, path: &ImagePath) -> Lookup<'_> {
        let mut node = &self.root;
        for name in path.names() {
            let Some(directory) = node.as_directory() else {
                return Lookup::Absent;
            };
            match self.child(directory, name) {
                Lookup::Found(child) => node = child,
                other => return other,
            }
        }
        Lookup::Found(node)
    }

    /// Lists the names in a directory with their nodes, in bytewise order; `None` while a lower layer may add some, or
    /// if it is no directory.
    pub fn children(&self, path: &ImagePath) -> Option<Vec<(BString, Arc<Node>)>> {
        let Lookup::Found(node) = self.lookup(path) else {
            return None;
        };
        let directory = node.as_directory()?;
        if !self.complete && !directory.sealed {
            return None;
        }
        Some(
            directory
                .present()
                .map(|(name, node)| (name.clone(), node.clone()))
                .collect(),
        )
    }
}

fn implied_metadata() -> Metadata {
    Metadata::root_owned(0o755)
}

fn implied_directory() -> NodeKind {
    NodeKind::Directory(Directory {
        implied: true,
        ..Directory::default()
    })
}

/// One layer as a tree of its own, before anything is merged. A hard link shares the node of its target.
struct LayerView {
    root: Arc<Node>,
}

impl LayerView {
    fn of(listing: &Listing) -> Self {
        let layer = Arc::new(listing.diff_id.clone());
        let mut root = Draft::default();
        for entry in &listing.entries {
            root.insert(entry, &layer, listing);
        }
        Self { root: root.freeze() }
    }
}

/// A directory while a layer is read.
#[derive(Default)]
struct Draft {
    directories: BTreeMap<BString, Draft>,
    /// Leaves, and whiteouts as `None`.
    leaves: BTreeMap<BString, Option<Arc<Node>>>,
    header: Option<(Metadata, i64)>,
    opaque: bool,
}

impl Draft {
    fn insert(&mut self, entry: &Entry, layer: &Arc<onlay_oci::DiffId>, listing: &Listing) {
        let node = |kind| Node {
            metadata: entry.metadata.clone(),
            mtime: ModificationTime::Seconds(entry.mtime),
            kind,
        };
        let leaf = match &entry.kind {
            EntryKind::Directory => {
                self.directory(&entry.path).header = Some((entry.metadata.clone(), entry.mtime));
                return;
            }
            EntryKind::OpaqueWhiteout => {
                self.directory(&entry.path).opaque = true;
                return;
            }
            EntryKind::Whiteout => return self.whiteout(&entry.path),
            EntryKind::HardLink { target } => match self.leaf(target) {
                Some(node) => return self.put(&entry.path, node),
                // The reader of listings refuses links to nowhere, so this layer was not read by it.
                None => return,
            },
            EntryKind::File { size, offset, digest } => {
                let content = match listing.inlined(&entry.path) {
                    Some(bytes) => Content::Bytes(bytes.into()),
                    None => Content::Base(Arc::new(BaseFile {
                        layer: layer.clone(),
                        path: entry.path.clone(),
                        offset: *offset,
                        size: *size,
                        digest: digest.clone(),
                    })),
                };
                NodeKind::File(content)
            }
            EntryKind::Symlink { target } => NodeKind::Symlink(target.as_slice().into()),
            EntryKind::CharacterDevice { major, minor } => NodeKind::CharacterDevice {
                major: *major,
                minor: *minor,
            },
            EntryKind::BlockDevice { major, minor } => NodeKind::BlockDevice {
                major: *major,
                minor: *minor,
            },
            EntryKind::Fifo => NodeKind::Fifo,
        };
        self.put(&entry.path, Arc::new(node(leaf)));
    }

    /// The directory at `path`, made if it is not there; a leaf in the way was an earlier entry and gives way.
    fn directory(&mut self, path: &ImagePath) -> &mut Self {
        let mut draft = self;
        for name in path.names() {
            draft.leaves.remove(BStr::new(name));
            draft = draft.directories.entry(name.into()).or_default();
        }
        draft
    }

    fn put(&mut self, path: &ImagePath, node: Arc<Node>) {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return;
        };
        let parent = self.directory(&parent);
        parent.directories.remove(BStr::new(name));
        parent.leaves.insert(name.into(), Some(node));
    }

    /// A whiteout beside an entry of the same name says nothing of that entry: it is of the layers below only. Engines
    /// lose it there (dockerfile.md §1.13), and so do we.
    fn whiteout(&mut self, path: &ImagePath) {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return;
        };
        let parent = self.directory(&parent);
        if !parent.directories.contains_key(BStr::new(name)) {
            parent.leaves.entry(name.into()).or_insert(None);
        }
    }

    fn leaf(&self, path: &ImagePath) -> Option<Arc<Node>> {
        let mut draft = self;
        for name in path.parent()?.names() {
            draft = draft.directories.get(BStr::new(name))?;
        }
        draft.leaves.get(BStr::new(path.name()?))?.clone()
    }

    fn freeze(self) -> Arc<Node> {
        let directories = self
            .directories
            .into_iter()
            .map(|(name, draft)| (name, Slot::Present(draft.freeze())));
        let leaves = self
            .leaves
            .into_iter()
            .map(|(name, leaf)| (name, leaf.map_or(Slot::Absent, Slot::Present)));
        let children = directories.chain(leaves).collect();
        let directory = Directory {
            children,
            sealed: self.opaque,
            implied: self.header.is_none(),
        };
        let (metadata, mtime) = match self.header {
            Some((metadata, mtime)) => (metadata, ModificationTime::Seconds(mtime)),
            None => (implied_metadata(), ModificationTime::Build),
        };
        Arc::new(Node {
            metadata,
            mtime,
            kind: NodeKind::Directory(directory),
        })
    }
}

/// Merges what is known of one path in an upper and in the next lower layer.
fn merge(upper: &Arc<Node>, lower: &Arc<Node>) -> Arc<Node> {
    let NodeKind::Directory(above) = &upper.kind else {
        return upper.clone();
    };
    if above.sealed {
        return upper.clone();
    }
    let NodeKind::Directory(below) = &lower.kind else {
        let sealed = Directory {
            sealed: true,
            ..above.clone()
        };
        return Arc::new(Node {
            kind: NodeKind::Directory(sealed),
            ..Node::clone(upper)
        });
    };
    let header = if above.implied { lower } else { upper };
    let directory = Directory {
        children: merge_children(&above.children, &below.children),
        sealed: below.sealed,
        implied: above.implied && below.implied,
    };
    Arc::new(Node {
        metadata: header.metadata.clone(),
        mtime: header.mtime,
        kind: NodeKind::Directory(directory),
    })
}

fn merge_children(
    above: &BTreeMap<BString, Slot>,
    below: &BTreeMap<BString, Slot>,
) -> BTreeMap<BString, Slot> {
    let mut children = above.clone();
    for (name, lower) in below {
        let merged = match (above.get(name), lower) {
            (None, slot) => slot.clone(),
            (Some(Slot::Absent), _) => continue,
            (Some(Slot::Present(upper)), Slot::Present(lower)) => Slot::Present(merge(upper, lower)),
            (Some(Slot::Present(upper)), Slot::Absent) => Slot::Present(seal(upper)),
        };
        children.insert(name.clone(), merged);
    }
    children
}

/// A whole tree as the layer that would hold it: in a layer, a directory does not hide what lower ones have in it.
fn as_layer(node: &Arc<Node>) -> Arc<Node> {
    let NodeKind::Directory(directory) = &node.kind else {
        return node.clone();
    };
    let children = directory
        .present()
        .map(|(name, child)| (name.clone(), Slot::Present(as_layer(child))));
    let directory = Directory {
        children: children.collect(),
        sealed: false,
        implied: false,
    };
    Arc::new(Node {
        kind: NodeKind::Directory(directory),
        ..Node::clone(node)
    })
}

/// What stands above a whiteout of a lower layer shows nothing of the layers below that one.
fn seal(node: &Arc<Node>) -> Arc<Node> {
    match &node.kind {
        NodeKind::Directory(directory) if !directory.sealed => {
            let sealed = Directory {
                sealed: true,
                ..directory.clone()
            };
            Arc::new(Node {
                kind: NodeKind::Directory(sealed),
                ..Node::clone(node)
            })
        }
        _ => node.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::{partial, path, tree};

    /// What is at a path, in one word.
    fn at(tree: &Tree, name: &str) -> String {
        match tree.lookup(&path(name)) {
            Lookup::Absent => "absent".to_owned(),
            Lookup::Unknown => "unknown".to_owned(),
            Lookup::Found(node) => match &node.kind {
                NodeKind::Directory(_) => format!("d{:o}", node.metadata.mode),
                NodeKind::File(content) => format!("f{}", content.size()),
                NodeKind::Symlink(target) => format!("l{target}"),
                _ => "other".to_owned(),
            },
        }
    }

    fn check(tree: &Tree, expected: &[(&str, &str)]) {
        for (name, found) in expected {
            assert_eq!(at(tree, name), *found, "{name}");
        }
    }

    #[test]
    fn the_top_layer_wins() {
        let tree = tree(&[
            "d 755 0:0 etc\nf 644 0:0 etc/a one\nf 644 0:0 etc/b one\nd 700 0:0 opt\nf 644 0:0 opt/x x\nl lib -> usr/lib",
            "d 711 0:0 etc\nf 644 0:0 etc/a three\nf 644 0:0 opt/y y",
            "w etc/b\nf 644 0:0 lib 1",
        ]);
        let expected = [
            ("etc", "d711"),
            ("etc/a", "f5"),
            ("etc/b", "absent"),
            ("opt", "d700"),
            ("opt/x", "f1"),
            ("opt/y", "f1"),
            ("lib", "f1"),
            ("no", "absent"),
        ];
        check(&tree, &expected);
    }

    #[test]
    fn whiteouts_hide_lower_layers_only() {
        let tree = tree(&[
            "d 755 0:0 a\nf 644 0:0 a/old 1\nd 755 0:0 b\nf 644 0:0 b/old 1\nd 755 0:0 c\nf 644 0:0 c/old 1",
            "d 755 0:0 a\no a\nf 644 0:0 a/new 1\nw b",
            "d 750 0:0 b\nf 644 0:0 b/new 1\nf 644 0:0 c/new 1",
        ]);
        check(
            &tree,
            &[
                ("a/old", "absent"),
                ("a/new", "f1"),
                ("b", "d750"),
                ("b/old", "absent"),
                ("b/new", "f1"),
                ("c/old", "f1"),
            ],
        );
    }

    #[test]
    fn a_tree_laid_over_another_hides_only_what_it_has() {
        let lower = tree(&["d 750 1:1 a\nf 644 0:0 a/old 1\nl bin -> usr/bin\nf 644 0:0 x 1"]);
        let upper = tree(&["d 755 0:0 a\nf 600 0:0 a/new 12\nd 755 0:0 bin\nf 755 0:0 bin/tool 1"]);
        let laid = upper.as_layer_over(&lower);
        let expected = [
            ("a", "d755"),
            ("a/old", "f1"),
            ("a/new", "f2"),
            ("bin", "d755"),
            ("bin/tool", "f1"),
            ("x", "f1"),
        ];
        check(&laid, &expected);
    }

    #[test]
    fn a_directory_over_a_file_shows_nothing_below_the_file() {
        let tree = tree(&[
            "d 755 0:0 a\nf 644 0:0 a/deep 1",
            "f 644 0:0 a 1",
            "d 755 0:0 a\nf 644 0:0 a/new 1",
        ]);
        check(&tree, &[("a/deep", "absent"), ("a/new", "f1")]);
    }

    #[test]
    fn a_whiteout_beside_its_name_is_lost() {
        let tree = tree(&[
            "d 755 0:0 d\nf 644 0:0 d/old 1",
            "w d\nd 755 0:0 d\nf 644 0:0 d/new 1",
        ]);
        check(&tree, &[("d/old", "f1"), ("d/new", "f1")]);
    }

    #[test]
    fn unread_layers_are_unknown_until_decided() {
        let top = "d 755 0:0 etc\nf 644 0:0 etc/a 1\nw etc/gone\nf 644 0:0 opt/x 1\nd 755 0:0 new\no new";
        let tree = partial(&[top]);
        check(
            &tree,
            &[
                ("etc", "d755"),
                ("etc/a", "f1"),
                ("etc/a/below", "absent"),
                ("etc/b", "unknown"),
                ("etc/gone", "absent"),
                ("opt", "unknown"),
                ("opt/x", "f1"),
                ("new/x", "absent"),
                ("usr/bin", "unknown"),
            ],
        );
        assert_eq!(tree.children(&path("etc")), None);
        assert_eq!(tree.children(&path("new")), Some(Vec::new()));
        check(&tree.completed(), &[("etc/b", "absent"), ("opt", "d755")]);
    }

    #[test]
    fn merging_does_not_depend_on_how_the_stack_is_cut() {
        let layers = [
            "d 700 1:1 a\nf 644 0:0 a/x 1\nf 644 0:0 b 1",
            "w a/x\nd 755 0:0 b\nf 644 0:0 b/y 1",
            "f 644 0:0 a/z 1",
        ];
        let all = tree(&layers);
        let resumed = partial(&layers[1..])
            .over(&crate::notation::layer(layers[0]))
            .completed();
        assert_eq!(all, resumed);
    }

    #[test]
    fn hard_links_share_their_node() {
        let tree =
            tree(&["d 755 0:0 bin\nf 755 0:0 bin/busybox 1\nh bin/sh = bin/busybox\nh bin/ls = bin/sh"]);
        let node = |name: &str| match tree.lookup(&path(name)) {
            Lookup::Found(node) => node.clone(),
            other => panic!("{other:?}"),
        };
        assert!(
            Arc::ptr_eq(&node("bin/sh"), &node("bin/busybox"))
                && Arc::ptr_eq(&node("bin/ls"), &node("bin/sh"))
        );
    }
}
