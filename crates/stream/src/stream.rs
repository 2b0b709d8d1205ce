use std::io::{self, Read};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

use crate::PIECES;

/// How much is read at a time, in bytes.
const PIECE_SIZE: usize = 128 * 1024;

/// Streams what a blocking reader gives; `open` and the reads run on a thread that may block.
///
/// The thread ends when the reader does, or soon after the stream is dropped. An error of either is the stream's last
/// item.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn stream<R: Read>(
    open: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, pieces) = mpsc::channel(PIECES);
    let worker = tokio::task::spawn_blocking(move || {
        let mut reader = match open() {
            Ok(reader) => reader,
            Err(error) => return drop(sender.blocking_send(Err(error))),
        };
        loop {
            let mut piece = Vec::with_capacity(PIECE_SIZE);
            let read = (&mut reader).take(PIECE_SIZE as u64).read_to_end(&mut piece);
            let item = match read {
                Ok(0) => return,
                Ok(_) => Ok(Bytes::from(piece)),
                Err(error) => Err(error),
            };
            let failed = item.is_err();
            if sender.blocking_send(item).is_err() || failed {
                return;
            }
        }
    });
    futures_util::stream::unfold(Some((pieces, worker)), |state| async move {
        let (mut pieces, worker) = state?;
        match pieces.recv().await {
            Some(Ok(piece)) => Some((Ok(piece), Some((pieces, worker)))),
            Some(Err(error)) => Some((Err(error), None)),
            // The channel closed: that is the end, unless the worker did not get there.
            None => worker
                .await
                .err()
                .map(|failure| (Err(io::Error::other(failure)), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn a_reader_comes_through_whole() {
        let bytes: Vec<u8> = (0..1_000_000).map(|index| index as u8).collect();
        let expected = bytes.clone();
        let pieces: Vec<Bytes> = stream(move || Ok(io::Cursor::new(bytes)))
            .try_collect()
            .await
            .unwrap();
        assert!(pieces.concat() == expected);
    }

    #[tokio::test]
    async fn a_reader_that_cannot_be_opened_fails_the_stream() {
        let opened = stream(|| Err::<io::Empty, _>(io::Error::other("missing")));
        let failed: Result<Vec<Bytes>, _> = opened.try_collect().await;
        assert_eq!(failed.unwrap_err().to_string(), "missing");
    }
}
