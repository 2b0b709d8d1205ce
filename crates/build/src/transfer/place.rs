use std::collections::HashMap;
use std::sync::Arc;

use onlay_layer::{ImagePath, LastLink, Metadata, ModificationTime, Node, NodeKind, Tree};

use super::{Destination, Fault, Transfer};

/// A directory's content on its way to the destination.
pub(super) struct Passage<'s> {
    pub(super) source: &'s Tree,
    /// The directory that is copied from; what is left out is told by paths below it.
    pub(super) root: ImagePath,
    /// The directory that is copied into.
    pub(super) target: ImagePath,
    /// Where each file of the source was put first: hard links are kept within one source.
    placed: HashMap<*const Node, ImagePath>,
    /// Directories of the source that are made once something in them is copied.
    pending: Vec<(ImagePath, Arc<Node>)>,
}

impl<'s> Passage<'s> {
    pub(super) fn new(source: &'s Tree, root: ImagePath, target: ImagePath) -> Self {
        Self {
            source,
            root,
            target,
            placed: HashMap::new(),
            pending: Vec::new(),
        }
    }

    /// Where a path of the source is put, and its name below the root of what is copied.
    pub(super) fn route(&self, path: &ImagePath) -> (ImagePath, ImagePath) {
        let relative = path.rebase(&self.root, &ImagePath::root()).unwrap_or_default();
        let place = path.rebase(&self.root, &self.target).unwrap_or_default();
        (relative, place)
    }
}

