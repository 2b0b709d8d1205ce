//! Trees as lines of text.
//!
//! `d 755 0:0 etc`, `f 644 0:0 etc/motd hello\n` (escapes as in `echo -e`), `x 755 0:0 bin/busybox` (a program: bytes
//! that the tree does not hold), `l bin -> usr/bin`, `h b = a` (another name of a file), `p 644 0:0 pipe`.

#![allow(dead_code, reason = "every test uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "it is part of tests only")]

use std::collections::HashMap;
use std::sync::Arc;

use onlay_layer::{
    Content, Entry, EntryKind, ImagePath, Listing, Lookup, Metadata, ModificationTime, Node, NodeKind, Tree,
};
use onlay_oci::{DiffId, Digest};
use onlay_shell::{CommandLine, Line, Outcome, Tools, interpret};

/// A time that says "from the base".
const BASE_TIME: i64 = 1_000_000_000;

/// What is in front of every tree of [`debian`] and [`alpine`]: names and places.
pub(crate) const PLACES: &str = r"
    d 755 0:0 bin
    d 755 0:0 etc
    f 644 0:0 etc/group root:x:0:\nstaff:x:50:\nwww-data:x:33:\n
    f 644 0:0 etc/passwd root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\nada:x:1000:50::/home/ada:/bin/sh\n
    d 700 0:0 root
    d 1777 0:0 tmp
    d 755 0:0 var
";

/// Programs of a base with dash and the GNU tools.
pub(crate) const DEBIAN: &str = r"
    f 644 0:0 etc/os-release ID=debian\nVERSION_ID=12\n
    x 755 0:0 bin/dash
    l bin/sh -> dash
";

/// Programs of a base whose `sh` is bash, with the GNU tools.
pub(crate) const FEDORA: &str = r"
    f 644 0:0 etc/os-release ID=fedora\n
    x 755 0:0 bin/bash
    l bin/sh -> bash
";

/// Programs of a base that has busybox for everything.
pub(crate) const ALPINE: &str = r"
    f 644 0:0 etc/os-release ID=alpine\n
    x 755 0:0 bin/busybox
    l bin/sh -> /bin/busybox
";

/// The commands that bases have as files.
pub(crate) const COMMANDS: &[&str] = &[
    "[", "basename", "cat", "chgrp", "chmod", "chown", "cp", "dirname", "echo", "false", "find", "install",
    "ln", "mkdir", "mv", "printf", "pwd", "rm", "rmdir", "sleep", "sync", "tee", "test", "touch", "true",
    "unlink",
];

/// A whole base of this distribution with these commands, and more lines behind it.
pub(crate) fn base(distribution: &str, commands: &[&str], more: &str) -> Tree {
    let program = |name: &&str| match distribution == ALPINE {
        true => format!("l bin/{name} -> /bin/busybox"),
        false => format!("x 755 0:0 bin/{name}"),
    };
    let programs: Vec<String> = commands.iter().map(program).collect();
    tree(&[PLACES, distribution, &programs.join("\n"), more].join("\n"))
}

/// Reads a tree; of a path that comes twice the last one counts.
pub(crate) fn tree(text: &str) -> Tree {
    Tree::unread().over(&listing(text)).completed()
}

/// Reads a layer.
pub(crate) fn listing(text: &str) -> Listing {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty());
    let mut inlined = Vec::new();
    let entries = lines.map(|line| entry(line, &mut inlined)).collect();
    Listing {
        diff_id: DiffId::new(Digest::of(text.as_bytes())),
        uncompressed_size: 0,
        entries,
        inlined,
    }
}

fn path(name: &str) -> ImagePath {
    ImagePath::from_member(name.as_bytes()).unwrap()
}

fn entry(line: &str, inlined: &mut Vec<(ImagePath, Vec<u8>)>) -> Entry {
    let words: Vec<&str> = line.splitn(5, ' ').collect();
    let (name, metadata, kind) = match words[..] {
        ["l", name, "->", target] => (
            name,
            Metadata::root_owned(0o777),
            EntryKind::Symlink {
                target: target.into(),
            },
        ),
        ["h", name, "=", target] => (
            name,
            Metadata::root_owned(0o777),
            EntryKind::HardLink { target: path(target) },
        ),
        ["d", mode, owner, name] => (name, metadata(mode, owner), EntryKind::Directory),
        ["p", mode, owner, name] => (name, metadata(mode, owner), EntryKind::Fifo),
        ["x", mode, owner, name] => (name, metadata(mode, owner), file(name.as_bytes())),
        ["f", mode, owner, name, content] => {
            let content = unescape(content);
            inlined.push((path(name), content.clone()));
            (name, metadata(mode, owner), file(&content))
        }
        ["f", mode, owner, name] => {
            inlined.push((path(name), Vec::new()));
            (name, metadata(mode, owner), file(b""))
        }
        _ => panic!("not an entry: {line}"),
    };
    Entry {
        path: path(name),
        metadata,
        mtime: BASE_TIME,
        kind,
    }
}

