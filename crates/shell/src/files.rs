//! The kernel's side: system calls on a tree.
//!
//! Commands know what to call and what to say; what a call does to the files, and when it is refused, is here. All of it
//! is for a process of root, which the kernel refuses nothing for lack of permission.

use std::sync::Arc;

use bstr::BString;
use onlay_layer::{
    Content, Edit, EditError, ImagePath, LastLink, Lookup, Metadata, ModificationTime, Node, NodeKind,
    ResolveError, Resolved, Tree,
};

use crate::errno::Errno;
use crate::halt::{CallError, Called, Halt};
use crate::outcome::{Expectation, Need, Reason};

/// Set-group-id on a directory: what is made in it belongs to its group.
const SET_GROUP_ID: u32 = 0o2000;

/// The directories that are mounts while a RUN runs, and the files that are bind mounts.
///
/// Source: BuildKit's runtime specification for a RUN (mounts of proc, sysfs, devpts and so on; its own hosts and
/// resolv.conf).
const MOUNTS: &[&[u8]] = &[
    b"proc",
    b"sys",
    b"dev",
    b"etc/hosts",
    b"etc/resolv.conf",
    b"etc/hostname",
];

/// The files as one process sees and changes them.
#[derive(Debug)]
pub(crate) struct Files {
    edit: Edit,
    /// The working directory: a place in the tree.
    pub(crate) directory: ImagePath,
    pub(crate) umask: u32,
}

/// Something that is there.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: ImagePath,
    pub(crate) node: Arc<Node>,
}

impl Files {
    pub(crate) fn new(tree: &Tree) -> Self {
        Self {
            edit: Edit::new(tree),
            directory: ImagePath::root(),
            umask: 0o022,
        }
    }

    pub(crate) fn finish(self) -> Tree {
        self.edit.finish()
    }

    /// `stat`
    pub(crate) fn stat(&self, path: &[u8]) -> Called<Found> {
        self.found(path, LastLink::Follow)
    }

    /// `lstat`
    pub(crate) fn lstat(&self, path: &[u8]) -> Called<Found> {
        self.found(path, LastLink::Keep)
    }

    /// `stat` of a name that is probably new.
    pub(crate) fn stat_of_new(&self, path: &[u8]) -> Called<Found> {
        let Resolved { path, node } = self.place_of_new(path, LastLink::Follow)?;
        Ok(Found {
            path,
            node: node.ok_or(Errno::NotFound)?,
        })
    }

    /// `lstat` of a name that is probably new.
    pub(crate) fn lstat_of_new(&self, path: &[u8]) -> Called<Found> {
        let Resolved { path, node } = self.place_of_new(path, LastLink::Keep)?;
        Ok(Found {
            path,
            node: node.ok_or(Errno::NotFound)?,
        })
    }

    /// `stat` of what stands in the lowest layer, if it is there: so no layer need be tried for itself.
    pub(crate) fn stat_in_lowest(&self, path: &[u8]) -> Called<Found> {
        let Resolved { path, node } = match self.resolve(path, LastLink::Follow, Expectation::Absence) {
            Err(CallError::Halt(Halt::Need(need))) => {
                return Err(Halt::Need(Need {
                    expectation: Expectation::Absence,
                    ..need
                })
                .into());
            }
            other => other?,
        };
        Ok(Found {
            path,
            node: node.ok_or(Errno::NotFound)?,
        })
    }

    /// `readdir`: the names with what they stand for, in bytewise order.
    pub(crate) fn children(&self, path: &ImagePath) -> Called<Vec<(BString, Arc<Node>)>> {
        match self.tree().children(path) {
            Some(children) => Ok(children),
            None if self.node(path)?.is_directory() => Err(need(path.clone(), Expectation::Absence)),
            None => Err(Errno::NotADirectory.into()),
        }
    }

