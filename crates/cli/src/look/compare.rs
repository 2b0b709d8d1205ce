//! What differs between two images.

use std::cmp::Ordering;
use std::sync::Arc;

use onlay_layer::{Content, ImagePath, Node, NodeKind, Tree};
use serde_json::{Map, Value};

/// A file that is not the same in two trees.
pub(crate) struct FileDifference {
    /// Its path, without a leading slash.
    pub(crate) path: ImagePath,
    /// In the first tree.
    pub(crate) before: Option<Arc<Node>>,
    /// In the second.
    pub(crate) after: Option<Arc<Node>>,
}

impl FileDifference {
    /// What about it differs; empty where only one of the trees has it.
    pub(crate) fn aspects(&self) -> Vec<&'static str> {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => aspects(before, after),
            _ => Vec::new(),
        }
    }
}

/// Compares two trees of which all is known. Modification times do not count.
pub(crate) fn files(before: &Tree, after: &Tree) -> Vec<FileDifference> {
    let mut differences = Vec::new();
    let mut open = vec![ImagePath::root()];
    while let Some(directory) = open.pop() {
        let children = |tree: &Tree| -> Children {
            let children = tree.children(&directory).unwrap_or_default().into_iter();
            children.map(|(name, node)| (name.into(), node)).collect()
        };
        let mut below = Vec::new();
        for (name, before, after) in joined(children(before), children(after)) {
            // Names of a tree make paths, since they were paths.
            let Ok(path) = directory.join(&name) else { continue };
            let is_directory =
                |node: &Option<Arc<Node>>| node.as_ref().is_some_and(|node| node.is_directory());
            if is_directory(&before) || is_directory(&after) {
                below.push(path.clone());
            }
            let is_same = match (&before, &after) {
                (Some(before), Some(after)) => aspects(before, after).is_empty(),
                _ => false,
            };
            if !is_same {
                differences.push(FileDifference { path, before, after });
            }
        }
        open.extend(below.into_iter().rev());
    }
    differences.sort_by(|one, other| one.path.names().cmp(other.path.names()));
    differences
}

type Children = Vec<(Vec<u8>, Arc<Node>)>;
type Pair = (Vec<u8>, Option<Arc<Node>>, Option<Arc<Node>>);

/// Two lists, each in bytewise order, side by side.
fn joined(before: Children, after: Children) -> Vec<Pair> {
    let (mut before, mut after) = (before.into_iter().peekable(), after.into_iter().peekable());
    let mut pairs = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let first = before.next_if(|_| order != Ordering::Greater);
        let second = after.next_if(|_| order != Ordering::Less);
        let name = first.as_ref().or(second.as_ref()).map(|(name, _)| name.clone());
        let node = |child: Option<(Vec<u8>, Arc<Node>)>| child.map(|(_, node)| node);
        pairs.push((name.unwrap_or_default(), node(first), node(second)));
    }
}

fn aspects(before: &Node, after: &Node) -> Vec<&'static str> {
    let (one, other) = (&before.metadata, &after.metadata);
    let mut aspects = Vec::new();
    let mut add = |differs: bool, aspect| aspects.extend(differs.then_some(aspect));
    match (&before.kind, &after.kind) {
        (NodeKind::Directory(_), NodeKind::Directory(_)) | (NodeKind::Fifo, NodeKind::Fifo) => {}
        (NodeKind::File(before), NodeKind::File(after)) => {
            add(before.size() != after.size(), "size");
            add(!is_same_content(before, after), "content");
        }
        (NodeKind::Symlink(before), NodeKind::Symlink(after)) => add(before != after, "target"),
        (before, after) if std::mem::discriminant(before) == std::mem::discriminant(after) => {
            add(before != after, "device");
        }
        _ => add(true, "type"),
    }
    add(one.mode != other.mode, "mode");
    add((one.uid, one.gid) != (other.uid, other.gid), "owner");
    add(one.xattrs != other.xattrs, "xattrs");
    aspects
}

fn is_same_content(before: &Content, after: &Content) -> bool {
    match (before, after) {
        (Content::Base(before), Content::Base(after)) => before.digest == after.digest,
        (before, after) => before == after,
    }
}

/// A member of the configuration that is not the same in two images.
pub(crate) struct MemberDifference {
    /// Its name, such as `config.Env`.
    pub(crate) name: String,
    /// In the first image.
    pub(crate) before: Option<Value>,
    /// In the second.
    pub(crate) after: Option<Value>,
}

/// Compares two configurations, member by member. Layers and history are looked at elsewhere.
pub(crate) fn members(before: &Value, after: &Value) -> Vec<MemberDifference> {
    let mut differences = Vec::new();
    compare("", before, after, &mut differences);
    let elsewhere = ["config", "rootfs", "history"];
    differences.retain(|difference| !elsewhere.contains(&&*difference.name));
    let runtime = |configuration: &Value| configuration.get("config").cloned().unwrap_or_default();
    compare("config.", &runtime(before), &runtime(after), &mut differences);
    differences
}

fn compare(prefix: &str, before: &Value, after: &Value, differences: &mut Vec<MemberDifference>) {
    let empty = Map::new();
    let object = |value: &'_ Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
    let (before, after) = (object(before), object(after));
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        let (before, after) = (before.get(name), after.get(name));
        if before != after {
            differences.push(MemberDifference {
                name: format!("{prefix}{name}"),
                before: before.cloned(),
                after: after.cloned(),
            });
        }
    }
}
