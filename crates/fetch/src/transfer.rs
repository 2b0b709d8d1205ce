//! One file, over as many connections as it takes.

use onlay_http::{Connections, pause};
use onlay_oci::Digest;
use reqwest::{Response, StatusCode};
use url::Url;

use crate::ask::{Answer, ask};
use crate::fault::{Fault, Stop, refusal};
use crate::name::file_name;
use crate::partial::Partial;
use crate::place::place;
use crate::sink::SinkError;
use crate::{Download, FetchError, FetchOptions};

/// An attempt that brings this much more than any before it does not count against the limit: large files over bad
/// lines get there. Less would let a server that sends a few bytes at a time keep us for ever.
const GETTING_AHEAD: u64 = 1024 * 1024;

/// A download under way.
pub(crate) struct Transfer<'a> {
    connections: &'a Connections,
    options: &'a FetchOptions,
    url: &'a Url,
    expected: Option<&'a Digest>,
    /// What came before the last attempt failed, if the rest can be asked for.
    partial: Option<Partial>,
    /// The most that ever came, in bytes.
    furthest: u64,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(
        connections: &'a Connections,
        options: &'a FetchOptions,
        url: &'a Url,
        expected: Option<&'a Digest>,
    ) -> Self {
        Self {
            connections,
            options,
            url,
            expected,
            partial: None,
            furthest: 0,
        }
    }

    /// Downloads the file, in as many attempts as are worth it.
    pub(crate) async fn run(mut self) -> Result<Download, FetchError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let before = self.furthest;
            let fault = match self.attempt().await {
                Ok(partial) => return self.finish(partial).await,
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Fault(fault)) => fault,
            };
            if self.furthest - before >= GETTING_AHEAD {
                attempt = 1;
            }
            if attempt >= fault.attempts(self.url, self.options.attempts) {
                return Err(fault.into_error(attempt));
            }
            let own = pause(self.options.first_pause, attempt - 1);
            tokio::time::sleep(fault.wait().unwrap_or(own)).await;
        }
    }

    async fn attempt(&mut self) -> Result<Partial, Stop> {
        let partial = self.partial.take();
        let rest = partial.as_ref().and_then(Partial::rest);
        let asked = ask(
            self.connections,
            self.options,
            self.url,
            &rest.unwrap_or_default(),
        )
        .await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(stop) => {
                // No answer says nothing about what there is already.
                self.partial = partial;
                return Err(stop);
            }
        };
        match (answer.response.status(), partial) {
            (StatusCode::PARTIAL_CONTENT, Some(partial)) => self.resume(partial, answer).await,
            // The file has changed, or the server cannot continue it: another attempt asks for all of it.
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => Err(Stop::Fault(Fault::Restart {
                place: place(&answer.url),
            })),
            (StatusCode::PARTIAL_CONTENT, None) => Err(refusal(&answer.url, &answer.response)),
            (status, _) if status.is_success() => {
                let partial = Partial::new(&answer, self.options, self.expected);
                self.receive(partial, answer.response).await
            }
            (_, partial) => {
                self.partial = partial;
                Err(refusal(&answer.url, &answer.response))
            }
        }
    }

    async fn resume(&mut self, mut partial: Partial, answer: Answer) -> Result<Partial, Stop> {
        let headers = answer.response.headers();
        if !partial.continues(headers) {
            let place = place(&answer.url);
            return Err(Stop::Fault(Fault::Restart { place }));
        }
        partial.learn_size(headers);
        self.receive(partial, answer.response).await
    }

    /// Reads an answer to its end. What came of one that is cut is kept for the next attempt.
    async fn receive(&mut self, mut partial: Partial, mut response: Response) -> Result<Partial, Stop> {
        let url = partial.url.clone();
        let place = place(&url);
        let limit = self.options.idle_timeout;
        let fault = loop {
            let piece = match tokio::time::timeout(limit, response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) if partial.lacks_nothing() => return Ok(partial),
                Ok(Ok(None)) => break Fault::cut(place, &partial, None),
                Ok(Err(source)) => break Fault::cut(place, &partial, Some(source.without_url())),
                Err(_) => break Fault::Silence { place, limit },
            };
            let added = partial.add(piece).await;
            partial = added.map_err(|error| not_kept(&url, error))?;
            if partial.is_too_long() {
                return Err(Stop::Fault(Fault::cut(place, &partial, None)));
            }
            self.furthest = self.furthest.max(partial.received);
        };
        self.partial = Some(partial).filter(|partial| partial.rest().is_some());
        Err(Stop::Fault(fault))
    }

    async fn finish(self, partial: Partial) -> Result<Download, FetchError> {
        let url = partial.url;
        let finished = partial.sink.finish().await;
        let kept = finished.map_err(|error| not_kept(&url, error))?;
        let size = kept.content.size();
        let found = kept.other.as_ref().unwrap_or(&kept.sha256);
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            return Err(FetchError::Mismatch {
                place: place(&url),
                expected: expected.clone(),
                found: found.clone(),
                size,
            });
        }
        Ok(Download {
            content: kept.content,
            digest: kept.sha256,
            size,
            file_name: file_name(self.url),
            last_modified: partial.last_modified,
            url,
        })
    }
}

/// What it means that bytes could not be kept.
fn not_kept(url: &Url, error: SinkError) -> FetchError {
    let place = place(url);
    match error {
        SinkError::Encoding(source) => FetchError::Encoding { place, source },
        SinkError::Space(source) => FetchError::Space { place, source },
    }
}