    /// The names in a directory for matching, with those that are only there while a RUN runs.
    pub(crate) fn names(&self, path: &ImagePath) -> Called<Vec<BString>> {
        let mut names: Vec<BString> = self.children(path)?.into_iter().map(|(name, _)| name).collect();
        let mounted = mounts().filter(|mount| mount.parent().as_ref() == Some(path));
        names.extend(mounted.filter_map(|mount| mount.name().map(BString::from)));
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// `chdir`
    pub(crate) fn change_directory(&mut self, path: &[u8]) -> Called<()> {
        let found = self.stat(path)?;
        if !found.node.is_directory() {
            return Err(Errno::NotADirectory.into());
        }
        self.directory = found.path;
        Ok(())
    }

    /// `mkdir`
    pub(crate) fn make_directory(&mut self, path: &[u8], mode: u32) -> Called<ImagePath> {
        let place = self.free_place(path, true)?;
        let parent = self.header(&place.parent().unwrap_or_default())?;
        let mut metadata = self.new_metadata(&parent, mode & 0o1777);
        metadata.mode |= parent.mode & SET_GROUP_ID;
        self.put(&place, Node::directory(metadata, ModificationTime::Build))?;
        Ok(place)
    }

    /// `symlink`
    pub(crate) fn symlink(&mut self, target: &[u8], path: &[u8]) -> Called<ImagePath> {
        if target.is_empty() {
            return Err(Errno::NotFound.into());
        }
        let place = self.free_place(path, false)?;
        let parent = self.header(&place.parent().unwrap_or_default())?;
        let Metadata { uid, gid, .. } = self.new_metadata(&parent, 0);
        self.put(&place, Node::symlink(target, uid, gid, ModificationTime::Build))?;
        Ok(place)
    }

    /// `link`; a symbolic link gets a second name itself.
    pub(crate) fn link(&mut self, existing: &[u8], path: &[u8]) -> Called<ImagePath> {
        let found = self.lstat(existing)?;
        let place = self.free_place(path, false)?;
        if found.node.is_directory() {
            return Err(Errno::NotPermitted.into());
        }
        self.edit.link(&found.path, &place).map_err(edit_error)?;
        Ok(place)
    }

    /// `unlink`
    pub(crate) fn unlink(&mut self, path: &[u8]) -> Called<()> {
        let found = self.lstat(path)?;
        if found.node.is_directory() {
            return Err(Errno::IsADirectory.into());
        }
        self.edit.remove(&found.path).map_err(edit_error)
    }

    /// `rmdir`
    pub(crate) fn remove_directory(&mut self, path: &[u8]) -> Called<()> {
        let found = self.lstat(path)?;
        if !found.node.is_directory() {
            return Err(Errno::NotADirectory.into());
        }
        match path
            .trim_ascii_end()
            .rsplit(|byte| *byte == b'/')
            .find(|name| !name.is_empty())
        {
            Some(b".") => return Err(Errno::Invalid.into()),
            Some(b"..") => return Err(Errno::NotEmpty.into()),
            _ => {}
        }
        self.expect_no_mount_within(&found.path)?;
        if found.path.is_root() {
            return Err(Errno::Busy.into());
        }
        if !self.children(&found.path)?.is_empty() {
            return Err(Errno::NotEmpty.into());
        }
        self.edit.remove(&found.path).map_err(edit_error)
    }

    /// Removes a directory with all below it, as many calls would; nothing in it need be known.
    pub(crate) fn remove_tree(&mut self, path: &ImagePath) -> Called<()> {
        self.expect_no_mount_within(path)?;
        self.edit.remove(path).map_err(edit_error)
    }

    /// `rename`
    pub(crate) fn rename(&mut self, from: &[u8], to: &[u8]) -> Called<()> {
        let found = self.lstat(from)?;
        let target = self.place(to, LastLink::Keep)?;
        self.expect_no_mount_within(&found.path)?;
        if target
            .node
            .as_ref()
            .is_some_and(|node| Arc::ptr_eq(node, &found.node))
        {
            return Ok(());
        }
        if found.node.is_directory() && target.path.is_within(&found.path) {
            return Err(Errno::Invalid.into());
        }
        if self.directory.is_within(&found.path) {
            return Err(Halt::refused(from, Reason::Syntax("a working directory that moves is")).into());
        }
        self.expect_replaceable(&found.node, &target, to)?;
        self.expect_known(&found)?;
        self.edit.rename(&found.path, &target.path).map_err(edit_error)
    }

    fn expect_replaceable(&self, source: &Node, target: &Resolved, to: &[u8]) -> Called<()> {
        let Some(node) = &target.node else {
            let slash = to.ends_with(b"/") && !source.is_directory();
            return if slash {
                Err(Errno::NotADirectory.into())
            } else {
                Ok(())
            };
        };
        match (source.is_directory(), node.is_directory()) {
            (true, false) => Err(Errno::NotADirectory.into()),
            (false, true) => Err(Errno::IsADirectory.into()),
            (true, true) if !self.children(&target.path)?.is_empty() => Err(Errno::NotEmpty.into()),
            _ => Ok(()),
        }
    }

    /// What moves must be known to its last name, for nothing of the layers below shows at its new place.
    fn expect_known(&self, found: &Found) -> Called<()> {
        if !found.node.is_directory() || self.tree().is_complete() {
            return Ok(());
        }
        for (name, node) in self.children(&found.path)? {
            let path = join(&found.path, &name)?;
            self.expect_known(&Found { path, node })?;
        }
        Ok(())
    }

    /// `chmod` of a place.
    pub(crate) fn set_mode(&mut self, path: &ImagePath, mode: u32) -> Called<()> {
        let node = self.node(path)?;
        self.set_metadata(
            path,
            &node,
            Metadata {
                mode: mode & 0o7777,
                ..node.metadata.clone()
            },
        )
    }

    /// `lchown` of a place.
    ///
    /// The kernel takes set-id bits and capabilities from what is no directory, even if nothing else changes.
    ///
    /// Source: Linux `fs/open.c` `chown_common`, `fs/attr.c` `notify_change`.
    pub(crate) fn set_owner(&mut self, path: &ImagePath, uid: Option<u32>, gid: Option<u32>) -> Called<()> {
        let node = self.node(path)?;
        let mut metadata = node.metadata.clone();
        metadata.uid = uid.unwrap_or(metadata.uid);
        metadata.gid = gid.unwrap_or(metadata.gid);
        if !node.is_directory() && node.symlink_target().is_none() {
            let group_executable = metadata.mode & 0o010 != 0;
            metadata.mode &= if group_executable { !0o6000 } else { !0o4000 };
            drop_capabilities(&mut metadata);
        }
        self.set_metadata(path, &node, metadata)
    }

    /// `setxattr` of all extended attributes of another file.
    pub(crate) fn set_xattrs(&mut self, path: &ImagePath, xattrs: &[(String, Vec<u8>)]) -> Called<()> {
        let node = self.node(path)?;
        self.set_metadata(
            path,
            &node,
            Metadata {
                xattrs: xattrs.to_vec(),
                ..node.metadata.clone()
            },
        )
    }

    /// `utimensat` with the present time.
    pub(crate) fn touch(&mut self, path: &ImagePath) -> Called<()> {
        self.set_time(path, ModificationTime::Build)
    }

    pub(crate) fn set_time(&mut self, path: &ImagePath, mtime: ModificationTime) -> Called<()> {
        self.expect_no_mount(path)?;
        // Directories are not compared by time, and the root has no entry at all.
        if path.is_root() {
            Ok(())
        } else {
            self.edit.set_mtime(path, mtime).map_err(edit_error)
        }
    }

    /// `open` for writing, making the file if it is not there; what is in it stays.
    pub(crate) fn open(&mut self, path: &[u8], mode: u32) -> Called<ImagePath> {
        let place = self.place_of_new(path, LastLink::Follow)?;
        self.expect_no_mount(&place.path)?;
        match place.node {
            Some(node) if node.is_directory() => Err(Errno::IsADirectory.into()),
            Some(node) if matches!(node.kind, NodeKind::File(_)) => Ok(place.path),
            Some(_) => {
                Err(Halt::refused(path, Reason::Syntax("writing into what is no regular file is")).into())
            }
            None if path.ends_with(b"/") => Err(Errno::IsADirectory.into()),
            None => {
                let parent = self.header(&place.path.parent().unwrap_or_default())?;
                let metadata = self.new_metadata(&parent, mode & 0o7777);
                self.put(
                    &place.path,
                    Node::file(metadata, ModificationTime::Build, Content::empty()),
                )?;
                Ok(place.path)
            }
        }
    }

    /// Writes a whole file that is there, in place of what was in it.
    pub(crate) fn write(&mut self, path: &ImagePath, content: Content) -> Called<()> {
        let node = self.node(path)?;
        let mut metadata = node.metadata.clone();
        drop_capabilities(&mut metadata);
        let node = Node::file(metadata, ModificationTime::Build, content);
        self.edit.replace(path, node).map_err(edit_error)
    }

    /// `open` for reading and reading to the end.
    pub(crate) fn read(&self, path: &[u8]) -> Called<Content> {
        let found = self.stat(path)?;
        match &found.node.kind {
            NodeKind::File(content) => Ok(content.clone()),
            NodeKind::Directory(_) => Err(Errno::IsADirectory.into()),
            _ => Err(Halt::refused(path, Reason::Syntax("reading what is no regular file is")).into()),
        }
    }

    /// What is in the regular file at a place.
    pub(crate) fn content(&self, path: &ImagePath) -> Called<Content> {
        match &self.node(path)?.kind {
            NodeKind::File(content) => Ok(content.clone()),
            _ => Err(Errno::Invalid.into()),
        }
    }

    /// Makes a leaf that is neither a regular file nor a directory, as `cp -a` does.
    pub(crate) fn make_like(&mut self, node: &Node, path: &[u8]) -> Called<ImagePath> {
        let place = self.free_place(path, false)?;
        let parent = self.header(&place.parent().unwrap_or_default())?;
        let metadata = self.new_metadata(&parent, node.metadata.mode);
        let made = Node {
            metadata,
            mtime: ModificationTime::Build,
            kind: node.kind.clone(),
        };
        self.put(&place, made)?;
        Ok(place)
    }

    /// Tells whether two names that were found stand for one file.
    pub(crate) fn is_same(first: &Found, second: &Found) -> bool {
        first.path == second.path || !first.node.is_directory() && Arc::ptr_eq(&first.node, &second.node)
    }

    /// What a path that was found stands for now.
    pub(crate) fn node(&self, path: &ImagePath) -> Called<Arc<Node>> {
        match self.tree().lookup(path) {
            Lookup::Found(node) => Ok(node.clone()),
            Lookup::Absent => Err(Errno::NotFound.into()),
            Lookup::Unknown => Err(need(path.clone(), Expectation::Presence)),
        }
    }

    /// Where a path leads, be there something or not.
    pub(crate) fn place(&self, path: &[u8], last: LastLink) -> Called<Resolved> {
        self.resolve(path, last, Expectation::Presence)
    }

    /// As [`place`](Self::place), for a name that is probably new.
    pub(crate) fn place_of_new(&self, path: &[u8], last: LastLink) -> Called<Resolved> {
        self.resolve(path, last, Expectation::Absence)
    }

    fn resolve(&self, path: &[u8], last: LastLink, expectation: Expectation) -> Called<Resolved> {
        match self.tree().resolve(path, &self.directory, last) {
            Ok(resolved) => {
                self.expect_no_mount(&resolved.path)?;
                Ok(resolved)
            }
            Err(ResolveError::Unknown(place)) => {
                let is_last = place.name() == last_name(path);
                Err(need(
                    place,
                    if is_last {
                        expectation
                    } else {
                        Expectation::Presence
                    },
                ))
            }
            Err(error) => {
                self.expect_no_mount_on_the_way(path)?;
                Err(resolve_error(error))
            }
        }
    }

    /// A path that leads nowhere in the tree may lead somewhere through what is mounted (`/proc/self/fd/1`).
    fn expect_no_mount_on_the_way(&self, path: &[u8]) -> Called<()> {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(end, byte)| **byte == b'/' && *end > 0);
        for (end, _) in ends {
            if let Ok(place) = self
                .tree()
                .resolve(&path[..end], &self.directory, LastLink::Follow)
            {
                self.expect_no_mount(&place.path)?;
            }
        }
        Ok(())
    }