impl Transfer<'_> {
    /// Copies one source: a file under the destination's name or its own, of a directory what is in it.
    pub(crate) fn copy(
        &mut self,
        source: &Tree,
        path: &ImagePath,
        destination: &Destination,
    ) -> Result<(), Fault> {
        let (from, node) = find(source, path)?;
        let mut target = self.prepare(destination)?;
        if node.is_directory() {
            return self.copy_directory(Passage::new(source, from, target), &node);
        }
        let existing = self.existing(&target)?;
        if existing.is_some_and(|existing| existing.is_directory()) {
            target = target.join(path.name().unwrap_or_default())?;
        }
        // Behind a link to nowhere the directory may be missing even now.
        self.make_directories(&target.parent().unwrap_or_default())?;
        self.put_leaf(&mut Passage::new(source, from, target.clone()), &target, &node)
    }

    fn copy_directory(&mut self, mut passage: Passage<'_>, node: &Arc<Node>) -> Result<(), Fault> {
        match self.existing(&passage.target)? {
            Some(existing) if existing.is_directory() => {}
            Some(_) => return Err(not_a_directory(&passage.target)),
            None => self.make_directories(&passage.target)?,
        }
        self.take_time(&passage.target, node)?;
        let root = passage.root.clone();
        self.copy_children(&mut passage, &root)
    }

    /// Gives a destination that was made for it the time of the directory that is copied; one that the base has keeps
    /// its own.
    pub(super) fn take_time(&mut self, target: &ImagePath, node: &Node) -> Result<(), Fault> {
        let is_made_up = |existing: &Node| existing.mtime == ModificationTime::Build;
        if !target.is_root()
            && self
                .existing(target)?
                .is_some_and(|existing| is_made_up(&existing))
        {
            self.edit.set_mtime(target, self.mtime(node))?;
        }
        Ok(())
    }

    fn copy_children(&mut self, passage: &mut Passage<'_>, directory: &ImagePath) -> Result<(), Fault> {
        let children = passage.source.children(directory).ok_or(Fault::UnreadSource)?;
        for (name, node) in children {
            let path = directory.join(&name)?;
            let (relative, place) = passage.route(&path);
            let excluded = self.treatment.exclude.matches(relative.as_bytes());
            match (node.is_directory(), excluded) {
                (true, false) => {
                    self.make_pending(passage)?;
                    self.put_directory(&place, &node, Existing::TakesMetadata)?;
                    self.copy_children(passage, &path)?;
                }
                (true, true) => self.below_pending(passage, (place, node), |transfer, passage| {
                    transfer.copy_children(passage, &path)
                })?,
                (false, true) => {}
                (false, false) => {
                    self.make_pending(passage)?;
                    self.put_leaf(passage, &place, &node)?;
                }
            }
        }
        Ok(())
    }

    /// Does something below a directory that is itself made only if something in it is copied.
    pub(super) fn below_pending<'s, T>(
        &mut self,
        passage: &mut Passage<'s>,
        directory: (ImagePath, Arc<Node>),
        copy: impl FnOnce(&mut Self, &mut Passage<'s>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let depth = passage.pending.len();
        passage.pending.push(directory);
        let copied = copy(self, passage)?;
        passage.pending.truncate(depth);
        Ok(copied)
    }

    /// Makes the directories that wait for something to be copied into them.
    pub(super) fn make_pending(&mut self, passage: &mut Passage<'_>) -> Result<(), Fault> {
        for (place, node) in std::mem::take(&mut passage.pending) {
            self.put_directory(&place, &node, Existing::KeepsMetadata)?;
        }
        Ok(())
    }

    pub(super) fn put_directory(
        &mut self,
        place: &ImagePath,
        node: &Node,
        existing: Existing,
    ) -> Result<(), Fault> {
        let (metadata, mtime) = (self.metadata(node), self.mtime(node));
        match self.existing(place)? {
            None => Ok(self.edit.put(place, Node::directory(metadata, mtime))?),
            Some(found) if !found.is_directory() => Err(not_a_directory(place)),
            Some(_) if existing == Existing::KeepsMetadata => Ok(()),
            Some(found) => {
                // A directory's time alone is no change of it.
                if found.metadata != metadata {
                    self.edit.set_metadata(place, metadata)?;
                    self.edit.set_mtime(place, mtime)?;
                }
                Ok(())
            }
        }
    }

    /// Puts anything but a directory in place of whatever is there but a directory.
    pub(super) fn put_leaf(
        &mut self,
        passage: &mut Passage<'_>,
        place: &ImagePath,
        node: &Arc<Node>,
    ) -> Result<(), Fault> {
        if self
            .existing(place)?
            .is_some_and(|existing| existing.is_directory())
        {
            return Err(Fault::Message(format!(
                "cannot replace the directory `{place}` of the image by a file"
            )));
        }
        if let Some(first) = passage.placed.get(&Arc::as_ptr(node)) {
            return Ok(self.edit.link(first, place)?);
        }
        let copied = Node {
            metadata: self.metadata(node),
            mtime: self.mtime(node),
            kind: node.kind.clone(),
        };
        self.edit.put(place, copied)?;
        if matches!(node.kind, NodeKind::File(_)) {
            passage.placed.insert(Arc::as_ptr(node), place.clone());
        }
        Ok(())
    }

    fn metadata(&self, node: &Node) -> Metadata {
        let (uid, gid) = self
            .treatment
            .owner
            .unwrap_or((node.metadata.uid, node.metadata.gid));
        let mode = match &self.treatment.mode {
            Some(mode) if node.symlink_target().is_none() => {
                mode.apply(node.metadata.mode, node.is_directory())
            }
            _ => node.metadata.mode,
        };
        Metadata {
            mode,
            uid,
            gid,
            xattrs: node.metadata.xattrs.clone(),
        }
    }
}

/// What becomes of the mode and owner of a directory that is there already.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Existing {
    TakesMetadata,
    KeepsMetadata,
}

/// Where a source leads, symbolic links followed inside its tree, and what is there.
pub(super) fn find(source: &Tree, path: &ImagePath) -> Result<(ImagePath, Arc<Node>), Fault> {
    let absolute = [b"/", path.as_bytes()].concat();
    let resolved = source
        .resolve(&absolute, &ImagePath::root(), LastLink::Follow)
        .map_err(|error| Fault::of_source(error, path))?;
    match resolved.node {
        Some(node) => Ok((resolved.path, node)),
        None => Err(Fault::NotFound(path.clone())),
    }
}

fn not_a_directory(place: &ImagePath) -> Fault {
    Fault::Message(format!(
        "cannot copy a directory to `{place}`, which is none in the image"
    ))
}
