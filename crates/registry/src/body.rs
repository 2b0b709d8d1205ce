use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt};

/// The bytes of an upload, which can be had again, from the start or from further on: a request that must be repeated
/// needs that, and one that goes on where another was cut.
#[derive(Clone)]
pub struct BlobBody(Arc<Open>);

/// Bytes at hand go out in pieces of this size: whether they move shows only between pieces.
const PIECE_SIZE: usize = 128 * 1024;

type Pieces = BoxStream<'static, io::Result<Bytes>>;
type Open = dyn Fn(u64) -> BoxFuture<'static, io::Result<Pieces>> + Send + Sync;

impl BlobBody {
    /// Bytes at hand.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self::from_offset(move |offset| {
            let first = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let starts = (first..bytes.len()).step_by(PIECE_SIZE);
            let pieces: Vec<_> = starts
                .map(|start| Ok(bytes.slice(start..bytes.len().min(start + PIECE_SIZE))))
                .collect();
            async move { Ok(stream::iter(pieces)) }
        })
    }

    /// Bytes that `open` gives again and again, but only from the start; what is not needed is read and dropped.
    pub fn from_stream<F, S>(open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Self(Arc::new(move |offset| {
            open()
                .map(move |opened| opened.map(|pieces| skip(pieces, offset)))
                .boxed()
        }))
    }

    /// Bytes that `open` gives from any offset on.
    pub fn from_offset<F, S>(open: impl Fn(u64) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Self(Arc::new(move |offset| {
            open(offset).map(|opened| opened.map(StreamExt::boxed)).boxed()
        }))
    }

    /// All bytes from an offset on.
    pub(crate) async fn open(&self, offset: u64) -> io::Result<Pieces> {
        (self.0)(offset).await
    }

    /// As many bytes from an offset on. What comes after them is not waited for.
    pub(crate) async fn open_part(&self, offset: u64, size: u64) -> io::Result<Pieces> {
        let pieces = self.open(offset).await?;
        let part = stream::try_unfold((pieces, size), |(mut pieces, left)| async move {
            let Some(mut piece) = pieces.next().await.filter(|_| left > 0).transpose()? else {
                return Ok(None);
            };
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            let left = left - piece.len() as u64;
            Ok(Some((piece, (pieces, left))))
        });
        Ok(part.boxed())
    }
}

fn skip(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static, bytes: u64) -> Pieces {
    let mut left = bytes;
    let skipped = pieces.map_ok(move |mut piece| {
        let dropped = left.min(piece.len() as u64);
        left -= dropped;
        piece.split_off(dropped as usize)
    });
    skipped.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(pieces: io::Result<Pieces>) -> String {
        let pieces: Vec<Bytes> = pieces.unwrap().try_collect().await.unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[tokio::test]
    async fn every_kind_can_be_opened_further_on() {
        let streamed = || async {
            Ok(stream::iter(
                ["ab", "", "cde", "f"].map(|text| Ok(Bytes::from(text))),
            ))
        };
        let bodies = [
            BlobBody::from_bytes(Bytes::from("abcdef")),
            BlobBody::from_stream(streamed),
            BlobBody::from_offset(|offset| async move {
                Ok(stream::iter([Ok(Bytes::from(&b"abcdef"[offset as usize..]))]))
            }),
        ];
        for body in bodies {
            assert_eq!(text(body.open(0).await).await, "abcdef");
            assert_eq!(text(body.open(3).await).await, "def");
            assert_eq!(text(body.open(6).await).await, "");
            assert_eq!(text(body.open_part(1, 3).await).await, "bcd");
            assert_eq!(text(body.open_part(4, 2).await).await, "ef");
            assert_eq!(text(body.open_part(4, 0).await).await, "");
        }
    }
}
