use std::sync::Arc;

use onlay_layer::{Content, Edit, ImagePath, Lookup, Metadata, ModificationTime, Node, NodeKind, Tree};
use proptest::prelude::*;

use crate::disk::Disk;

/// Something that an instruction does to a file.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Makes a directory, in place of a file if there is one.
    Directory {
        path: ImagePath,
        mode: u32,
    },
    /// Writes into a file, or makes one.
    Write {
        path: ImagePath,
        text: String,
        mode: u32,
        seconds: i64,
    },
    /// Makes a symbolic link, in place of a file if there is one.
    Symlink {
        path: ImagePath,
        target: String,
        seconds: i64,
    },
    /// Gives a file a second name, in place of whatever is there.
    Link {
        existing: ImagePath,
        new: ImagePath,
    },
    /// Moves something, in place of whatever is there.
    Rename {
        from: ImagePath,
        to: ImagePath,
    },
    Remove {
        path: ImagePath,
    },
    Mode {
        path: ImagePath,
        mode: u32,
    },
    Time {
        path: ImagePath,
        seconds: i64,
    },
}

/// What is at a path of a tree.
fn at<'a>(tree: &'a Tree, path: &ImagePath) -> Option<&'a Arc<Node>> {
    match tree.lookup(path) {
        Lookup::Found(node) => Some(node),
        Lookup::Absent => None,
        Lookup::Unknown => panic!("{path} is unknown in a complete tree"),
    }
}

fn is_directory(tree: &Tree, path: &ImagePath) -> bool {
    at(tree, path).is_some_and(|node| node.is_directory())
}

/// Whether something that is no directory can be put at a path.
fn takes_leaf(tree: &Tree, path: &ImagePath) -> bool {
    is_directory(tree, &path.parent().unwrap_or_default()) && !is_directory(tree, path)
}

fn takes_anything(tree: &Tree, path: &ImagePath) -> bool {
    is_directory(tree, &path.parent().unwrap_or_default())
}

impl Operation {
    /// Tells whether a system would do it: whoever edits looks first.
    pub(crate) fn is_possible(&self, tree: &Tree) -> bool {
        let leaf = |path| at(tree, path).filter(|node| !node.is_directory());
        match self {
            Self::Directory { path, .. } | Self::Write { path, .. } | Self::Symlink { path, .. } => {
                takes_leaf(tree, path)
            }
            Self::Link { existing, new } => {
                leaf(existing).is_some() && takes_anything(tree, new) && !existing.is_within(new)
            }
            Self::Rename { from, to } => {
                let are_apart = !to.is_within(from) && !from.is_within(to);
                at(tree, from).is_some() && takes_anything(tree, to) && are_apart
            }
            Self::Remove { path } => at(tree, path).is_some(),
            Self::Mode { path, .. } => at(tree, path).is_some_and(|node| node.symlink_target().is_none()),
            Self::Time { path, .. } => leaf(path).is_some(),
        }
    }

    /// Does it to a tree.
    pub(crate) fn edit(&self, edit: &mut Edit) {
        let done = match self {
            Self::Directory { path, mode } => edit.put(
                path,
                Node::directory(metadata(mode | 0o700), ModificationTime::Build),
            ),
            Self::Write {
                path,
                text,
                mode,
                seconds,
            } => {
                let content = Content::Bytes(text.as_bytes().into());
                let mtime = ModificationTime::Seconds(*seconds);
                match at(edit.tree(), path).map(|node| Node::clone(node)) {
                    Some(node) if matches!(node.kind, NodeKind::File(_)) => {
                        edit.replace(path, Node::file(node.metadata, mtime, content))
                    }
                    _ => edit.put(path, Node::file(metadata(mode | 0o600), mtime, content)),
                }
            }
            Self::Symlink {
                path,
                target,
                seconds,
            } => {
                let mtime = ModificationTime::Seconds(*seconds);
                edit.put(path, Node::symlink(target.as_bytes(), 0, 0, mtime))
            }
            Self::Link { existing, new } => edit.link(existing, new),
            Self::Rename { from, to } => edit.rename(from, to),
            Self::Remove { path } => edit.remove(path),
            Self::Mode { path, mode } => edit.set_metadata(path, metadata(mode | 0o700)),
            Self::Time { path, seconds } => edit.set_mtime(path, ModificationTime::Seconds(*seconds)),
        };
        done.unwrap_or_else(|error| panic!("{self:?}: {error}"));
    }

    /// Does it to a directory of the disk.
    pub(crate) fn perform(&self, disk: &mut Disk) {
        match self {
            Self::Directory { path, mode } => disk.make_directory(path, mode | 0o700),
            Self::Write {
                path,
                text,
                mode,
                seconds,
            } => disk.write(path, text, mode | 0o600, *seconds),
            Self::Symlink {
                path,
                target,
                seconds,
            } => disk.symlink(path, target, *seconds),
            Self::Link { existing, new } => disk.link(existing, new),
            Self::Rename { from, to } => disk.rename(from, to),
            Self::Remove { path } => disk.remove(path),
            Self::Mode { path, mode } => disk.set_mode(path, mode | 0o700),
            Self::Time { path, seconds } => disk.set_seconds(path, *seconds),
        }
    }
}

fn metadata(mode: u32) -> Metadata {
    Metadata::root_owned(mode)
}

/// Few paths, so that operations meet; one name needs a PAX record, and one is longer than a header's field.
fn path() -> impl Strategy<Value = ImagePath> {
    let names = prop::sample::select(vec!["a".to_owned(), "é".to_owned(), "n".repeat(120)]);
    let names = prop_oneof![
        4 => prop::collection::vec(names.clone(), 1),
        3 => prop::collection::vec(names.clone(), 2),
        1 => prop::collection::vec(names, 3),
    ];
    names.prop_map(|names| ImagePath::from_member(names.join("/").as_bytes()).unwrap())
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let mode = || prop::sample::select(vec![0o755, 0o644, 0o600, 0o777, 0o1777, 0o2755, 0o4711, 0]);
    let seconds = || prop::sample::select(vec![0, 1, 1_700_000_000, 9_000_000_000]);
    let text = || prop::sample::select(vec!["", "x", "some\ntext\n"]).prop_map(str::to_owned);
    let target = || prop::sample::select(vec!["a", "/b/c", "../é"]).prop_map(str::to_owned);
    prop_oneof![
        3 => (path(), mode()).prop_map(|(path, mode)| Operation::Directory { path, mode }),
        5 => (path(), text(), mode(), seconds())
            .prop_map(|(path, text, mode, seconds)| Operation::Write { path, text, mode, seconds }),
        1 => (path(), target(), seconds())
            .prop_map(|(path, target, seconds)| Operation::Symlink { path, target, seconds }),
        6 => (path(), path()).prop_map(|(existing, new)| Operation::Link { existing, new }),
        2 => (path(), path()).prop_map(|(from, to)| Operation::Rename { from, to }),
        1 => path().prop_map(|path| Operation::Remove { path }),
        1 => (path(), mode()).prop_map(|(path, mode)| Operation::Mode { path, mode }),
        1 => (path(), seconds()).prop_map(|(path, seconds)| Operation::Time { path, seconds }),
    ]
}
