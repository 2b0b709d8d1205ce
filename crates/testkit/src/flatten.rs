//! The merged root filesystem of an image as a value, to compare builders by.
//!
//! Whiteouts hide what the layers below have, wherever they stand in their layer. A directory that only has
//! contents keeps the metadata of the layer below; one that no layer has is 0755 and 0:0. An entry below
//! something that is not a directory replaces it. Times are left out.

use crate::image::Platform;
use crate::member::{self, Member};
use crate::sha256;
use crate::source::Source;
use fs_err as fs;
use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use tar::EntryType;

/// Files by path: relative, without a slash at the end. The root itself is in it only where a layer has it, as "".
///
/// `Display` gives one line for each file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootFs {
    /// The files.
    pub files: BTreeMap<String, FileInfo>,
}

/// What is compared of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// The kind, and what only this kind has.
    pub kind: FileKind,
    /// The permission bits, special ones included.
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// The first path, in order, of a file that has several; `None` for a file that has one.
    pub hard_link_group: Option<String>,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// A kind of file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular {
        /// In bytes.
        size: u64,
        /// `sha256:<hex>` of the content.
        sha256: String,
    },
    /// A symbolic link.
    Symlink {
        /// The target, as it is written.
        target: String,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
}

impl RootFs {
    /// Without these files and everything below them: what engines add (`.dockerenv`, `etc/hosts`) or set.
    pub fn without(mut self, paths: &[&str]) -> Self {
        for path in paths {
            self.files.retain(|file, _| file != path && !is_below(file, path));
        }
        self
    }

    /// Without extended attributes, which [`flatten_directory`] does not read.
    pub fn without_xattrs(mut self) -> Self {
        self.files.values_mut().for_each(|file| file.xattrs.clear());
        self
    }

    /// The lines that only this (`-`) or only the other (`+`) listing has, in the order of paths; none if both agree.
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let paths: BTreeSet<&String> = self.files.keys().chain(other.files.keys()).collect();
        let differing = paths
            .into_iter()
            .filter(|path| self.files.get(*path) != other.files.get(*path));
        differing
            .flat_map(|path| {
                let line = |sign: char, files: &Self| {
                    files
                        .files
                        .get(path)
                        .map(|file| format!("{sign}{}", file.line(path)))
                };
                [line('-', self), line('+', other)]
            })
            .flatten()
            .collect()
    }
}

impl fmt::Display for RootFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files
            .iter()
            .try_for_each(|(path, file)| writeln!(f, "{}", file.line(path)))
    }
}

impl FileInfo {
    /// `<kind> <mode> <uid>:<gid> <path>` and what the kind has.
    fn line(&self, path: &str) -> String {
        let (letter, detail) = match &self.kind {
            FileKind::Directory => ('d', String::new()),
            FileKind::Regular { size, sha256 } => {
                ('f', format!(" {size} {}", &sha256["sha256:".len()..][..12]))
            }
            FileKind::Symlink { target } => ('l', format!(" -> {target}")),
            FileKind::Fifo => ('p', String::new()),
            FileKind::CharDevice { major, minor } => ('c', format!(" {major},{minor}")),
            FileKind::BlockDevice { major, minor } => ('b', format!(" {major},{minor}")),
        };
        let group = self.hard_link_group.iter().map(|first| format!(" = {first}"));
        let xattrs = self
            .xattrs
            .iter()
            .map(|(name, value)| format!(" {name}={}", value.escape_ascii()));
        let extras: String = group.chain(xattrs).collect();
        format!(
            "{letter} {:04o} {}:{} {path}{detail}{extras}",
            self.mode, self.uid, self.gid
        )
    }
}

/// Merges the layers of an image in an OCI layout; of an index, the image of `platform`.
///
/// # Panics
/// When something cannot be read or the platform is missing.
pub fn flatten_layout(dir: &Path, tag: &str, platform: &Platform) -> RootFs {
    flatten(&Source::Layout { dir }, tag, platform).unwrap_or_else(|problem| panic!("`{tag}`: {problem}"))
}

/// Takes a root filesystem from a plain tar of it, such as `docker export` writes.
///
/// # Panics
/// When it is not a tar.
pub fn flatten_tar(tar: &[u8]) -> RootFs {
    let mut merge = Merge::default();
    merge.apply(&member::read_tar(tar).expect("the tar can be read").members);
    merge.finish()
}

