use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use onlay_oci::{Algorithm, Digest, Digester};
use onlay_store::{Blob, Spool};

/// Where the bytes of a transfer go, as they come over the network.
pub(crate) enum Sink {
    Plain(Keeper),
    /// The content is a compressed form of the file.
    Gzip(Box<MultiGzDecoder<Keeper>>),
}

/// What became of the bytes.
pub(crate) struct Kept {
    pub(crate) content: Blob,
    pub(crate) sha256: Digest,
    /// The digest by another algorithm, where one was asked for.
    pub(crate) other: Option<Digest>,
}

/// Why bytes could not be kept.
#[derive(Debug)]
pub(crate) enum SinkError {
    /// They are not what they are said to be.
    Encoding(io::Error),
    /// There is no place for them.
    Space(io::Error),
}

impl Sink {
    pub(crate) fn new(keeper: Keeper, is_gzip: bool) -> Self {
        match is_gzip {
            true => Self::Gzip(Box::new(MultiGzDecoder::new(keeper))),
            false => Self::Plain(keeper),
        }
    }

    /// Takes the next bytes, on a thread that may block.
    pub(crate) async fn write(mut self, piece: Bytes) -> Result<Self, SinkError> {
        blocking(move || match &mut self {
            Self::Plain(keeper) => keeper.write_all(&piece).map(|()| self),
            Self::Gzip(decoder) => decoder.write_all(&piece).map(|()| self),
        })
        .await
    }

    /// Ends the file. A compressed form that is not complete is an error.
    pub(crate) async fn finish(self) -> Result<Kept, SinkError> {
        blocking(move || match self {
            Self::Plain(keeper) => Ok(keeper.finish()),
            Self::Gzip(decoder) => decoder.finish().map(Keeper::finish),
        })
        .await
    }
}

/// Keeps bytes and computes their digests.
pub(crate) struct Keeper {
    spool: Spool,
    sha256: Digester,
    other: Option<Digester>,
}

impl Keeper {
    /// `expected` names the algorithm that is needed beside sha256, if it needs another.
    pub(crate) fn new(spool: Spool, expected: Option<&Digest>) -> Self {
        let other = expected
            .map(Digest::algorithm)
            .filter(|algorithm| *algorithm != Algorithm::Sha256);
        Self {
            spool,
            sha256: Digester::new(Algorithm::Sha256),
            other: other.map(Digester::new),
        }
    }

    fn finish(self) -> Kept {
        Kept {
            content: self.spool.finish(),
            sha256: self.sha256.finish(),
            other: self.other.map(Digester::finish),
        }
    }
}

impl Write for Keeper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.spool.write(bytes)?;
        self.sha256.update(&bytes[..count]);
        if let Some(other) = &mut self.other {
            other.update(&bytes[..count]);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SinkError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(SinkError::from),
        Err(ended) => Err(SinkError::Space(io::Error::other(ended))),
    }
}

impl From<io::Error> for SinkError {
    /// The decoder says what is wrong with its input by these kinds, which files never fail with.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::WriteZero => Self::Encoding(error),
            _ => Self::Space(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn keep(pieces: &[&[u8]], is_gzip: bool) -> Result<Vec<u8>, SinkError> {
        let mut sink = Sink::new(Keeper::new(Spool::new(None), None), is_gzip);
        for piece in pieces {
            sink = sink.write(Bytes::copy_from_slice(piece)).await?;
        }
        let kept = sink.finish().await?;
        let mut bytes = Vec::new();
        kept.content.reader().read_to_end(&mut bytes).unwrap();
        assert_eq!(kept.sha256, Digest::of(&bytes));
        Ok(bytes)
    }

    #[tokio::test]
    async fn compressed_content_is_kept_uncompressed() {
        let (one, two) = (gzip(b"one"), gzip(b"two"));
        assert_eq!(
            keep(&[&one[..5], &one[5..], &two], true).await.unwrap(),
            b"onetwo"
        );
        assert_eq!(keep(&[&one], false).await.unwrap(), one);
    }

    #[tokio::test]
    async fn what_is_not_gzip_or_not_all_of_it_is_an_error() {
        let one = gzip(b"one");
        let followed = [one.as_slice(), b"garbage, not a member"].concat();
        let cases: &[&[u8]] = &[b"no gzip at all", &one[..one.len() - 3], &one[..4], &followed];
        for bytes in cases {
            let kept = keep(&[bytes], true).await;
            assert!(matches!(kept, Err(SinkError::Encoding(_))), "{kept:?}");
        }
    }

    #[tokio::test]
    async fn a_digest_of_another_kind_is_computed_beside() {
        let expected = "sha512:".to_owned() + &"0".repeat(128);
        let expected: Digest = expected.parse().unwrap();
        let sink = Sink::new(Keeper::new(Spool::new(None), Some(&expected)), false);
        let kept = sink
            .write(Bytes::from("abc"))
            .await
            .unwrap()
            .finish()
            .await
            .unwrap();
        assert!(kept.other.unwrap().matches(b"abc"));
    }
}
