use std::io::{self, Read};

use onlay_oci::{Descriptor, Digest, Digester};

/// Reads a blob and fails at its end if its size or digest is not what was expected.
pub(crate) struct VerifyingReader<R> {
    reader: R,
    expected: Descriptor,
    digester: Option<Digester>,
    size: u64,
}

impl<R: Read> VerifyingReader<R> {
    pub(crate) fn new(reader: R, expected: &Descriptor) -> Self {
        let digester = Some(Digester::new(expected.digest.algorithm()));
        Self {
            reader,
            expected: expected.clone(),
            digester,
            size: 0,
        }
    }

    fn verify(&mut self) -> io::Result<()> {
        let Some(digester) = self.digester.take() else {
            return Ok(());
        };
        let found = digester.finish();
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
        let count = self.reader.read(buffer)?;
        if let Some(digester) = &mut self.digester {
            digester.update(&buffer[..count]);
        }
        self.size += count as u64;
        if count == 0 && !buffer.is_empty() || self.size > self.expected.size {
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
