//! A walk through all of a root directory, and what differs from a tree.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use onlay_layer::{Content, Edit, ImagePath, Lookup, Metadata, ModificationTime, Node, NodeKind, Tree};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, major, minor, openat, readlinkat, statat};

use super::owners::Owners;
use super::stamp::Stamp;
use super::{NOT_THE_IMAGES, RootError};
use crate::below::open_directory;

/// Everything in a root directory that may be in a layer.
pub(super) struct Scan<'a> {
    root: OwnedFd,
    owners: &'a Owners,
    files: BTreeMap<ImagePath, Stat>,
    pub(super) stamps: BTreeMap<ImagePath, Stamp>,
}

/// The one extended attribute that layers keep (dockerfile.md 0, finding 17).
pub(super) const CAPABILITIES: &str = "security.capability";

const READ_DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

pub(super) const READ_FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

impl<'a> Scan<'a> {
    /// Walks a root directory, with one descriptor however deep it is: nothing moves meanwhile.
    pub(super) fn of(root: OwnedFd, owners: &'a Owners) -> Result<Self, (ImagePath, io::Error)> {
        let mut files = BTreeMap::new();
        let fault = |path: &ImagePath| {
            let path = path.clone();
            move |error: io::Error| (path, error)
        };
        let top = ImagePath::root();
        let mut current = openat(&root, ".", READ_DIRECTORY, Mode::empty())
            .map_err(io::Error::from)
            .map_err(fault(&top))?;
        let mut path = top.clone();
        let mut levels = vec![
            list(&current, &path, owners, &mut files)
                .map_err(fault(&path))?
                .into_iter(),
        ];
        while let Some(level) = levels.last_mut() {
            let next = level.next();
            let (name, into) = match &next {
                Some(name) => (name.as_slice(), true),
                None => (&b".."[..], false),
            };
            if !into {
                levels.pop();
                if levels.is_empty() {
                    break;
                }
            }
            current = openat(&current, name, READ_DIRECTORY, Mode::empty())
                .map_err(io::Error::from)
                .map_err(fault(&path))?;
            if into {
                path = path
                    .join(name)
                    .map_err(|error| (path.clone(), io::Error::other(error)))?;
                levels.push(
                    list(&current, &path, owners, &mut files)
                        .map_err(fault(&path))?
                        .into_iter(),
                );
            } else {
                path = path.parent().unwrap_or_else(ImagePath::root);
            }
        }
        let stamps = files
            .iter()
            .map(|(path, stat)| (path.clone(), Stamp::of(stat)))
            .collect();
        Ok(Self {
            root,
            owners,
            files,
            stamps,
        })
    }

    /// The tree with all that differs from it.
    pub(super) fn compare(
        &self,
        tree: &Tree,
        before: &BTreeMap<ImagePath, Stamp>,
        content: &dyn Fn(&ImagePath, u64) -> Content,
    ) -> Result<Tree, RootError> {
        let mut edit = Edit::new(tree);
        self.remove_vanished(&mut edit, before)?;
        let mut linked: HashMap<(u64, u64), ImagePath> = HashMap::new();
        let mut moved = Moved::new(tree, before);
        let changed = self
            .files
            .iter()
            .filter(|(path, _)| before.get(path) != self.stamps.get(path));
        for (path, stat) in changed {
            let failed = |source| RootError::File {
                path: path.to_string(),
                directory: PathBuf::new(),
                source,
            };
            let Some(found) = self.node(path, stat, content).map_err(failed)? else {
                // A socket, which no layer can have.
                if let Lookup::Found(_) = edit.tree().lookup(path) {
                    edit.remove(path)?;
                }
                continue;
            };
            let is_new_name = !before.contains_key(path);
            if let Some(first) = moved.first(path, stat, &found).filter(|_| is_new_name) {
                edit.put(path, found)?;
                edit.link(&first, path)?;
                continue;
            }
            let known = (stat.st_nlink > 1 && !found.is_directory())
                .then(|| linked.get(&(stat.st_dev, stat.st_ino)))
                .flatten();
            match (known, edit.tree().lookup(path)) {
                (_, Lookup::Found(there)) if self.is_same(path, there, &found).map_err(failed)? => {
                    linked
                        .entry((stat.st_dev, stat.st_ino))
                        .or_insert_with(|| path.clone());
                }
                (Some(first), _) => {
                    let first = first.clone();
                    edit.link(&first, path)?;
                }
                (None, Lookup::Found(there))
                    if there.is_directory() && found.is_directory() && !is_new_name =>
                {
                    edit.set_metadata(path, found.metadata)?;
                }
                (None, _) => {
                    edit.put(path, found)?;
                    linked.insert((stat.st_dev, stat.st_ino), path.clone());
                }
            }
        }
        self.link_to_unchanged(&mut edit, before, &linked)?;
        Ok(edit.finish())
    }

