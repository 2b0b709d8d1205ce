use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use onlay_oci::Digest;

use crate::{GrowingBlob, GrowingWriter};

/// Where a new layer's bytes go until they are published: memory while they are few, then an unnamed temporary file,
/// which the system removes whatever becomes of the process.
pub struct Spool {
    kept: Kept,
    temporary_directory: Option<PathBuf>,
    listener: Option<Listener>,
}

/// Who is told that a spool has become a file, which can be read while it grows.
type Listener = Box<dyn FnOnce(GrowingBlob) + Send>;

#[derive(Debug)]
enum Kept {
    Memory(Vec<u8>),
    Disk(GrowingWriter),
}

/// Layers of interpreted lines have some hundred bytes; 8 MiB is also from where a layer is worth sending while it is
/// made (DESIGN.md "Pushing").
const MAX_IN_MEMORY: usize = 8 * 1024 * 1024;

impl Spool {
    /// An empty spool. Without a directory there is no place for more than 8 MiB.
    pub fn new(temporary_directory: Option<PathBuf>) -> Self {
        Self {
            kept: Kept::Memory(Vec::new()),
            temporary_directory,
            listener: None,
        }
    }

    /// Tells somebody when the spool grows beyond 8 MiB, with what can be read of it.
    #[must_use]
    pub fn with_listener(self, listener: impl FnOnce(GrowingBlob) + Send + 'static) -> Self {
        Self {
            listener: Some(Box::new(listener)),
            ..self
        }
    }

    /// Ends the spool; its bytes can be read any number of times from here on.
    pub fn finish(self) -> Blob {
        self.end(None)
    }

    /// The same for those who have read it while it grew, and go by its digest, which is not computed here.
    pub fn finish_as(self, digest: Digest) -> Blob {
        self.end(Some(digest))
    }

    fn end(self, digest: Option<Digest>) -> Blob {
        match self.kept {
            Kept::Memory(bytes) => Blob(Bytes::Memory(bytes.into())),
            Kept::Disk(writer) => writer.finish(digest),
        }
    }

    fn move_to_disk(&mut self) -> io::Result<()> {
        let Kept::Memory(bytes) = &self.kept else {
            return Ok(());
        };
        let directory = self.temporary_directory.as_ref().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::StorageFull,
                "there is no temporary directory for more than 8 MiB",
            )
        })?;
        let named = |error: io::Error| {
            let message = format!("the temporary directory {}: {error}", directory.display());
            io::Error::new(error.kind(), message)
        };
        let mut writer = GrowingBlob::create(directory).map_err(named)?;
        writer.write_all(bytes).map_err(named)?;
        if let Some(listener) = self.listener.take() {
            listener(writer.blob());
        }
        self.kept = Kept::Disk(writer);
        Ok(())
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spool").field(&self.kept).finish()
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if matches!(&self.kept, Kept::Memory(kept) if kept.len() + bytes.len() > MAX_IN_MEMORY) {
            self.move_to_disk()?;
        }
        match &mut self.kept {
            Kept::Memory(kept) => kept.write(bytes),
            Kept::Disk(writer) => writer
                .write(bytes)
                .map_err(|error| io::Error::new(error.kind(), format!("the temporary directory: {error}"))),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that can be read any number of times, by any number of readers at a time. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Blob(Bytes);

#[derive(Clone, Debug)]
enum Bytes {
    Memory(Arc<[u8]>),
    Disk { file: Arc<File>, size: u64 },
}

impl Blob {
    /// The number of bytes.
    pub fn size(&self) -> u64 {
        match &self.0 {
            Bytes::Memory(bytes) => bytes.len() as u64,
            Bytes::Disk { size, .. } => *size,
        }
    }

    /// Reads from the start.
    pub fn reader(&self) -> BlobReader {
        self.reader_at(0)
    }

    /// Reads from an offset in bytes.
    pub fn reader_at(&self, offset: u64) -> BlobReader {
        BlobReader {
            blob: self.clone(),
            position: offset,
        }
    }

    /// Takes an open file, which must stay as it is.
    ///
    /// # Errors
    /// Its size could not be found out.
    pub fn from_file(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self::of_file(Arc::new(file), size))
    }

    pub(crate) fn of_file(file: Arc<File>, size: u64) -> Self {
        Self(Bytes::Disk { file, size })
    }

    pub(crate) fn file(&self) -> Option<&Arc<File>> {
        match &self.0 {
            Bytes::Memory(_) => None,
            Bytes::Disk { file, .. } => Some(file),
        }
    }
}

impl From<Arc<[u8]>> for Blob {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Bytes::Memory(bytes))
    }
}

/// Reads a [`Blob`], with a position of its own.
#[derive(Debug)]
pub struct BlobReader {
    blob: Blob,
    position: u64,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.blob.0 {
            Bytes::Memory(bytes) => {
                let start = usize::try_from(self.position)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                (&bytes[start..]).read(buffer)?
            }
            Bytes::Disk { file, .. } => file.read_at(buffer, self.position)?,
        };
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_read_back_more_than_once() {
        let directory = tempfile::tempdir().unwrap();
        for length in [0, 10, MAX_IN_MEMORY, MAX_IN_MEMORY + 1] {
            let bytes: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let mut spool = Spool::new(Some(directory.path().to_owned()));
            bytes
                .chunks(1 << 20)
                .for_each(|chunk| spool.write_all(chunk).unwrap());
            let blob = spool.finish();
            assert_eq!(blob.size(), length as u64);
            for _ in 0..2 {
                let mut read = Vec::new();
                blob.reader().read_to_end(&mut read).unwrap();
                assert!(read == bytes);
            }
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_a_directory_there_is_a_limit() {
        let mut spool = Spool::new(None);
        assert!(spool.write_all(&vec![0; MAX_IN_MEMORY]).is_ok());
        assert!(spool.write_all(b"x").is_err());
    }
}
