use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use onlay_oci::Digest;

use crate::Blob;

/// Bytes that are read while they are still written, by any number of readers, each at its own speed. Cloning is cheap.
///
/// They are in an unnamed temporary file, which the system removes whatever becomes of the process.
#[derive(Clone, Debug)]
pub struct GrowingBlob(Arc<Growth>);

#[derive(Debug)]
struct Growth {
    file: Arc<File>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many bytes can be read.
    size: u64,
    end: Option<End>,
}

#[derive(Clone, Debug)]
enum End {
    /// These are all, and this is their digest, if anybody needs it.
    Whole(Option<Digest>),
    /// Whoever wrote them gave up, and why.
    Abandoned(String),
}

/// The end that writes. Dropping it before [`finish`](Self::finish) fails all readers.
#[derive(Debug)]
pub struct GrowingWriter(GrowingBlob);

impl GrowingBlob {
    /// An empty one in this directory.
    ///
    /// # Errors
    /// No file can be made there.
    pub fn create(directory: &Path) -> io::Result<GrowingWriter> {
        let growth = Growth {
            file: Arc::new(tempfile::tempfile_in(directory)?),
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        Ok(GrowingWriter(Self(Arc::new(growth))))
    }

    /// Reads from an offset; where there are no more bytes yet, reading waits for them.
    pub fn reader_at(&self, offset: u64) -> GrowingReader {
        GrowingReader {
            blob: self.clone(),
            position: offset,
        }
    }

    /// The digest and the number of bytes, once they are all there.
    pub fn end(&self) -> Option<(Digest, u64)> {
        let state = self.state();
        match &state.end {
            Some(End::Whole(Some(digest))) => Some((digest.clone(), state.size)),
            Some(End::Whole(None) | End::Abandoned(_)) | None => None,
        }
    }

    /// Waits for the end. None if there will be none, or if it has no digest.
    pub fn wait_for_end(&self) -> Option<(Digest, u64)> {
        // An error is an end too, one without digest.
        let _ = self.wait_for(u64::MAX);
        self.end()
    }

    /// Tells whether a finished blob is what this one has become.
    pub fn became(&self, blob: &Blob) -> bool {
        blob.file().is_some_and(|file| Arc::ptr_eq(file, &self.0.file))
    }

    /// Waits until more can be read than this many bytes, or there will be no more.
    fn wait_for(&self, position: u64) -> io::Result<u64> {
        let mut state = self.state();
        loop {
            match &state.end {
                _ if state.size > position => return Ok(state.size),
                Some(End::Whole(_)) => return Ok(state.size),
                Some(End::Abandoned(why)) => return Err(io::Error::other(why.clone())),
                None => {}
            }
            let woken = self.0.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GrowingWriter {
    /// What can be read of it.
    pub fn blob(&self) -> GrowingBlob {
        self.0.clone()
    }

    /// Ends it; the digest is for readers who go by it, and is not computed here.
    pub fn finish(self, digest: Option<Digest>) -> Blob {
        self.0.update(|state| state.end = Some(End::Whole(digest)));
        Blob::of_file(self.0.0.file.clone(), self.0.state().size)
    }

    /// Gives up; all readers fail with this reason.
    pub fn abandon(self, reason: &str) {
        self.give_up(reason);
    }

    fn give_up(&self, reason: &str) {
        self.0.update(|state| {
            state.end.get_or_insert_with(|| End::Abandoned(reason.to_owned()));
        });
    }
}

impl Write for GrowingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&*self.0.0.file).write(bytes)?;
        self.0.update(|state| state.size += written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for GrowingWriter {
    fn drop(&mut self) {
        self.give_up("what writes it has ended before its end");
    }
}

/// Reads a [`GrowingBlob`], and waits at its end for more.
#[derive(Debug)]
pub struct GrowingReader {
    blob: GrowingBlob,
    position: u64,
}

impl Read for GrowingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let there = self.blob.wait_for(self.position)?.saturating_sub(self.position);
        let wanted = usize::try_from(there).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.blob.0.file.read_at(&mut buffer[..wanted], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn read(blob: &GrowingBlob, offset: u64) -> thread::JoinHandle<io::Result<Vec<u8>>> {
        let mut reader = blob.reader_at(offset);
        thread::spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes)
        })
    }

    #[test]
    fn readers_follow_the_writer_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = GrowingBlob::create(directory.path()).unwrap();
        let blob = writer.blob();
        let (early, behind) = (read(&blob, 0), read(&blob, 4));
        for piece in ["abc", "def", "g"] {
            writer.write_all(piece.as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(blob.end(), None);
        let digest = Digest::of(b"abcdefg");
        let finished = writer.finish(Some(digest.clone()));
        assert_eq!(early.join().unwrap().unwrap(), b"abcdefg");
        assert_eq!(behind.join().unwrap().unwrap(), b"efg");
        assert_eq!(read(&blob, 0).join().unwrap().unwrap(), b"abcdefg");
        assert_eq!(blob.wait_for_end(), Some((digest, 7)));
        assert_eq!(finished.size(), 7);
        assert!(blob.became(&finished) && blob.became(&finished.clone()));
    }

    #[test]
    fn a_writer_that_gives_up_fails_its_readers() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = GrowingBlob::create(directory.path()).unwrap();
        let reader = read(&writer.blob(), 0);
        writer.write_all(b"abc").unwrap();
        let blob = writer.blob();
        writer.abandon("the source is gone");
        assert_eq!(
            reader.join().unwrap().unwrap_err().to_string(),
            "the source is gone"
        );
        assert_eq!(blob.end(), None);
    }
}