fn file(content: &[u8]) -> EntryKind {
    EntryKind::File {
        size: content.len() as u64,
        offset: 512,
        digest: Digest::of(content),
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

pub(crate) fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\n", "\n").replace("\\t", "\t").into_bytes()
}

/// Prints a whole tree as [`tree`] reads it; `@` marks a file that still has its time from the base.
pub(crate) fn print(tree: &Tree) -> Vec<String> {
    let mut printer = Printer {
        tree,
        lines: Vec::new(),
        seen: HashMap::new(),
    };
    printer.children(&ImagePath::root());
    printer.lines
}

/// The lines of `after` that `before` has not, and with a minus those that only `before` has.
pub(crate) fn difference(before: &Tree, after: &Tree) -> Vec<String> {
    let (before, after) = (print(before), print(after));
    let gone = before.iter().filter(|line| !after.contains(line));
    let removed: Vec<String> = gone
        .filter(|line| !after.iter().any(|other| name_of(other) == name_of(line)))
        .map(|line| format!("- {}", name_of(line)))
        .collect();
    removed
        .into_iter()
        .chain(after.into_iter().filter(|line| !before.contains(line)))
        .collect()
}

pub(crate) fn name_of(line: &str) -> &str {
    let words: Vec<&str> = line.split(' ').collect();
    let index = if matches!(words[0], "l" | "h") { 1 } else { 3 };
    words[index]
}

struct Printer<'t> {
    tree: &'t Tree,
    lines: Vec<String>,
    seen: HashMap<*const Node, String>,
}

impl Printer<'_> {
    fn children(&mut self, directory: &ImagePath) {
        for (name, node) in self.tree.children(directory).unwrap_or_default() {
            let path = directory.join(&name).unwrap();
            let line = self.line(&path.to_string()[1..], &node);
            self.lines.push(line);
            self.children(&path);
        }
    }

    fn line(&mut self, name: &str, node: &Arc<Node>) -> String {
        if !node.is_directory() {
            if let Some(first) = self.seen.get(&Arc::as_ptr(node)) {
                return format!("h {name} = {first}");
            }
            self.seen.insert(Arc::as_ptr(node), name.to_owned());
        }
        let Metadata { mode, uid, gid, .. } = node.metadata;
        let time = if node.mtime == ModificationTime::Seconds(BASE_TIME) {
            " @"
        } else {
            ""
        };
        match &node.kind {
            NodeKind::Directory(_) => format!("d {mode:o} {uid}:{gid} {name}"),
            NodeKind::Symlink(target) if (uid, gid) == (0, 0) => format!("l {name} -> {target}{time}"),
            NodeKind::Symlink(target) => format!("l {name} -> {target} ({uid}:{gid}){time}"),
            NodeKind::File(content) => match text_of(content) {
                Some(text) if text.is_empty() => format!("f {mode:o} {uid}:{gid} {name}{time}"),
                Some(text) => format!("f {mode:o} {uid}:{gid} {name} {text}{time}"),
                None => format!("x {mode:o} {uid}:{gid} {name}{time}"),
            },
            other => format!("{other:?} {mode:o} {uid}:{gid} {name}{time}"),
        }
    }
}

fn text_of(content: &Content) -> Option<String> {
    match content {
        Content::Bytes(bytes) => Some(
            String::from_utf8_lossy(bytes)
                .replace('\n', "\\n")
                .replace('\t', "\\t"),
        ),
        _ => None,
    }
}

/// What is at a path, or nothing.
pub(crate) fn find(tree: &Tree, name: &str) -> Option<Arc<Node>> {
    match tree.lookup(&path(name)) {
        Lookup::Found(node) => Some(node.clone()),
        Lookup::Absent | Lookup::Unknown => None,
    }
}

/// Runs shell text as root in `/`.
pub(crate) fn run(text: &str, tree: &Tree) -> Outcome {
    run_with(text, tree, &[("HOME", "/root")], Tools::Image)
}

/// Runs shell text as root in `/`, with more variables.
pub(crate) fn run_with(text: &str, tree: &Tree, variables: &[(&str, &str)], tools: Tools) -> Outcome {
    run_by("/bin/sh", text, tree, variables, tools)
}

/// Runs text of this shell as root in `/`.
pub(crate) fn run_by(
    shell: &str,
    text: &str,
    tree: &Tree,
    variables: &[(&str, &str)],
    tools: Tools,
) -> Outcome {
    let environment: Vec<(String, String)> = std::iter::once(&("PATH", "/usr/bin:/bin"))
        .chain(variables)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let line = Line {
        command: CommandLine::Shell(text),
        shell: &[shell.to_owned(), "-c".to_owned()],
        environment: &environment,
        working_directory: b"/",
        user: "root",
        tools,
    };
    interpret(&line, tree)
}