    fn free_place(&self, path: &[u8], for_directory: bool) -> Called<ImagePath> {
        // The kernel does not follow a link in the last place here, not even before a slash.
        let bare = if for_directory {
            without_slashes(path)
        } else {
            path
        };
        let place = self.place_of_new(bare, LastLink::Keep)?;
        match place.node {
            Some(_) => Err(Errno::Exists.into()),
            None if path.ends_with(b"/") && !for_directory => Err(Errno::NotFound.into()),
            None => Ok(place.path),
        }
    }

    fn tree(&self) -> &Tree {
        self.edit.tree()
    }

    fn found(&self, path: &[u8], last: LastLink) -> Called<Found> {
        let Resolved { path, node } = self.place(path, last)?;
        Ok(Found {
            path,
            node: node.ok_or(Errno::NotFound)?,
        })
    }

    fn new_metadata(&self, parent: &Metadata, mode: u32) -> Metadata {
        let inherits = parent.mode & SET_GROUP_ID != 0;
        Metadata::owned(mode & !self.umask, 0, if inherits { parent.gid } else { 0 })
    }

    /// A node's header, without a hold on the node: an edit copies what somebody else holds, and a directory may have a
    /// hundred thousand names.
    fn header(&self, path: &ImagePath) -> Called<Metadata> {
        Ok(self.node(path)?.metadata.clone())
    }

