//! Files as `ls` shows them, and as JSON.

use onlay_layer::{ModificationTime, Node, NodeKind};
use onlay_oci::Timestamp;
use serde_json::{Value, json};

use super::one_line;

/// What a file is, in a word.
pub(crate) fn kind(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Directory(_) => "directory",
        NodeKind::File(_) => "file",
        NodeKind::Symlink(_) => "symlink",
        NodeKind::CharacterDevice { .. } => "character device",
        NodeKind::BlockDevice { .. } => "block device",
        NodeKind::Fifo => "fifo",
    }
}

/// A line of `ls -ln`.
pub(crate) fn long_line(name: &[u8], node: &Node) -> String {
    let (uid, gid) = (node.metadata.uid, node.metadata.gid);
    let time = time(node).map_or_else(|| "-".to_owned(), |time| time.to_string());
    let size = match &node.kind {
        NodeKind::File(content) => content.size().to_string(),
        NodeKind::CharacterDevice { major, minor } | NodeKind::BlockDevice { major, minor } => {
            format!("{major}, {minor}")
        }
        NodeKind::Symlink(target) => target.len().to_string(),
        NodeKind::Directory(_) | NodeKind::Fifo => "0".to_owned(),
    };
    let target = match node.symlink_target() {
        Some(target) => format!(" -> {}", one_line(target)),
        None => String::new(),
    };
    format!(
        "{} {uid:>5} {gid:>5} {size:>10} {time:<20} {}{target}",
        mode(node),
        one_line(name)
    )
}

/// A file as JSON.
pub(crate) fn value(path: &[u8], node: &Node) -> Value {
    let mut value = json!({
        "path": String::from_utf8_lossy(path),
        "type": kind(node),
        "mode": format!("{:04o}", node.metadata.mode),
        "uid": node.metadata.uid,
        "gid": node.metadata.gid,
        "modified": time(node).map(|time| time.to_string()),
    });
    match &node.kind {
        NodeKind::File(content) => value["size"] = json!(content.size()),
        NodeKind::Symlink(target) => value["target"] = json!(String::from_utf8_lossy(target)),
        NodeKind::CharacterDevice { major, minor } | NodeKind::BlockDevice { major, minor } => {
            value["major"] = json!(major);
            value["minor"] = json!(minor);
        }
        NodeKind::Directory(_) | NodeKind::Fifo => {}
    }
    if !node.metadata.xattrs.is_empty() {
        let names: Vec<&str> = node
            .metadata
            .xattrs
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        value["xattrs"] = json!(names);
    }
    value
}

fn time(node: &Node) -> Option<Timestamp> {
    match node.mtime {
        ModificationTime::Seconds(seconds) => Timestamp::from_seconds(seconds).ok(),
        ModificationTime::Build => None,
    }
}

/// `drwxr-sr-t`, as `ls` writes it.
fn mode(node: &Node) -> String {
    let first = match node.kind {
        NodeKind::Directory(_) => 'd',
        NodeKind::File(_) => '-',
        NodeKind::Symlink(_) => 'l',
        NodeKind::CharacterDevice { .. } => 'c',
        NodeKind::BlockDevice { .. } => 'b',
        NodeKind::Fifo => 'p',
    };
    let mode = node.metadata.mode;
    let special = [(0o4000, 's'), (0o2000, 's'), (0o1000, 't')];
    let mut text = String::from(first);
    for (who, (bit, letter)) in special.into_iter().enumerate() {
        let bits = mode >> (6 - 3 * who);
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & bit != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use onlay_layer::Metadata;

    use super::*;

    #[test]
    fn modes_as_ls_writes_them() {
        let cases = [
            (0o755, "drwxr-xr-x"),
            (0o1777, "drwxrwxrwt"),
            (0o1770, "drwxrwx--T"),
            (0o4755, "drwsr-xr-x"),
            (0o6640, "drwSr-S---"),
        ];
        for (bits, expected) in cases {
            let node = Node::directory(Metadata::root_owned(bits), ModificationTime::Build);
            assert_eq!(mode(&node), expected);
        }
    }
}
