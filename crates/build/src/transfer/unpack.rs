use onlay_layer::{Entry, EntryKind, ImagePath, Listing, Lookup, Metadata, Node, Tree};

use super::{Destination, Fault, Transfer};

/// What directories get that an archive only implies.
const IMPLIED_MODE: u32 = 0o755;

impl Transfer<'_> {
    /// Unpacks an archive into the destination, which is always a directory.
    ///
    /// Directories of both are one, with the archive's mode and owner; anything else in the way is replaced, a symbolic
    /// link too. A member below a symbolic link of the image goes to where that leads. `--chmod` and `--exclude` do
    /// not reach into archives.
    pub(crate) fn unpack(&mut self, archive: &Listing, destination: &Destination) -> Result<(), Fault> {
        let target = self.prepare(destination)?;
        self.make_directories(&target)?;
        let contents = Tree::unread().over(archive).completed();
        for entry in &archive.entries {
            if !entry.path.is_root() {
                self.unpack_entry(entry, &contents, &target)?;
            }
        }
        Ok(())
    }

    fn unpack_entry(&mut self, entry: &Entry, contents: &Tree, target: &ImagePath) -> Result<(), Fault> {
        let place = self.member_place(&entry.path, target)?;
        let existing = self.existing(&place)?;
        let metadata = self.member_metadata(&entry.metadata);
        if entry.kind == EntryKind::Directory && existing.is_some_and(|existing| existing.is_directory()) {
            return Ok(self.edit.set_metadata(&place, metadata)?);
        }
        if let EntryKind::HardLink { target: linked } = &entry.kind {
            let first = self.member_place(linked, target)?;
            return Ok(self.edit.link(&first, &place)?);
        }
        let Lookup::Found(node) = contents.lookup(&entry.path) else {
            return Ok(());
        };
        let mtime = self.mtime(node);
        let node = match entry.kind {
            EntryKind::Directory => Node::directory(metadata, mtime),
            _ => Node {
                metadata,
                mtime,
                kind: node.kind.clone(),
            },
        };
        Ok(self.edit.put(&place, node)?)
    }

    /// Where a member goes; the directories on the way are made as needed.
    fn member_place(&mut self, path: &ImagePath, target: &ImagePath) -> Result<ImagePath, Fault> {
        let wanted = path.rebase(&ImagePath::root(), target).unwrap_or_default();
        let parent = self.resolve(&wanted.parent().unwrap_or_default())?;
        self.make_directories_as(&parent, &Metadata::root_owned(IMPLIED_MODE))?;
        Ok(parent.join(wanted.name().unwrap_or_default())?)
    }

    fn member_metadata(&self, metadata: &Metadata) -> Metadata {
        let (uid, gid) = self.treatment.owner.unwrap_or((metadata.uid, metadata.gid));
        Metadata {
            uid,
            gid,
            ..metadata.clone()
        }
    }
}
