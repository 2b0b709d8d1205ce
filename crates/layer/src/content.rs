use std::io::Read;
use std::sync::Arc;

use onlay_oci::{DiffId, Digest};

use crate::ImagePath;

/// The bytes of a file, by reference: a layer is written without any file being held in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes that an instruction gave literally.
    Bytes(Arc<[u8]>),
    /// A file of a layer of the base, as that layer has it.
    Base(Arc<BaseFile>),
    /// A file of a build context, by its path inside the context.
    Context {
        /// Which of the build's contexts; whoever lists them counts them.
        context: usize,
        /// Its path inside the context.
        path: ImagePath,
        /// Its size in bytes when it was listed.
        size: u64,
    },
    /// Bytes that the build holds itself, such as a download, by their digest.
    Held {
        /// The digest of the bytes.
        digest: Arc<Digest>,
        /// The number of bytes.
        size: u64,
    },
    /// Several contents, one behind the other: what `>>` leaves.
    Concatenation(Arc<[Content]>),
}

/// A regular file in a layer of the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseFile {
    /// The layer that holds its bytes.
    pub layer: Arc<DiffId>,
    /// Its path in that layer.
    pub path: ImagePath,
    /// Where its bytes start in the uncompressed tar.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of its bytes, which whoever reads them checks.
    pub digest: Digest,
}

impl Content {
    /// No bytes.
    pub fn empty() -> Self {
        Self::Bytes(Arc::from(&[][..]))
    }

    /// The number of bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Base(file) => file.size,
            Self::Context { size, .. } | Self::Held { size, .. } => *size,
            Self::Concatenation(parts) => parts.iter().map(Self::size).sum(),
        }
    }

    /// These bytes with `more` behind them.
    #[must_use]
    pub fn followed_by(&self, more: Self) -> Self {
        if self.size() == 0 {
            return more;
        }
        if let (Self::Bytes(head), Self::Bytes(tail)) = (self, &more) {
            return Self::Bytes([&**head, &**tail].concat().into());
        }
        let head = match self {
            Self::Concatenation(parts) => parts.to_vec(),
            other => vec![other.clone()],
        };
        Self::Concatenation(head.into_iter().chain([more]).collect())
    }
}

/// Opens the content of files while a layer is written.
///
/// It is called once for each file that is written, in the order of the layer, never for [`Content::Bytes`] and
/// [`Content::Concatenation`], which the writer takes apart itself. The reader must give exactly
/// [`size`](Content::size) bytes.
pub trait ContentSource {
    /// Opens one content.
    ///
    /// # Errors
    /// The content is not to be had; the error names the file.
    fn open(&mut self, content: &Content) -> std::io::Result<Box<dyn Read + '_>>;
}

/// A source for layers whose every file was given literally.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoContent;

impl ContentSource for NoContent {
    fn open(&mut self, content: &Content) -> std::io::Result<Box<dyn Read + '_>> {
        Err(std::io::Error::other(format!(
            "no source was given for {content:?}"
        )))
    }
}