/// Takes a root filesystem from a directory, such as `umoci unpack` makes, without extended attributes.
///
/// # Panics
/// When something in it cannot be read.
pub fn flatten_directory(root: &Path) -> RootFs {
    let mut merge = Merge::default();
    merge.add_directory(root, "").expect("the directory can be read");
    merge.finish()
}

fn flatten(source: &Source<'_>, reference: &str, platform: &Platform) -> Result<RootFs, String> {
    let root = source.root(reference)?;
    let manifest = if root.media_type.contains("index") || root.media_type.contains("list") {
        let index = serde_json::from_slice::<ImageIndex>(&root.bytes).map_err(|error| error.to_string())?;
        let mut manifests = index
            .manifests()
            .iter()
            .map(|child| source.manifest(child.digest().as_ref()));
        manifests
            .find(|manifest| {
                manifest
                    .as_ref()
                    .map_or(true, |bytes| is_for(source, bytes, platform))
            })
            .ok_or_else(|| format!("no image for {platform}"))??
    } else {
        root.bytes
    };
    let manifest = serde_json::from_slice::<ImageManifest>(&manifest).map_err(|error| error.to_string())?;
    let mut merge = Merge::default();
    for layer in manifest.layers() {
        let blob = source.blob(layer.digest().as_ref())?;
        let tar =
            member::read_layer(layer.media_type().as_ref(), &blob).map_err(|error| error.to_string())?;
        merge.apply(&tar.members);
    }
    Ok(merge.finish())
}

/// Whether the configuration of a manifest is for `platform`: the configuration decides, the index repeats it.
fn is_for(source: &Source<'_>, manifest: &[u8], platform: &Platform) -> bool {
    let config = serde_json::from_slice::<ImageManifest>(manifest)
        .ok()
        .and_then(|manifest| source.blob(manifest.config().digest().as_ref()).ok())
        .and_then(|config| serde_json::from_slice::<ImageConfiguration>(&config).ok());
    config.is_some_and(|config| {
        config.os().to_string() == platform.os
            && config.architecture().to_string() == platform.architecture
            && *config.variant() == platform.variant
    })
}

/// The tree in the making.
#[derive(Default)]
struct Merge {
    nodes: BTreeMap<String, Node>,
    inodes: u64,
}

#[derive(Clone)]
struct Node {
    info: FileInfo,
    /// The same for all names of a file.
    inode: u64,
}

impl Merge {
    fn apply(&mut self, members: &[Member]) {
        let (whiteouts, entries): (Vec<&Member>, Vec<&Member>) = members
            .iter()
            .partition(|member| member.split().1.starts_with(".wh."));
        for whiteout in whiteouts {
            self.hide(whiteout);
        }
        for entry in entries {
            self.add(entry);
        }
    }

    fn hide(&mut self, whiteout: &Member) {
        match whiteout.split() {
            (directory, ".wh..wh..opq") => self.remove_below(directory),
            (directory, name) => {
                let name = name.trim_start_matches(".wh.");
                let path = if directory.is_empty() {
                    name.to_owned()
                } else {
                    format!("{directory}/{name}")
                };
                self.nodes.remove(&path);
                self.remove_below(&path);
            }
        }
    }

    fn add(&mut self, member: &Member) {
        let path = member.path();
        self.make_parents(path);
        let node = match kind_of(member) {
            Some(kind) => self.node_of(member, kind),
            None => self
                .nodes
                .get(member.link.trim_start_matches("./").trim_matches('/'))
                .cloned()
                .unwrap_or_else(|| panic!("hard link `{path}` to `{}`, which does not exist", member.link)),
        };
        self.put(path, node);
    }

