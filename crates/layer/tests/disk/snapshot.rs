use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use onlay_layer::{ImagePath, ModificationTime, NodeKind, Tree};

use crate::stack::Stack;

/// Everything below a directory, by path.
pub(crate) struct Snapshot {
    pub(crate) files: BTreeMap<Vec<u8>, File>,
    /// A number for each path that is no directory; links of each other have the same.
    numbers: HashMap<Vec<u8>, u64>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum File {
    Directory { mode: u32 },
    Regular { mode: u32, seconds: i64, text: String },
    Symlink { seconds: i64, target: String },
}

impl Snapshot {
    pub(crate) fn of_disk(root: &Path) -> Self {
        let mut snapshot = Self::empty();
        snapshot.add_disk(root, root);
        snapshot
    }

    pub(crate) fn of_tree(tree: &Tree, stack: &Stack) -> Self {
        let mut snapshot = Self::empty();
        snapshot.add_tree(tree, &ImagePath::root(), stack);
        snapshot
    }

    /// The paths of files for which something holds.
    pub(crate) fn paths(&self, holds: impl Fn(&[u8]) -> bool) -> BTreeSet<Vec<u8>> {
        let paths = self.numbers.keys().filter(|path| holds(path));
        paths.cloned().collect()
    }

    /// The names of each file that has several among these.
    pub(crate) fn links(&self, among: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<Vec<u8>>> {
        let mut names: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
        for path in among {
            names.entry(self.numbers[path]).or_default().push(path.clone());
        }
        names.into_values().filter(|names| names.len() > 1).collect()
    }

    fn empty() -> Self {
        Self {
            files: BTreeMap::new(),
            numbers: HashMap::new(),
        }
    }

    fn add_disk(&mut self, root: &Path, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap() {
            let place = entry.unwrap().path();
            let path = place.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            let metadata = fs::symlink_metadata(&place).unwrap();
            let (mode, seconds) = (metadata.mode() & 0o7777, metadata.mtime());
            let file = if metadata.is_dir() {
                self.add_disk(root, &place);
                File::Directory { mode }
            } else if metadata.is_symlink() {
                let target = fs::read_link(&place).unwrap().to_str().unwrap().to_owned();
                File::Symlink { seconds, target }
            } else {
                let text = fs::read_to_string(&place).unwrap();
                File::Regular { mode, seconds, text }
            };
            self.add(path, file, metadata.ino());
        }
    }

    fn add_tree(&mut self, tree: &Tree, directory: &ImagePath, stack: &Stack) {
        for (name, node) in tree.children(directory).unwrap() {
            let path = directory.join(&name).unwrap();
            let mode = node.metadata.mode;
            let seconds = match node.mtime {
                ModificationTime::Seconds(seconds) => seconds,
                ModificationTime::Build => 0,
            };
            let file = match &node.kind {
                NodeKind::Directory(_) => {
                    self.add_tree(tree, &path, stack);
                    File::Directory { mode }
                }
                NodeKind::Symlink(target) => {
                    let target = target.to_string();
                    File::Symlink { seconds, target }
                }
                NodeKind::File(content) => {
                    let text = String::from_utf8(stack.read(content)).unwrap();
                    File::Regular { mode, seconds, text }
                }
                other => panic!("{path} is {other:?}"),
            };
            self.add(path.as_bytes().to_vec(), file, Arc::as_ptr(&node) as u64);
        }
    }

    fn add(&mut self, path: Vec<u8>, file: File, number: u64) {
        if !matches!(file, File::Directory { .. }) {
            self.numbers.insert(path.clone(), number);
        }
        self.files.insert(path, file);
    }
}
