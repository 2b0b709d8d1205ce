use std::io::{self, Read, Write};

use onlay_oci::{Algorithm, Compression, DiffId, Digest, Digester};
use tar::EntryType;

use crate::header::{Member, write_header, write_padding};
use crate::{
    Change, ChangeKind, CompressionOptions, Compressor, Content, ContentSource, ImagePath, ModificationTime,
};

/// Counts up whenever the same changes would give other bytes: another compressor, block size, header or order.
///
/// Golden digests in the tests may change only together with it, and mirrors rebuild their images when it does.
pub const RECIPE_VERSION: u32 = 1;

/// 1980-01-01T00:00:00Z, the time of what onlay makes up where the build has none: the earliest that zip archives can
/// hold, so nothing that handles the files later has to invent another.
const NO_BUILD_TIME: i64 = 315_532_800;

/// What a layer's bytes depend on beside its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerOptions {
    /// The build's time in seconds since 1970, if it has one.
    pub build_time: Option<i64>,
    /// How the layer is compressed.
    pub compression: CompressionOptions,
}

impl LayerOptions {
    /// The time of what has none of its own, in seconds since 1970.
    pub fn made_up_time(&self) -> i64 {
        self.build_time.unwrap_or(NO_BUILD_TIME)
    }
}

/// A layer that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenLayer {
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The digest of the bytes as stored.
    pub digest: Digest,
    /// The number of bytes as stored.
    pub size: u64,
    /// The number of bytes of the uncompressed tar.
    pub uncompressed_size: u64,
    /// How it is compressed.
    pub compression: Compression,
}

/// Writes changes as a layer into `out`: tar, digest, compression and digest in one pass, with no file in memory.
///
/// The same changes, contents and options give the same bytes on every machine, for any number of threads.
///
/// # Errors
/// A content could not be opened, did not have the size it was listed with, or `out` failed.
pub fn write_layer<W: Write>(
    changes: &[Change],
    source: &mut dyn ContentSource,
    options: &LayerOptions,
    out: W,
) -> Result<(WrittenLayer, W), LayerWriteError> {
    let stored = Hashing::new(out);
    let compressor =
        Compressor::new(stored, options.compression).map_err(|source| LayerWriteError::Output { source })?;
    let mut tar = Tar {
        out: Hashing::new(compressor),
        build_time: options.made_up_time(),
    };
    for change in changes {
        tar.write(change, source)?;
    }
    tar.out
        .write_all(&[0; 1024])
        .map_err(|source| LayerWriteError::Output { source })?;
    let (compressor, diff_id, uncompressed_size) = tar.out.finish();
    let stored = compressor
        .finish()
        .map_err(|source| LayerWriteError::Output { source })?;
    let (out, digest, size) = stored.finish();
    let compression = options.compression.compression;
    Ok((
        WrittenLayer {
            diff_id: DiffId::new(diff_id),
            digest,
            size,
            uncompressed_size,
            compression,
        },
        out,
    ))
}

struct Tar<W: Write> {
    out: Hashing<W>,
    build_time: i64,
}

impl<W: Write> Tar<W> {
    fn write(&mut self, change: &Change, source: &mut dyn ContentSource) -> Result<(), LayerWriteError> {
        let path = change.path.as_bytes();
        let is_whiteout = change.kind == ChangeKind::Whiteout;
        if !is_whiteout && change.path.name().is_some_and(|name| name.starts_with(b".wh.")) {
            return Err(LayerWriteError::WhiteoutName {
                path: change.path.clone(),
            });
        }
        match &change.kind {
            ChangeKind::Directory => self.header(change, &[path, b"/"].concat(), EntryType::Directory, 0),
            ChangeKind::Whiteout => self.header(change, &whiteout_name(&change.path), EntryType::Regular, 0),
            ChangeKind::File(content) => {
                self.header(change, path, EntryType::Regular, content.size())?;
                self.content(&change.path, content, source)?;
                write_padding(&mut self.out, content.size())
                    .map_err(|source| LayerWriteError::Output { source })
            }
            ChangeKind::Symlink(target) => self.link(change, EntryType::Symlink, target),
            ChangeKind::HardLink(target) => self.link(change, EntryType::Link, target.as_bytes()),
            ChangeKind::CharacterDevice { major, minor } => {
                self.device(change, EntryType::Char, (*major, *minor))
            }
            ChangeKind::BlockDevice { major, minor } => {
                self.device(change, EntryType::Block, (*major, *minor))
            }
            ChangeKind::Fifo => self.header(change, path, EntryType::Fifo, 0),
        }
    }

