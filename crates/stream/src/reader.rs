use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::PIECES;

/// A blocking reader of an async stream; see [`reader`].
pub struct BlockingReader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
    /// Drives the stream.
    worker: tokio::task::JoinHandle<()>,
}

/// What goes through the channel. The end is said, so that a task that was cut off is not taken for it.
enum Piece {
    Data(Bytes),
    Failed(io::Error),
    End,
}

/// Reads a stream from a thread that may block, such as one of `tokio::task::spawn_blocking`.
///
/// The stream is driven by a task of its own, which ends when the stream does or when the reader is dropped. After an
/// error the reader gives no more bytes.
///
/// # Panics
/// Outside of a tokio runtime; and when read on a thread that drives async tasks.
pub fn reader<S>(stream: S) -> BlockingReader
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    let (sender, pieces) = mpsc::channel(PIECES);
    let worker = tokio::spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(piece) = stream.next().await {
            let (piece, last) = match piece {
                Ok(data) => (Piece::Data(data), false),
                Err(error) => (Piece::Failed(error), true),
            };
            if sender.send(piece).await.is_err() || last {
                return;
            }
        }
        // A reader that is gone does not need to know.
        let _ = sender.send(Piece::End).await;
    });
    BlockingReader {
        pieces,
        current: Bytes::new(),
        ended: false,
        worker,
    }
}

/// A stream that waits for its next piece would otherwise hold its connection for as long as it waits.
impl Drop for BlockingReader {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended && !buffer.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(data)) => self.current = data,
                Some(Piece::End) => self.ended = true,
                Some(Piece::Failed(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                None => {
                    self.ended = true;
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the transfer was cut off",
                    ));
                }
            }
        }
        let count = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    async fn read_all(pieces: Vec<io::Result<Bytes>>) -> io::Result<Vec<u8>> {
        let mut reader = reader(stream::iter(pieces));
        let read = move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes)
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    #[tokio::test]
    async fn pieces_are_joined_and_empty_ones_are_not_the_end() {
        let pieces = vec![Ok(Bytes::from("ab")), Ok(Bytes::new()), Ok(Bytes::from("c"))];
        assert_eq!(read_all(pieces).await.unwrap(), b"abc");
    }

    #[tokio::test]
    async fn an_error_of_the_stream_is_the_readers() {
        let pieces = vec![Ok(Bytes::from("ab")), Err(io::Error::other("broken"))];
        assert_eq!(read_all(pieces).await.unwrap_err().to_string(), "broken");
    }

    #[tokio::test]
    async fn a_dropped_reader_ends_the_stream() {
        let (sender, dropped) = tokio::sync::oneshot::channel::<()>();
        let endless = stream::unfold(
            sender,
            |sender| async move { Some((Ok(Bytes::from("x")), sender)) },
        );
        drop(reader(endless));
        assert!(dropped.await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_reader_ends_a_stream_that_waits() {
        let (sender, dropped) = tokio::sync::oneshot::channel::<()>();
        let waiting = stream::once(async move {
            std::future::pending::<()>().await;
            drop(sender);
            Ok(Bytes::new())
        });
        let reader = reader(waiting);
        tokio::task::yield_now().await;
        drop(reader);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(5), dropped).await;
        assert!(ended.is_ok(), "the stream is still held");
    }
}