    /// Removes what was there and is not, each directory as a whole.
    fn remove_vanished(&self, edit: &mut Edit, before: &BTreeMap<ImagePath, Stamp>) -> Result<(), RootError> {
        let mut gone: BTreeSet<&ImagePath> = BTreeSet::new();
        for path in before.keys().filter(|path| !self.files.contains_key(path)) {
            let parent = path.parent();
            let is_below = parent.as_ref().is_some_and(|parent| gone.contains(parent));
            gone.insert(path);
            if !is_below && matches!(edit.tree().lookup(path), Lookup::Found(_)) {
                edit.remove(path)?;
            }
        }
        Ok(())
    }

    /// A file that got another name is written again under both, since no layer links to a file of a lower one.
    fn link_to_unchanged(
        &self,
        edit: &mut Edit,
        before: &BTreeMap<ImagePath, Stamp>,
        linked: &HashMap<(u64, u64), ImagePath>,
    ) -> Result<(), RootError> {
        for (path, stat) in self.files.iter().filter(|(_, stat)| stat.st_nlink > 1) {
            let first = linked.get(&(stat.st_dev, stat.st_ino));
            let is_new_name = !before.contains_key(path);
            if let Some(first) = first.filter(|first| is_new_name && *first != path) {
                edit.link(&first.clone(), path)?;
            }
        }
        Ok(())
    }

    /// What is on disk; none for a socket.
    fn node(
        &self,
        path: &ImagePath,
        stat: &Stat,
        content: &dyn Fn(&ImagePath, u64) -> Content,
    ) -> io::Result<Option<Node>> {
        let metadata = Metadata {
            xattrs: Vec::new(),
            ..Metadata::owned(stat.st_mode, stat.st_uid, stat.st_gid)
        };
        let mtime = ModificationTime::Seconds(stat.st_mtime);
        let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Ok(Some(Node::directory(metadata, mtime))),
            FileType::RegularFile => {
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                let (parent, name) = self.place(path)?;
                let metadata = Metadata {
                    xattrs: self.owners.capabilities(parent.as_fd(), name)?,
                    ..metadata
                };
                return Ok(Some(Node::file(metadata, mtime, content(path, size))));
            }
            FileType::Symlink => {
                let (parent, name) = self.place(path)?;
                let target = readlinkat(&parent, name, Vec::new())?;
                NodeKind::Symlink(target.into_bytes().into())
            }
            FileType::Fifo => NodeKind::Fifo,
            FileType::CharacterDevice => NodeKind::CharacterDevice { major, minor },
            FileType::BlockDevice => NodeKind::BlockDevice { major, minor },
            _ => return Ok(None),
        };
        Ok(Some(Node {
            metadata,
            mtime,
            kind,
        }))
    }

    /// Whether a node is what the tree has there. Of a file whose metadata agree, the content is read.
    fn is_same(&self, path: &ImagePath, there: &Node, found: &Node) -> io::Result<bool> {
        let same_metadata = there.metadata == found.metadata;
        match (&there.kind, &found.kind) {
            (NodeKind::Directory(_), NodeKind::Directory(_)) => Ok(same_metadata),
            (NodeKind::File(there_content), NodeKind::File(content)) => {
                let same_size = there_content.size() == content.size();
                let is_alike = same_metadata && same_size && is_same_time(there.mtime, found.mtime);
                match there_content {
                    _ if !is_alike => Ok(false),
                    Content::Base(file) => {
                        let mut digester = onlay_oci::Digester::new(file.digest.algorithm());
                        let mut reader = self.open(path)?;
                        let mut buffer = vec![0; 64 * 1024];
                        loop {
                            match io::Read::read(&mut reader, &mut buffer)? {
                                0 => return Ok(digester.finish() == file.digest),
                                count => digester.update(&buffer[..count]),
                            }
                        }
                    }
                    Content::Bytes(bytes) => {
                        let mut on_disk = Vec::new();
                        io::Read::read_to_end(&mut self.open(path)?, &mut on_disk)?;
                        Ok(on_disk == **bytes)
                    }
                    _ => Ok(false),
                }
            }
            (there_kind, kind) => {
                Ok(same_metadata && there_kind == kind && is_same_time(there.mtime, found.mtime))
            }
        }
    }

    fn open(&self, path: &ImagePath) -> io::Result<std::fs::File> {
        let (parent, name) = self.place(path)?;
        Ok(std::fs::File::from(openat(
            &parent,
            name,
            READ_FILE,
            Mode::empty(),
        )?))
    }

    fn place<'p>(&self, path: &'p ImagePath) -> io::Result<(OwnedFd, &'p [u8])> {
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        let name = path.name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((open_directory(self.root.as_fd(), &parent)?, name))
    }
}