    fn header(
        &mut self,
        change: &Change,
        name: &[u8],
        entry_type: EntryType,
        size: u64,
    ) -> Result<(), LayerWriteError> {
        self.member(
            change,
            Member {
                size,
                ..self.plain(change, name, entry_type)
            },
        )
    }

    fn link(&mut self, change: &Change, entry_type: EntryType, link: &[u8]) -> Result<(), LayerWriteError> {
        self.member(
            change,
            Member {
                link,
                ..self.plain(change, change.path.as_bytes(), entry_type)
            },
        )
    }

    fn device(
        &mut self,
        change: &Change,
        entry_type: EntryType,
        numbers: (u32, u32),
    ) -> Result<(), LayerWriteError> {
        let member = self.plain(change, change.path.as_bytes(), entry_type);
        self.member(
            change,
            Member {
                device: Some(numbers),
                ..member
            },
        )
    }

    fn plain<'a>(&self, change: &'a Change, name: &'a [u8], entry_type: EntryType) -> Member<'a> {
        let mtime = match change.mtime {
            ModificationTime::Build => self.build_time,
            ModificationTime::Seconds(seconds) => seconds,
        };
        Member {
            name,
            entry_type,
            metadata: &change.metadata,
            mtime,
            size: 0,
            link: b"",
            device: None,
        }
    }

    fn member(&mut self, change: &Change, member: Member<'_>) -> Result<(), LayerWriteError> {
        write_header(&mut self.out, &member).map_err(|source| LayerWriteError::Header {
            path: change.path.clone(),
            source,
        })
    }

    fn content(
        &mut self,
        path: &ImagePath,
        content: &Content,
        source: &mut dyn ContentSource,
    ) -> Result<(), LayerWriteError> {
        let failed = |source| LayerWriteError::Content {
            path: path.clone(),
            source,
        };
        let written = match content {
            Content::Bytes(bytes) => {
                self.out.write_all(bytes).map_err(failed)?;
                bytes.len() as u64
            }
            Content::Concatenation(parts) => {
                return parts.iter().try_for_each(|part| self.content(path, part, source));
            }
            Content::Base(_) | Content::Context { .. } | Content::Held { .. } => {
                let mut reader = source.open(content).map_err(failed)?;
                // One byte more than listed tells a file that grew from one that did not.
                let mut limited = (&mut reader).take(content.size() + 1);
                io::copy(&mut limited, &mut self.out).map_err(failed)?
            }
        };
        if written == content.size() {
            Ok(())
        } else {
            Err(LayerWriteError::Size {
                path: path.clone(),
                expected: content.size(),
                found: written,
            })
        }
    }
}

/// `directory/.wh.name`.
fn whiteout_name(path: &ImagePath) -> Vec<u8> {
    let directory = path.parent().unwrap_or_default();
    let separator: &[u8] = if directory.is_root() { b"" } else { b"/" };
    [
        directory.as_bytes(),
        separator,
        b".wh.",
        path.name().unwrap_or_default(),
    ]
    .concat()
}

/// Passes bytes on, counted and digested.
struct Hashing<W: Write> {
    out: W,
    digester: Digester,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(out: W) -> Self {
        Self {
            out,
            digester: Digester::new(Algorithm::Sha256),
            size: 0,
        }
    }

    fn finish(self) -> (W, Digest, u64) {
        (self.out, self.digester.finish(), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.digester.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerWriteError {
    /// The place that the layer goes to failed.
    #[error("the layer could not be written")]
    Output {
        /// What happened.
        source: io::Error,
    },
    /// A header could not be written.
    #[error("{path} could not be written into the layer")]
    Header {
        /// The file.
        path: ImagePath,
        /// What happened.
        source: io::Error,
    },
    /// A file's content could not be read or written.
    #[error("the content of {path} could not be copied into the layer")]
    Content {
        /// The file.
        path: ImagePath,
        /// What happened.
        source: io::Error,
    },
    /// A file whose name would make engines delete another one.
    #[error("{path} is named like a whiteout: in a layer, such a name deletes what it names")]
    WhiteoutName {
        /// The file.
        path: ImagePath,
    },
    /// A file changed while it was read.
    #[error("{path} has another size than when it was listed: expected {expected} bytes, found {found}")]
    Size {
        /// The file.
        path: ImagePath,
        /// Bytes when it was listed.
        expected: u64,
        /// Bytes read now; one more than expected stands for any larger number.
        found: u64,
    },
}
