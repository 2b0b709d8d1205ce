use std::collections::HashSet;

use onlay_oci::{DiffId, Digest};
use serde::{Deserialize, Serialize};

use crate::{ImagePath, Metadata};

/// What one layer's tar headers say: everything about its files but their bytes.
///
/// A listing is made by streaming the layer once ([`read_listing`](crate::read_listing)), belongs to a [`DiffId`] for ever, and is small:
/// about fifty bytes a file once encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// The layer.
    pub diff_id: DiffId,
    /// The size of its uncompressed tar, in bytes.
    pub uncompressed_size: u64,
    /// One entry per path, in the order of the tar; of a path that comes twice the last one counts.
    pub entries: Vec<Entry>,
    /// The contents of small files that names are looked up in (`etc/passwd`, `etc/group`, `etc/os-release`), so that
    /// they never need a second read.
    pub inlined: Vec<(ImagePath, Vec<u8>)>,
}

/// One member of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is. For a whiteout: what it removes; for an opaque whiteout: the directory it empties.
    pub path: ImagePath,
    /// Mode, owner and extended attributes.
    pub metadata: Metadata,
    /// Last modification, in seconds since 1970.
    pub mtime: i64,
    /// What it is.
    pub kind: EntryKind,
}

/// What a member of a layer is.
///
/// Source: image-spec v1.1 layer.md "File Types", "Whiteouts".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Size in bytes.
        size: u64,
        /// Where its bytes start in the uncompressed tar.
        offset: u64,
        /// The digest of its bytes.
        digest: Digest,
    },
    /// A directory.
    Directory,
    /// A symbolic link, with its target as written.
    Symlink {
        /// The target.
        target: Vec<u8>,
    },
    /// Another name of a file of the same layer.
    HardLink {
        /// That file.
        target: ImagePath,
    },
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// `.wh.<name>`: the path of the layers below is gone.
    Whiteout,
    /// `.wh..wh..opq`: whatever the layers below have in this directory is gone.
    OpaqueWhiteout,
}

/// The format of [`Listing::encode`]; a change of any type above counts it up, and old entries of a cache are ignored.
const FORMAT: u8 = 1;

/// zstd's default: a listing shrinks tenfold, and encoding stays far below the time that making it takes.
const COMPRESSION_LEVEL: i32 = 3;

/// The largest listing that is decoded, in bytes: several million files.
const MAX_DECODED_SIZE: usize = 1 << 30;

impl Listing {
    /// Encodes the listing for a cache.
    ///
    /// # Errors
    /// Never in practice; the encoder is fallible by its signature.
    pub fn encode(&self) -> Result<Vec<u8>, ListingFormatError> {
        let plain = postcard::to_stdvec(self)?;
        let mut encoded = vec![FORMAT];
        encoded.extend(zstd::bulk::compress(&plain, COMPRESSION_LEVEL).map_err(ListingFormatError::Zstd)?);
        Ok(encoded)
    }

    /// Decodes what [`encode`](Self::encode) gave.
    ///
    /// # Errors
    /// Another format, or damaged: a cache treats both as absent.
    pub fn decode(encoded: &[u8]) -> Result<Self, ListingFormatError> {
        let Some((&FORMAT, compressed)) = encoded.split_first() else {
            return Err(ListingFormatError::Version {
                found: encoded.first().copied(),
            });
        };
        let mut plain = Vec::new();
        let decoder = zstd::Decoder::new(compressed).map_err(ListingFormatError::Zstd)?;
        let limited = std::io::Read::take(decoder, MAX_DECODED_SIZE as u64);
        std::io::copy(&mut { limited }, &mut plain).map_err(ListingFormatError::Zstd)?;
        Ok(postcard::from_bytes(&plain)?)
    }

    /// Finds a hard link to something that is not in the archive, as only [`read_archive`](crate::read_archive) lists.
    pub fn link_out(&self) -> Option<(&ImagePath, &ImagePath)> {
        let own: HashSet<&ImagePath> = self.entries.iter().map(|entry| &entry.path).collect();
        self.entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::HardLink { target } if !own.contains(target) => Some((&entry.path, target)),
            _ => None,
        })
    }

    /// Gives the content of an inlined file.
    pub fn inlined(&self, path: &ImagePath) -> Option<&[u8]> {
        self.inlined
            .iter()
            .find(|(inlined, _)| inlined == path)
            .map(|(_, bytes)| bytes.as_slice())
    }
}

/// Why bytes are not an encoded listing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListingFormatError {
    /// Written by another version.
    #[error("listing has format {found:?}, expected {FORMAT}")]
    Version {
        /// The first byte.
        found: Option<u8>,
    },
    /// Damaged.
    #[error("listing is not zstd data")]
    Zstd(#[source] std::io::Error),
    /// Damaged.
    #[error("listing is damaged")]
    Postcard(#[from] postcard::Error),
}
