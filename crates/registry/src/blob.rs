use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use onlay_oci::{Descriptor, Digester};
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use crate::repository::{Access, content_length};
use crate::retry::ATTEMPTS;
use crate::transport::{expect, place};
use crate::{Action, RegistryError, RepositoryClient};

/// The bytes of a blob, verified while they stream.
pub struct BlobStream(BoxStream<'static, Result<Bytes, RegistryError>>);

impl BlobStream {
    pub(crate) async fn open(
        repository: RepositoryClient,
        descriptor: Descriptor,
    ) -> Result<Self, RegistryError> {
        let mut readers = repository.readers(false).into_iter();
        let repository = readers.next().unwrap_or(repository);
        let mut transfer = Transfer {
            digester: Some(Digester::new(descriptor.digest.algorithm())),
            place: place(&repository.url(&format!("blobs/{}", descriptor.digest))?),
            repository,
            others: readers,
            descriptor,
            received: 0,
            skip: 0,
            attempts: 1,
            pieces: None,
        };
        transfer.start().await?;
        let pieces = stream::unfold(Some(transfer), |transfer| async move {
            let mut transfer = transfer?;
            match transfer.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(transfer))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Self(pieces.boxed()))
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, RegistryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

/// A download, over as many connections as it takes.
struct Transfer {
    repository: RepositoryClient,
    /// What is asked when that one fails; the bytes are the same wherever they come from.
    others: std::vec::IntoIter<RepositoryClient>,
    descriptor: Descriptor,
    place: String,
    /// Taken when the end was verified.
    digester: Option<Digester>,
    /// How many bytes were passed on.
    received: u64,
    /// How many bytes of the current answer were passed on before: a registry without ranges starts over.
    skip: u64,
    /// Connections in a row that gave nothing.
    attempts: u32,
    pieces: Option<BoxStream<'static, reqwest::Result<Bytes>>>,
}

impl Transfer {
    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            match self.piece().await {
                Some(piece) => {
                    if let Some(piece) = self.accept(piece)? {
                        return Ok(Some(piece));
                    }
                }
                None if self.received == self.descriptor.size => {
                    self.verify()?;
                    return Ok(None);
                }
                None => self.resume().await?,
            }
        }
    }

    /// The next piece of the current connection; none if it ended, broke or stands still.
    async fn piece(&mut self) -> Option<Bytes> {
        let idle = self.repository.client().options().idle_timeout;
        let pieces = self.pieces.as_mut()?;
        match tokio::time::timeout(idle, pieces.next()).await {
            Ok(Some(Ok(piece))) => Some(piece),
            Ok(Some(Err(_)) | None) | Err(_) => {
                self.pieces = None;
                None
            }
        }
    }

    fn accept(&mut self, mut piece: Bytes) -> Result<Option<Bytes>, RegistryError> {
        self.repository.client().counters().add_received(piece.len());
        let known = self.skip.min(piece.len() as u64);
        self.skip -= known;
        let piece = piece.split_off(known as usize);
        if piece.is_empty() {
            return Ok(None);
        }
        self.received += piece.len() as u64;
        if let Some(digester) = &mut self.digester {
            digester.update(&piece);
        }
        if self.received > self.descriptor.size {
            self.verify()?;
        }
        self.attempts = 0;
        Ok(Some(piece))
    }

    async fn resume(&mut self) -> Result<(), RegistryError> {
        self.attempts += 1;
        if self.attempts >= ATTEMPTS {
            let interrupted = RegistryError::Interrupted {
                place: self.place.clone(),
                received: self.received,
                expected: self.descriptor.size,
                attempts: self.attempts,
            };
            self.move_on(interrupted)?;
        }
        let why = format!(
            "the transfer stops at {} of {} bytes",
            self.received, self.descriptor.size
        );
        let url = self
            .repository
            .url(&format!("blobs/{}", self.descriptor.digest))?;
        let client = self.repository.client();
        client.wait_to_retry(&url, self.attempts, ATTEMPTS, why).await;
        self.start().await
    }

    /// Asks for what is missing, at the next place if this one fails.
    async fn start(&mut self) -> Result<(), RegistryError> {
        let mut times = 0;
        while let Err(error) = self.request().await {
            let url = self
                .repository
                .url(&format!("blobs/{}", self.descriptor.digest))?;
            if self.repository.has_waited_for_import(&url, times, &error).await {
                times += 1;
            } else {
                self.move_on(error)?;
                times = 0;
            }
        }
        Ok(())
    }

    /// Turns to the next place after an error, if it is one that another place need not have.
    fn move_on(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        if !self.repository.leaves_to_next(&error) {
            return Err(error);
        }
        let Some(next) = self.others.next() else {
            return Err(error);
        };
        self.place = place(&next.url(&format!("blobs/{}", self.descriptor.digest))?);
        self.repository = next;
        self.attempts = 0;
        Ok(())
    }

    async fn request(&mut self) -> Result<(), RegistryError> {
        let path = format!("blobs/{}", self.descriptor.digest);
        let mut request = self
            .repository
            .request(Action::PullBlob, Method::GET, &path, Access::Pull)?;
        if self.received > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.received));
            request.headers.extend(range.ok().map(|range| (RANGE, range)));
        }
        let (method, url) = (request.method.clone(), request.url.clone());
        let response = self.repository.transport().send(request).await?;
        let response = expect(
            (&method, &url),
            response,
            &[StatusCode::OK, StatusCode::PARTIAL_CONTENT],
        )
        .await?;
        let start = match response.status() {
            StatusCode::PARTIAL_CONTENT => self.part_start(&response)?,
            _ => 0,
        };
        self.check_length(&response, start)?;
        self.skip = self.received - start;
        self.pieces = Some(response.bytes_stream().boxed());
        Ok(())
    }

    /// Where in the blob a part begins, which must not be behind what is missing; what is known is passed over.
    fn part_start(&self, response: &Response) -> Result<u64, RegistryError> {
        let header = response.headers().get(CONTENT_RANGE);
        let text = header.and_then(|value| value.to_str().ok()?.strip_prefix("bytes "));
        let start = text.and_then(|range| range.split_once('-')?.0.trim().parse().ok());
        start
            .filter(|start| *start <= self.received)
            .ok_or_else(|| RegistryError::Answer {
                method: Method::GET,
                place: self.place.clone(),
                what: "Content-Range",
            })
    }

    fn check_length(&self, response: &Response, start: u64) -> Result<(), RegistryError> {
        let expected = self.descriptor.size - start;
        match content_length(response) {
            Some(announced) if announced != expected => Err(RegistryError::Length {
                place: self.place.clone(),
                expected,
                announced,
            }),
            _ => Ok(()),
        }
    }

    fn verify(&mut self) -> Result<(), RegistryError> {
        let Some(digester) = self.digester.take() else {
            return Ok(());
        };
        let found = digester.finish();
        if found == self.descriptor.digest && self.received == self.descriptor.size {
            return Ok(());
        }
        Err(RegistryError::Mismatch {
            place: self.place.clone(),
            expected: self.descriptor.digest.clone(),
            expected_size: self.descriptor.size,
            found,
            found_size: self.received,
        })
    }
}
