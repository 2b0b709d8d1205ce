//! A layer: entries → tar → blob.

use crate::digest::sha256;
use crate::entry::Entry;
use flate2::write::GzEncoder;
use std::io::Write;

/// How the tar of a layer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// One gzip member, as `docker build` writes it.
    Gzip,
    /// Several gzip members one after another, as pigz, estargz and some registries write it.
    ///
    /// A reader that stops after the first member sees a third of the tar.
    MultiMemberGzip,
    /// One zstd frame. Readable by Docker from 23 on and umoci from 0.5 on.
    Zstd,
    /// The tar itself.
    Plain,
}

/// A layer as a value: its tar, how it is stored, and the history text that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    tar: Vec<u8>,
    compression: Compression,
    created_by: String,
}

impl Layer {
    /// Makes a gzip-compressed layer of `entries`, in the order given.
    pub fn new(entries: &[Entry]) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        for entry in entries {
            entry.append_to(&mut tar);
        }
        Self::from_tar(tar.into_inner().expect("a tar is ended in memory"))
    }

    /// Makes a gzip-compressed layer of bytes that are taken as they are, a tar or not.
    pub fn from_tar(tar: Vec<u8>) -> Self {
        Self {
            tar,
            compression: Compression::Gzip,
            created_by: "ADD rootfs / # testkit".to_owned(),
        }
    }

    /// Stores the layer in another way.
    pub fn with_compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// Sets the `created_by` of the layer's history entry.
    pub fn with_created_by(self, created_by: &str) -> Self {
        Self {
            created_by: created_by.to_owned(),
            ..self
        }
    }

    /// How the layer is stored.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The text of the layer's history entry.
    pub fn created_by(&self) -> &str {
        &self.created_by
    }

    /// The uncompressed tar.
    pub fn tar(&self) -> &[u8] {
        &self.tar
    }

    /// The digest of the uncompressed tar.
    pub fn diff_id(&self) -> String {
        sha256(&self.tar)
    }

    /// The bytes as stored; the same on every call.
    pub fn blob(&self) -> Vec<u8> {
        match self.compression {
            Compression::Gzip => gzip(&self.tar),
            Compression::MultiMemberGzip => self
                .tar
                .chunks(self.tar.len().div_ceil(3).max(1))
                .flat_map(gzip)
                .collect(),
            Compression::Zstd => zstd::encode_all(self.tar.as_slice(), 3).expect("zstd compresses memory"),
            Compression::Plain => self.tar.clone(),
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("gzip compresses memory");
    encoder.finish().expect("gzip compresses memory")
}