/// Files of the layers below that have other names now. Names of one file, which are files of their own on disk, are names
/// of one file again where they have moved: `mv` on an overlay file system copies, and keeps links.
struct Moved<'a> {
    tree: &'a Tree,
    names: HashMap<(u64, u64), &'a ImagePath>,
    /// The first new name of each file.
    firsts: HashMap<*const Node, ImagePath>,
}

impl<'a> Moved<'a> {
    fn new(tree: &'a Tree, before: &'a BTreeMap<ImagePath, Stamp>) -> Self {
        let names = before.iter().map(|(path, stamp)| (stamp.file(), path));
        Self {
            tree,
            names: names.collect(),
            firsts: HashMap::new(),
        }
    }

    /// The name that another name of the same file has got, if this one was moved as it was.
    fn first(&mut self, path: &ImagePath, stat: &Stat, found: &Node) -> Option<ImagePath> {
        let name = self.names.get(&(stat.st_dev, stat.st_ino))?;
        let Lookup::Found(node) = self.tree.lookup(name) else {
            return None;
        };
        let (NodeKind::File(old), NodeKind::File(new)) = (&node.kind, &found.kind) else {
            return None;
        };
        let is_as_it_was = node.metadata == found.metadata
            && old.size() == new.size()
            && is_same_time(node.mtime, found.mtime);
        if !is_as_it_was {
            return None;
        }
        match self.firsts.entry(Arc::as_ptr(node)) {
            Entry::Occupied(first) => Some(first.get().clone()),
            Entry::Vacant(first) => {
                first.insert(path.clone());
                None
            }
        }
    }
}

/// A time that onlay made up is the same one on disk.
fn is_same_time(there: ModificationTime, found: ModificationTime) -> bool {
    there == ModificationTime::Build || there == found
}

/// Notes what is in a directory, and gives the directories among it.
fn list(
    directory: &OwnedFd,
    path: &ImagePath,
    owners: &Owners,
    files: &mut BTreeMap<ImagePath, Stat>,
) -> io::Result<Vec<Vec<u8>>> {
    let mut directories = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let stat = owners.show(statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?);
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory && !(path.is_root() && NOT_THE_IMAGES.contains(&name)) {
            directories.push(name.to_vec());
        }
        files.insert(path.join(name).map_err(io::Error::other)?, stat);
    }
    Ok(directories)
}