    fn put(&mut self, path: &str, node: Node) {
        if node.info.kind != FileKind::Directory {
            self.remove_below(path);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    fn node_of(&mut self, member: &Member, kind: FileKind) -> Node {
        let xattrs = member
            .pax
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix("SCHILY.xattr.")?.to_owned(), value.clone())));
        let info = FileInfo {
            kind,
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            hard_link_group: None,
            xattrs: xattrs.collect(),
        };
        self.node(info)
    }

    fn node(&mut self, info: FileInfo) -> Node {
        self.inodes += 1;
        Node {
            info,
            inode: self.inodes,
        }
    }

    fn make_parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            let exists = self
                .nodes
                .get(parent)
                .is_some_and(|node| node.info.kind == FileKind::Directory);
            if !exists {
                let node = self.node(implied_directory());
                self.put(parent, node);
            }
        }
    }

    fn remove_below(&mut self, directory: &str) {
        self.nodes.retain(|path, _| !is_below(path, directory));
    }

    fn add_directory(&mut self, directory: &Path, prefix: &str) -> std::io::Result<()> {
        for file in fs::read_dir(directory)? {
            let file = file?;
            let path = format!("{prefix}{}", file.file_name().to_string_lossy());
            let info = info_of_file(&file.path())?;
            let is_directory = info.kind == FileKind::Directory;
            let inode = file.metadata()?.ino();
            self.nodes.insert(path.clone(), Node { info, inode });
            if is_directory {
                self.add_directory(&file.path(), &format!("{path}/"))?;
            }
        }
        Ok(())
    }

    fn finish(self) -> RootFs {
        let mut names: BTreeMap<u64, Vec<&String>> = BTreeMap::new();
        for (path, node) in &self.nodes {
            names.entry(node.inode).or_default().push(path);
        }
        let files = self.nodes.iter().map(|(path, node)| {
            let paths = &names[&node.inode];
            let hard_link_group = (paths.len() > 1).then(|| paths[0].clone());
            (
                path.clone(),
                FileInfo {
                    hard_link_group,
                    ..node.info.clone()
                },
            )
        });
        RootFs {
            files: files.collect(),
        }
    }
}

/// The kind of a member; `None` for a hard link, which has the kind of its target.
fn kind_of(member: &Member) -> Option<FileKind> {
    let (major, minor) = member.device;
    match member.kind {
        EntryType::Link => None,
        EntryType::Directory => Some(FileKind::Directory),
        EntryType::Symlink => Some(FileKind::Symlink {
            target: member.link.clone(),
        }),
        EntryType::Fifo => Some(FileKind::Fifo),
        EntryType::Char => Some(FileKind::CharDevice { major, minor }),
        EntryType::Block => Some(FileKind::BlockDevice { major, minor }),
        EntryType::Regular | EntryType::Continuous => Some(FileKind::Regular {
            size: member.size,
            sha256: member.sha256.clone(),
        }),
        other => panic!("`{}` is {other:?}, which is no file", member.name),
    }
}

fn info_of_file(path: &Path) -> std::io::Result<FileInfo> {
    let metadata = fs::symlink_metadata(path)?;
    let file_type = metadata.file_type();
    let (major, minor) = device_numbers(metadata.rdev());
    let kind = if file_type.is_dir() {
        FileKind::Directory
    } else if file_type.is_symlink() {
        FileKind::Symlink {
            target: fs::read_link(path)?.to_string_lossy().into_owned(),
        }
    } else if file_type.is_fifo() {
        FileKind::Fifo
    } else if file_type.is_char_device() {
        FileKind::CharDevice { major, minor }
    } else if file_type.is_block_device() {
        FileKind::BlockDevice { major, minor }
    } else {
        FileKind::Regular {
            size: metadata.len(),
            sha256: sha256(&fs::read(path)?),
        }
    };
    Ok(FileInfo {
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid().into(),
        gid: metadata.gid().into(),
        hard_link_group: None,
        xattrs: BTreeMap::new(),
    })
}

/// Splits a device number as glibc's `makedev` joins it, for numbers of the first 2^20 minors.
fn device_numbers(device: u64) -> (u32, u32) {
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    (
        u32::try_from(major).unwrap_or(u32::MAX),
        u32::try_from(minor).unwrap_or(u32::MAX),
    )
}

fn implied_directory() -> FileInfo {
    FileInfo {
        kind: FileKind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        hard_link_group: None,
        xattrs: BTreeMap::new(),
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    match path.strip_prefix(directory) {
        Some(_) if directory.is_empty() => !path.is_empty(),
        Some(rest) => rest.starts_with('/'),
        None => false,
    }
}