    fn put(&mut self, path: &ImagePath, node: Node) -> Called<()> {
        self.expect_no_mount(path)?;
        self.edit.put(path, node).map_err(edit_error)
    }

    fn set_metadata(&mut self, path: &ImagePath, node: &Node, metadata: Metadata) -> Called<()> {
        self.expect_no_mount(path)?;
        if node.metadata == metadata {
            return Ok(());
        }
        if path.is_root() {
            return Err(Halt::refused("/", Reason::Syntax("a change of the root directory is")).into());
        }
        self.edit.set_metadata(path, metadata).map_err(edit_error)
    }

    fn expect_no_mount(&self, path: &ImagePath) -> Called<()> {
        match mounts().any(|mount| path.is_within(&mount)) {
            true => Err(Halt::refused(path.to_string(), Reason::Mounted).into()),
            false => Ok(()),
        }
    }

    fn expect_no_mount_within(&self, path: &ImagePath) -> Called<()> {
        self.expect_no_mount(path)?;
        match mounts().find(|mount| mount.is_within(path)) {
            Some(mount) => Err(Halt::refused(mount.to_string(), Reason::Mounted).into()),
            None => Ok(()),
        }
    }
}

/// Adds a name that came from the tree itself.
pub(crate) fn join(path: &ImagePath, name: &[u8]) -> Called<ImagePath> {
    path.join(name).map_err(|_| Errno::NameTooLong.into())
}

