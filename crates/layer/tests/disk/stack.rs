use std::ffi::OsStr;
use std::io::{self, Cursor, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fs_err as fs;
use onlay_layer::{
    Change, CompressionOptions, Content, ContentSource, LayerOptions, Listing, Tree, read_listing,
    write_layer,
};
use onlay_oci::Compression;
use tar::{Entry, EntryType};

use crate::disk::{make_symlink, remove, set_mode, set_seconds};

/// Layers, base first, each with its uncompressed tar.
#[derive(Default)]
pub(crate) struct Stack {
    layers: Vec<(Listing, Vec<u8>)>,
}

impl Stack {
    pub(crate) fn tree(&self) -> Tree {
        let layers = self.layers.iter().rev();
        let tree = layers.fold(Tree::unread(), |tree, (listing, _)| tree.over(listing));
        tree.completed()
    }

    /// Writes changes as one more layer.
    pub(crate) fn push(&mut self, changes: &[Change]) {
        let options = LayerOptions {
            build_time: None,
            compression: CompressionOptions {
                compression: Compression::None,
                level: 1,
                threads: 1,
            },
        };
        let (layer, tar) = write_layer(changes, &mut Contents(self), &options, Vec::new()).unwrap();
        let listing = read_listing(&tar[..], &layer.diff_id).unwrap();
        self.layers.push((listing, tar));
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, content: &Content) -> Vec<u8> {
        match content {
            Content::Bytes(bytes) => bytes.to_vec(),
            Content::Base(file) => {
                let layer = self
                    .layers
                    .iter()
                    .find(|(listing, _)| listing.diff_id == *file.layer);
                let (_, tar) = layer.unwrap();
                tar[file.offset as usize..][..file.size as usize].to_vec()
            }
            other => panic!("{other:?} is in no layer"),
        }
    }

    /// Unpacks every layer, base first, as engines do: each by itself, into what the ones below it left.
    pub(crate) fn unpack(&self, root: &Path) {
        for (_, tar) in &self.layers {
            unpack(tar, root);
        }
    }
}

struct Contents<'a>(&'a Stack);

impl ContentSource for Contents<'_> {
    fn open(&mut self, content: &Content) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Cursor::new(self.0.read(content))))
    }
}

fn unpack(tar: &[u8], root: &Path) {
    for member in tar::Archive::new(tar).entries().unwrap() {
        let member = member.unwrap();
        let name = member.path_bytes().into_owned();
        let path = root.join(OsStr::from_bytes(name.strip_suffix(b"/").unwrap_or(&name)));
        let (parent, name) = (path.parent().unwrap(), path.file_name().unwrap().as_bytes());
        // A layer of ours holds every directory on the way.
        assert!(fs::symlink_metadata(parent).unwrap().is_dir());
        if let Some(removed) = name.strip_prefix(b".wh.") {
            let removed = parent.join(OsStr::from_bytes(removed));
            assert!(
                fs::symlink_metadata(&removed).is_ok(),
                "nothing to remove at {removed:?}"
            );
            remove(&removed);
        } else {
            unpack_member(member, root, &path);
        }
    }
}

fn unpack_member(mut member: Entry<'_, &[u8]>, root: &Path, path: &Path) {
    let seconds = seconds(&mut member);
    let mode = member.header().mode().unwrap();
    let link = member
        .link_name_bytes()
        .map(|link| link.into_owned())
        .unwrap_or_default();
    let is_directory = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let entry_type = member.header().entry_type();
    if !(is_directory && entry_type == EntryType::Directory) {
        remove(path);
    }
    match entry_type {
        EntryType::Directory => {
            if !is_directory {
                fs::create_dir(path).unwrap();
            }
            set_mode(path, mode);
        }
        EntryType::Regular => {
            let mut text = Vec::new();
            member.read_to_end(&mut text).unwrap();
            fs::write(path, text).unwrap();
            set_mode(path, mode);
            set_seconds(path, seconds);
        }
        EntryType::Symlink => make_symlink(OsStr::from_bytes(&link), path, seconds),
        EntryType::Link => fs::hard_link(root.join(OsStr::from_bytes(&link)), path).unwrap(),
        other => panic!("{path:?} is {other:?}"),
    }
}

fn seconds(member: &mut Entry<'_, &[u8]>) -> i64 {
    let records = member.pax_extensions().unwrap().into_iter().flatten();
    let mut times = records.filter_map(|record| {
        let record = record.unwrap();
        (record.key_bytes() == b"mtime").then(|| record.value().unwrap().parse().unwrap())
    });
    match times.next() {
        Some(seconds) => seconds,
        None => member.header().mtime().unwrap().try_into().unwrap(),
    }
}
