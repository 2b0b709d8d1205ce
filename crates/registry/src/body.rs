use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, Stream, StreamExt};

/// The bytes of an upload, which can be had again from the start: a request that must be repeated needs that.
#[derive(Clone)]
pub struct BlobBody(Arc<Open>);

/// Bytes at hand go out in pieces of this size: whether they move shows only between pieces.
const PIECE_SIZE: usize = 128 * 1024;

type Pieces = BoxStream<'static, io::Result<Bytes>>;
type Open = dyn Fn() -> BoxFuture<'static, io::Result<Pieces>> + Send + Sync;

impl BlobBody {
    /// Bytes at hand.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self::from_stream(move || {
            let starts = (0..bytes.len()).step_by(PIECE_SIZE);
            let pieces: Vec<_> = starts
                .map(|start| Ok(bytes.slice(start..bytes.len().min(start + PIECE_SIZE))))
                .collect();
            async move { Ok(stream::iter(pieces)) }
        })
    }

    /// Bytes that `open` gives, again and again from the start.
    pub fn from_stream<F, S>(open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Self(Arc::new(move || {
            open().map(|opened| opened.map(StreamExt::boxed)).boxed()
        }))
    }

    pub(crate) async fn open(&self) -> io::Result<Pieces> {
        (self.0)().await
    }
}
