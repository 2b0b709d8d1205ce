use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use onlay_layer::{BaseFile, FileReadError, ImagePath, read_files};
use onlay_oci::{Descriptor, DiffId};

use crate::{BaseImage, ImageSource, SourceError};

/// The contents of files of a base, copied out of its layers because a change writes them again.
///
/// Each layer is streamed once, whatever the number of files in it. Contents are kept in one unnamed temporary file, or
/// in memory while they are small; both end with the value.
#[derive(Default)]
pub struct BaseFiles {
    kept: Kept,
    positions: HashMap<(DiffId, ImagePath), (u64, u64)>,
    temporary_directory: Option<PathBuf>,
}

/// Contents up to this size stay in memory; the same bound as a layer's own spool.
const MAX_IN_MEMORY: u64 = 8 * 1024 * 1024;

/// Bytes one behind the other, in memory until they are too many.
#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    Memory(Vec<u8>),
    Disk {
        file: std::fs::File,
        size: u64,
    },
}

impl BaseFiles {
    /// Starts without files; what does not fit into memory goes into `temporary_directory`, if there is one.
    pub fn new(temporary_directory: Option<PathBuf>) -> Self {
        Self {
            temporary_directory,
            ..Self::default()
        }
    }

    /// Copies files out of the layers of `image`.
    ///
    /// # Errors
    /// A layer could not be read, a file is not what was listed, or there is no room to keep them.
    pub async fn fetch(
        self,
        source: &ImageSource,
        image: &BaseImage,
        files: &[Arc<BaseFile>],
    ) -> Result<Self, FilesError> {
        let mut by_layer: BTreeMap<DiffId, Vec<Arc<BaseFile>>> = BTreeMap::new();
        for file in files {
            by_layer
                .entry(DiffId::clone(&file.layer))
                .or_default()
                .push(file.clone());
        }
        let mut kept = self;
        for (diff_id, files) in by_layer {
            let layer = layer_of(image, &diff_id).ok_or(FilesError::NoLayer { diff_id })?;
            let reader = source.open_blob(&layer).await?;
            kept = tokio::task::spawn_blocking(move || kept.copy(reader, &files))
                .await
                .map_err(|_| FilesError::Source(SourceError::Worker))??;
        }
        Ok(kept)
    }

    /// Copies files out of an uncompressed archive that was listed like a layer.
    ///
    /// # Errors
    /// A file is not what was listed, or there is no room to keep them. Blocking.
    pub fn fetch_from(
        self,
        archive: Box<dyn Read + Send>,
        files: &[Arc<BaseFile>],
    ) -> Result<Self, FilesError> {
        self.copy(archive, files)
    }

    /// Opens a file that was fetched.
    ///
    /// # Errors
    /// It was not, or the temporary file failed.
    pub fn open(&self, file: &BaseFile) -> io::Result<Box<dyn Read + '_>> {
        let key = (DiffId::clone(&file.layer), file.path.clone());
        let Some((start, size)) = self.positions.get(&key).copied() else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} was not fetched", file.path),
            ));
        };
        match &self.kept {
            Kept::Nothing => Ok(Box::new(io::empty())),
            Kept::Memory(bytes) => {
                let range = start as usize..(start + size) as usize;
                Ok(Box::new(bytes.get(range).unwrap_or_default()))
            }
            Kept::Disk { file, .. } => {
                let mut file = file;
                file.seek(SeekFrom::Start(start))?;
                Ok(Box::new(file.take(size)))
            }
        }
    }

    fn copy(mut self, reader: Box<dyn Read + Send>, files: &[Arc<BaseFile>]) -> Result<Self, FilesError> {
        let total: u64 = files.iter().map(|file| file.size).sum();
        self.kept
            .make_room(total, self.temporary_directory.as_deref())
            .map_err(|source| FilesError::Room { size: total, source })?;
        let wanted: Vec<&BaseFile> = files.iter().map(|file| &**file).collect();
        let mut start = self.kept.size();
        for file in read_files(reader, &wanted, &mut self.kept)? {
            self.positions.insert(
                (DiffId::clone(&file.layer), file.path.clone()),
                (start, file.size),
            );
            start += file.size;
        }
        Ok(self)
    }
}

fn layer_of(image: &BaseImage, diff_id: &DiffId) -> Option<Descriptor> {
    image
        .layers()
        .find(|(_, layer)| *layer == diff_id)
        .map(|(descriptor, _)| descriptor.clone())
}

impl Kept {
    fn size(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { size, .. } => *size,
        }
    }

    /// Moves to disk before the bytes get too many for memory.
    fn make_room(&mut self, more: u64, temporary_directory: Option<&Path>) -> io::Result<()> {
        let fits = self.size() + more <= MAX_IN_MEMORY;
        match self {
            Self::Nothing if fits => *self = Self::Memory(Vec::new()),
            Self::Disk { .. } => {}
            Self::Memory(_) if fits => {}
            Self::Nothing | Self::Memory(_) => {
                let directory = temporary_directory.ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, "there is no temporary directory")
                })?;
                let mut file = tempfile::tempfile_in(directory)?;
                let size = self.size();
                if let Self::Memory(bytes) = self {
                    file.write_all(bytes)?;
                }
                *self = Self::Disk { file, size };
            }
        }
        Ok(())
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Nothing => Err(io::ErrorKind::WriteZero.into()),
            Self::Memory(kept) => kept.write(bytes),
            Self::Disk { file, size } => {
                file.seek(SeekFrom::Start(*size))?;
                let written = file.write(bytes)?;
                *size += written as u64;
                Ok(written)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why files of a base could not be copied out of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The layer is not to be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A file is not in the layer as listed.
    #[error(transparent)]
    File(#[from] FileReadError),
    /// The image has no such layer; its listings and documents come from different images.
    #[error("the base has no layer with the diff id {diff_id}")]
    NoLayer {
        /// The layer that was asked for.
        diff_id: DiffId,
    },
    /// An archive that they are in could not be opened.
    #[error("the archive could not be read")]
    Archive {
        /// What happened.
        source: io::Error,
    },
    /// They do not fit into memory, and not on disk.
    #[error("there is no room for {size} bytes of files of the base")]
    Room {
        /// Their size in bytes.
        size: u64,
        /// What happened.
        source: io::Error,
    },
}