/// The path without slashes at its end.
pub(crate) fn without_slashes(path: &[u8]) -> &[u8] {
    let length = path
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or(1, |last| last + 1);
    path.get(..length).unwrap_or(path)
}

fn last_name(path: &[u8]) -> Option<&[u8]> {
    path.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty())
}

fn mounts() -> impl Iterator<Item = ImagePath> {
    MOUNTS
        .iter()
        .filter_map(|mount| ImagePath::from_member(mount).ok())
}

/// The kernel drops file capabilities whenever a file's owner or content changes.
fn drop_capabilities(metadata: &mut Metadata) {
    metadata.xattrs.retain(|(name, _)| name != "security.capability");
}

fn need(path: ImagePath, expectation: Expectation) -> CallError {
    CallError::Halt(Halt::Need(Need {
        paths: vec![path],
        expectation,
    }))
}

fn resolve_error(error: ResolveError) -> CallError {
    match error {
        ResolveError::Unknown(path) => need(path, Expectation::Presence),
        ResolveError::NotADirectory => Errno::NotADirectory.into(),
        ResolveError::TooManyLinks => Errno::TooManyLinks.into(),
        ResolveError::Path(_) => Errno::NameTooLong.into(),
        // Also what a later version may add: nothing is found there.
        _ => Errno::NotFound.into(),
    }
}

/// Edits are asked for what was looked up before, so that only a question to a further layer is left.
fn edit_error(error: EditError) -> CallError {
    match error {
        EditError::Unknown(path) => need(path, Expectation::Presence),
        EditError::NoParent(_) => Errno::NotADirectory.into(),
        EditError::IsADirectory(_) => Errno::IsADirectory.into(),
        EditError::IntoItself(_) => Errno::Invalid.into(),
        EditError::Root => Errno::Busy.into(),
        _ => Errno::NotFound.into(),
    }
}
