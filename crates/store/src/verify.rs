use std::io::{self, Read};

use onlay_oci::{Descriptor, Digest, Digester};

/// Reads a blob and fails if its size or digest is not what was expected.
///
/// The check is made before the last expected byte is handed out, so it also happens for a caller that reads exactly
/// that many bytes and never asks for the end; bytes too many are noticed by the next read. A failure stays.
pub(crate) struct VerifyingReader<R> {
    reader: R,
    expected: Descriptor,
    digester: Digester,
    size: u64,
}

impl<R: Read> VerifyingReader<R> {
    pub(crate) fn new(reader: R, expected: &Descriptor) -> Self {
        Self {
            reader,
            expected: expected.clone(),
            digester: Digester::new(expected.digest.algorithm()),
            size: 0,
        }
    }

    fn verify(&self) -> io::Result<()> {
        let found = self.digester.clone().finish();
        if self.size == self.expected.size && found == self.expected.digest {
            return Ok(());
        }
        let mismatch = Mismatch {
            expected: self.expected.digest.clone(),
            expected_size: self.expected.size,
            found,
            found_size: self.size,
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, mismatch))
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.reader.read(buffer)?;
        self.digester.update(&buffer[..count]);
        self.size += count as u64;
        if count == 0 || self.size >= self.expected.size {
            self.verify()?;
        }
        Ok(count)
    }
}

/// A blob whose bytes are not those that its descriptor names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} ({expected_size} bytes), found {found} ({found_size} bytes)")]
pub struct Mismatch {
    /// The digest in the descriptor.
    pub expected: Digest,
    /// The size in the descriptor, in bytes.
    pub expected_size: u64,
    /// The digest of the bytes.
    pub found: Digest,
    /// How many bytes there are, or were read before there were too many.
    pub found_size: u64,
}
