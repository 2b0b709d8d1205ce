//! Layers and changes as lines of text, for tests.
//!
//! `d 755 0:0 etc`, `f 644 0:0 etc/motd hello`, `l bin -> usr/bin`, `h usr/bin/b = usr/bin/a`, `w etc/motd` (whiteout),
//! `o etc` (opaque whiteout), `p 644 0:0 run/pipe`.

use onlay_oci::{DiffId, Digest};

use crate::{
    Change, ChangeKind, Content, Entry, EntryKind, ImagePath, Listing, Metadata, ModificationTime, Tree,
};

/// A time that says "from the base".
pub(crate) const BASE_TIME: i64 = 1_000_000_000;

pub(crate) fn path(text: &str) -> ImagePath {
    ImagePath::from_member(text.as_bytes()).unwrap()
}

/// Reads a layer; its diff id is that of the text.
pub(crate) fn layer(text: &str) -> Listing {
    let entries = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(entry)
        .collect();
    let diff_id = DiffId::new(Digest::of(text.as_bytes()));
    Listing {
        diff_id,
        uncompressed_size: 0,
        entries,
        inlined: Vec::new(),
    }
}

/// Merges layers that are given base first, all of them read.
pub(crate) fn tree(layers: &[&str]) -> Tree {
    partial(layers).completed()
}

/// Merges layers that are given base first, with unread ones below them.
pub(crate) fn partial(layers: &[&str]) -> Tree {
    layers
        .iter()
        .rev()
        .fold(Tree::unread(), |tree, text| tree.over(&layer(text)))
}

fn entry(line: &str) -> Entry {
    let words: Vec<&str> = line.split(' ').collect();
    let at = |name: &str, metadata, kind| Entry {
        path: path(name),
        metadata,
        mtime: BASE_TIME,
        kind,
    };
    let plain = || Metadata::root_owned(0o777);
    match words[..] {
        ["d", mode, owner, name] => at(name, metadata(mode, owner), EntryKind::Directory),
        ["p", mode, owner, name] => at(name, metadata(mode, owner), EntryKind::Fifo),
        ["f", mode, owner, name, content] => {
            let digest = Digest::of(content.as_bytes());
            let kind = EntryKind::File {
                size: content.len() as u64,
                offset: 512,
                digest,
            };
            at(name, metadata(mode, owner), kind)
        }
        ["l", name, "->", target] => at(
            name,
            plain(),
            EntryKind::Symlink {
                target: target.into(),
            },
        ),
        ["h", name, "=", target] => at(name, plain(), EntryKind::HardLink { target: path(target) }),
        ["w", name] => at(name, plain(), EntryKind::Whiteout),
        ["o", name] => at(name, plain(), EntryKind::OpaqueWhiteout),
        _ => panic!("not an entry: {line}"),
    }
}

fn metadata(mode: &str, owner: &str) -> Metadata {
    let (uid, gid) = owner.split_once(':').unwrap();
    Metadata::owned(
        u32::from_str_radix(mode, 8).unwrap(),
        uid.parse().unwrap(),
        gid.parse().unwrap(),
    )
}

/// Prints changes as [`layer`] reads entries; a trailing `*` marks the build's time.
pub(crate) fn print(changes: &[Change]) -> Vec<String> {
    changes.iter().map(print_one).collect()
}

fn print_one(change: &Change) -> String {
    let Change {
        path,
        metadata,
        mtime,
        kind,
    } = change;
    let owned = format!("{:o} {}:{}", metadata.mode, metadata.uid, metadata.gid);
    let name = path.to_string();
    let name = &name[1..];
    let line = match kind {
        ChangeKind::Directory => format!("d {owned} {name}"),
        ChangeKind::File(Content::Bytes(bytes)) => {
            format!("f {owned} {name} {}", String::from_utf8_lossy(bytes))
        }
        ChangeKind::File(content) => format!("f {owned} {name} ({} bytes)", content.size()),
        ChangeKind::Symlink(target) => format!("l {name} -> {target}"),
        ChangeKind::HardLink(target) => format!("h {name} = {}", &target.to_string()[1..]),
        ChangeKind::Fifo => format!("p {owned} {name}"),
        ChangeKind::Whiteout => return format!("w {name}"),
        ChangeKind::CharacterDevice { major, minor } => format!("c {owned} {name} {major},{minor}"),
        ChangeKind::BlockDevice { major, minor } => format!("b {owned} {name} {major},{minor}"),
    };
    if *mtime == ModificationTime::Build {
        line + " *"
    } else {
        line
    }
}
