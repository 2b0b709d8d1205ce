use std::collections::VecDeque;
use std::sync::Arc;

use bstr::{BString, ByteSlice};
use onlay_layer::{
    BaseFile, Content, Entry, EntryKind, ImagePath, Listing, Lookup, Metadata, ModificationTime, Node,
    NodeKind,
};
use onlay_oci::DiffId;

use super::destination::MAX_LINKS;
use super::{Destination, Fault, Transfer};

/// What directories get that an archive only implies.
const IMPLIED_MODE: u32 = 0o755;

/// An archive on its way to a directory of the image.
struct Unpacking<'l> {
    archive: &'l Listing,
    diff_id: Arc<DiffId>,
    target: ImagePath,
}

impl Transfer<'_> {
    /// Unpacks an archive into the destination, which is always a directory.
    ///
    /// Members are put one after the other, as an unpacker does whose root is the destination: links on the way are
    /// followed there. Directories of both are one, with the archive's mode and owner; anything else in the way is
    /// replaced, a symbolic link too. `--chmod` and `--exclude` do not reach into archives.
    pub(crate) fn unpack(&mut self, archive: &Listing, destination: &Destination) -> Result<(), Fault> {
        let (uid, gid) = self.treatment.owner.unwrap_or((0, 0));
        let target = self.resolve(destination.path())?;
        self.make_directories_as(&target, &Metadata::owned(IMPLIED_MODE, uid, gid))?;
        let unpacking = Unpacking {
            archive,
            diff_id: Arc::new(archive.diff_id.clone()),
            target,
        };
        for entry in &archive.entries {
            if !entry.path.is_root() {
                self.unpack_entry(entry, &unpacking)?;
            }
        }
        Ok(())
    }

    fn unpack_entry(&mut self, entry: &Entry, unpacking: &Unpacking<'_>) -> Result<(), Fault> {
        let place = self.member_place(&entry.path, unpacking)?;
        if let EntryKind::HardLink { target } = &entry.kind {
            let first = self.member_place(target, unpacking)?;
            return self.unpack_link(entry, &first, &place);
        }
        let Some(kind) = unpacking.kind(entry) else {
            return self.unpack_directory(entry, &place);
        };
        let node = Node {
            metadata: self.member_metadata(&entry.metadata),
            mtime: ModificationTime::Seconds(entry.mtime),
            kind,
        };
        let mtime = self.mtime(&node);
        Ok(self.edit.put(&place, Node { mtime, ..node })?)
    }

    /// A second name of a file, perhaps one of the image: owner and time are set through it, and count for all its names.
    fn unpack_link(&mut self, entry: &Entry, first: &ImagePath, place: &ImagePath) -> Result<(), Fault> {
        self.edit.link(first, place)?;
        let Some(existing) = self.existing(place)? else {
            return Ok(());
        };
        let Metadata { uid, gid, .. } = self.member_metadata(&entry.metadata);
        let linked = Node {
            metadata: Metadata {
                uid,
                gid,
                ..existing.metadata.clone()
            },
            mtime: ModificationTime::Seconds(entry.mtime),
            kind: existing.kind.clone(),
        };
        let mtime = self.mtime(&linked);
        Ok(self.edit.replace(place, Node { mtime, ..linked })?)
    }

    fn unpack_directory(&mut self, entry: &Entry, place: &ImagePath) -> Result<(), Fault> {
        let metadata = self.member_metadata(&entry.metadata);
        let directory = Node::directory(metadata.clone(), ModificationTime::Seconds(entry.mtime));
        let mtime = self.mtime(&directory);
        match self.existing(place)? {
            Some(existing) if existing.is_directory() => {
                drop(existing);
                self.edit.set_metadata(place, metadata)?;
                Ok(self.edit.set_mtime(place, mtime)?)
            }
            _ => Ok(self.edit.put(place, Node { mtime, ..directory })?),
        }
    }

    /// Where a member goes; the directories on the way are made as needed.
    fn member_place(&mut self, path: &ImagePath, unpacking: &Unpacking<'_>) -> Result<ImagePath, Fault> {
        let above = path.parent().unwrap_or_default();
        let parent = self.resolve_within(&unpacking.target, &above)?;
        if self.existing(&parent)?.is_none() && self.is_link(&above, unpacking)? {
            return Err(Fault::Message(format!(
                "the archive's member `{path}` is below a link to nowhere"
            )));
        }
        self.make_directories_as(&parent, &Metadata::root_owned(IMPLIED_MODE))?;
        Ok(parent.join(path.name().unwrap_or_default())?)
    }

    /// Tells whether a directory of the archive is a link in the image, which unpackers do not make directories behind.
    fn is_link(&self, directory: &ImagePath, unpacking: &Unpacking<'_>) -> Result<bool, Fault> {
        let Some(name) = directory.name() else {
            return Ok(false);
        };
        let above = self.resolve_within(&unpacking.target, &directory.parent().unwrap_or_default())?;
        let existing = self.existing(&above.join(name)?)?;
        Ok(existing.is_some_and(|existing| existing.symlink_target().is_some()))
    }

    /// Follows the links of a path as if `root` were the root: absolute ones start there, and `..` stays there.
    fn resolve_within(&self, root: &ImagePath, path: &ImagePath) -> Result<ImagePath, Fault> {
        let mut pending: VecDeque<BString> = path.names().map(BString::from).collect();
        let mut within: Vec<BString> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    within.pop();
                    continue;
                }
                _ => within.push(name),
            }
            let place = below(root, &within)?;
            let target = match self.edit.tree().lookup(&place) {
                Lookup::Found(node) => node.symlink_target().map(<[u8]>::to_vec),
                Lookup::Absent => None,
                Lookup::Unknown => return Err(Fault::UnreadDestination),
            };
            let Some(target) = target else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(Fault::Message(format!(
                    "too many symbolic links on the way to `{path}`"
                )));
            }
            within.pop();
            if target.starts_with(b"/") {
                within.clear();
            }
            for name in target.rsplit_str("/") {
                pending.push_front(name.into());
            }
        }
        below(root, &within)
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

impl Unpacking<'_> {
    /// What a member is; nothing for a directory.
    fn kind(&self, entry: &Entry) -> Option<NodeKind> {
        let kind = match &entry.kind {
            EntryKind::File { size, offset, digest } => {
                NodeKind::File(match self.archive.inlined(&entry.path) {
                    Some(bytes) => Content::Bytes(bytes.into()),
                    None => Content::Base(Arc::new(BaseFile {
                        layer: self.diff_id.clone(),
                        path: entry.path.clone(),
                        offset: *offset,
                        size: *size,
                        digest: digest.clone(),
                    })),
                })
            }
            EntryKind::Symlink { target } => NodeKind::Symlink(target.as_slice().into()),
            EntryKind::CharacterDevice { major, minor } => NodeKind::CharacterDevice {
                major: *major,
                minor: *minor,
            },
            EntryKind::BlockDevice { major, minor } => NodeKind::BlockDevice {
                major: *major,
                minor: *minor,
            },
            EntryKind::Fifo => NodeKind::Fifo,
            EntryKind::Directory
            | EntryKind::HardLink { .. }
            | EntryKind::Whiteout
            | EntryKind::OpaqueWhiteout => {
                return None;
            }
        };
        Some(kind)
    }
}

fn below(root: &ImagePath, names: &[BString]) -> Result<ImagePath, Fault> {
    let join = |path: ImagePath, name: &BString| path.join(name);
    Ok(names.iter().try_fold(root.clone(), join)?)
}
