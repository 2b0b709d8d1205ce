//! A request body on its way to a registry, and the watch over it.
//!
//! A large blob may take hours, so no limit on the whole request is right. What is limited is standing still: the time
//! since the registry took its last piece, and, when it has them all, the time it takes to answer. Waiting for the
//! *source* does not count here: where the source is another registry it has a watch of its own, and resumes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use tokio::time::Instant;

/// The pieces of a body, held to a size.
///
/// The last piece is kept back until the source has ended. A source that verifies what it gives says so only at its
/// end, and a body whose last byte is out can no longer be withdrawn.
pub(crate) struct Outgoing {
    pieces: BoxStream<'static, io::Result<Bytes>>,
    held: Option<Bytes>,
    /// Bytes that came from the source.
    read: u64,
    /// What it must have, if that is known.
    size: Option<u64>,
    ended: bool,
    watch: Watch,
}

/// What the sender of a body knows about it while it is sent.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Mutex<State>>);

struct State {
    phase: Phase,
    failure: Option<io::Error>,
}

/// Who is waited for.
#[derive(Clone, Copy)]
enum Phase {
    Source,
    /// The registry, to take a piece that it was given then.
    Piece(Instant),
    /// The registry, to answer; it has had everything since then.
    Answer(Instant),
}

impl Outgoing {
    pub(crate) fn new(pieces: BoxStream<'static, io::Result<Bytes>>, size: Option<u64>) -> (Self, Watch) {
        let watch = Watch(Arc::new(Mutex::new(State {
            phase: Phase::Piece(Instant::now()),
            failure: None,
        })));
        let outgoing = Self {
            pieces,
            held: None,
            read: 0,
            size,
            ended: false,
            watch: watch.clone(),
        };
        (outgoing, watch)
    }

    /// Takes a piece, and gives the one that was held back before it.
    fn exchange(&mut self, piece: Bytes) -> io::Result<Option<Bytes>> {
        self.read += piece.len() as u64;
        if self.size.is_some_and(|size| self.read > size) {
            return Err(self.wrong_size("more than"));
        }
        if piece.is_empty() {
            return Ok(None);
        }
        Ok(self.held.replace(piece))
    }

    /// Gives the last piece, now that there is no other.
    fn finish(&mut self) -> io::Result<Option<Bytes>> {
        if self.size.is_some_and(|size| self.read < size) {
            return Err(self.wrong_size("only"));
        }
        Ok(self.held.take())
    }

    fn wrong_size(&self, relation: &str) -> io::Error {
        let size = self.size.unwrap_or_default();
        let found = self.read.min(size);
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("expected {size} bytes, found {relation} {found}"),
        )
    }

    fn fail(&mut self, failure: io::Error) -> Poll<Option<io::Result<Bytes>>> {
        self.ended = true;
        self.watch.lock().failure = Some(failure);
        // Only breaks the request off; the failure itself is fetched from the watch.
        Poll::Ready(Some(Err(io::ErrorKind::Other.into())))
    }
}

impl Stream for Outgoing {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            let piece = match self.pieces.poll_next_unpin(context) {
                Poll::Pending => {
                    self.watch.lock().phase = Phase::Source;
                    return Poll::Pending;
                }
                Poll::Ready(piece) => piece,
            };
            self.ended = piece.is_none();
            let next = match piece {
                Some(Ok(piece)) => self.exchange(piece),
                Some(Err(failure)) => Err(failure),
                None => self.finish(),
            };
            self.watch.lock().phase = match self.ended {
                true => Phase::Answer(Instant::now()),
                false => Phase::Piece(Instant::now()),
            };
            match next {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) => {}
                Err(failure) => return self.fail(failure),
            }
        }
        Poll::Ready(None)
    }
}

impl Watch {
    /// Ends when the registry has stood still for too long, and tells for how long: `idle` with a piece, `patience` with
    /// the answer.
    pub(crate) async fn stalled(&self, idle: Duration, patience: Duration) -> Duration {
        loop {
            let now = Instant::now();
            let (since, limit) = match self.lock().phase {
                Phase::Source => (now, idle),
                Phase::Piece(since) => (since, idle),
                Phase::Answer(since) => (since, patience),
            };
            if since + limit <= now {
                return limit;
            }
            tokio::time::sleep_until(since + limit).await;
        }
    }

    /// Why the source broke off, if it did.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.lock().failure.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use futures_util::stream;

    use super::*;

    async fn send(pieces: Vec<io::Result<Bytes>>, size: u64) -> Result<Vec<u8>, String> {
        let (outgoing, watch) = Outgoing::new(stream::iter(pieces).boxed(), Some(size));
        let sent: Result<Vec<Bytes>, _> = outgoing.try_collect().await;
        let failure = watch.take_failure().map(|failure| failure.to_string());
        sent.map(|pieces| pieces.concat())
            .map_err(|_| failure.unwrap_or_default())
    }

    #[tokio::test]
    async fn a_body_has_the_size_it_was_promised() {
        let pieces = || vec![Ok(Bytes::from("ab")), Ok(Bytes::new()), Ok(Bytes::from("c"))];
        assert_eq!(send(pieces(), 3).await, Ok(b"abc".to_vec()));
        assert_eq!(send(Vec::new(), 0).await, Ok(Vec::new()));
        let short = send(pieces(), 4).await;
        assert_eq!(short, Err("expected 4 bytes, found only 3".to_owned()));
        let long = send(pieces(), 2).await;
        assert_eq!(long, Err("expected 2 bytes, found more than 2".to_owned()));
    }

    #[tokio::test]
    async fn the_last_piece_waits_for_the_end_of_the_source() {
        let pieces = vec![
            Ok(Bytes::from("ab")),
            Ok(Bytes::from("c")),
            Err(io::Error::other("wrong digest")),
        ];
        let (mut outgoing, watch) = Outgoing::new(stream::iter(pieces).boxed(), Some(3));
        assert_eq!(outgoing.next().await.unwrap().unwrap(), "ab");
        assert!(outgoing.next().await.unwrap().is_err());
        assert!(outgoing.next().await.is_none());
        assert_eq!(watch.take_failure().unwrap().to_string(), "wrong digest");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_is_not_a_slow_registry() {
        let (idle, patience) = (Duration::from_secs(30), Duration::from_secs(900));
        let stalls = |outgoing: Outgoing, watch: Watch, pieces: usize| async move {
            let mut outgoing = outgoing;
            for _ in 0..pieces {
                outgoing.next().await.unwrap().unwrap();
            }
            let start = Instant::now();
            let waiting = async {
                // The registry asks for more, or does not.
                if pieces == 0 {
                    outgoing.next().await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                _ = watch.stalled(idle, patience) => Some(start.elapsed().as_secs()),
                () = waiting => None,
                () = tokio::time::sleep(Duration::from_secs(3600)) => None,
            }
        };
        let (outgoing, watch) = Outgoing::new(stream::pending().boxed(), Some(3));
        assert_eq!(stalls(outgoing, watch, 0).await, None);
        let two = [Ok(Bytes::from("ab")), Ok(Bytes::from("c"))];
        let (outgoing, watch) = Outgoing::new(stream::iter(two).boxed(), Some(3));
        assert_eq!(stalls(outgoing, watch, 1).await, Some(30));
        let one = [Ok(Bytes::from("abc"))];
        let (outgoing, watch) = Outgoing::new(stream::iter(one).boxed(), Some(3));
        assert_eq!(stalls(outgoing, watch, 1).await, Some(900));
    }
}
