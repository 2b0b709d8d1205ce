//! One file, over as many connections as it takes.

use std::time::Duration;

use onlay_oci::Digest;
use reqwest::{Response, StatusCode};
use url::Url;

use crate::ask::{Answer, ask};
use crate::name::file_name;
use crate::origin::is_hopeless;
use crate::partial::Partial;
use crate::place::place;
use crate::retry::{MAX_RETRY_AFTER, is_retryable, pause, retry_after};
use crate::sink::SinkError;
use crate::{Download, FetchError, FetchOptions};

/// An attempt that brings this much more than any before it does not count against the limit: large files over bad
/// lines get there. Less would let a server that sends a few bytes at a time keep us for ever.
const GETTING_AHEAD: u64 = 1024 * 1024;

/// A download under way.
pub(crate) struct Transfer<'a> {
    client: &'a reqwest::Client,
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
        client: &'a reqwest::Client,
        options: &'a FetchOptions,
        url: &'a Url,
        expected: Option<&'a Digest>,
    ) -> Self {
        Self {
            client,
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
            if attempt >= self.options.attempts {
                return Err(fault.into_error(attempt));
            }
            let own = pause(self.options.first_pause, attempt - 1);
            tokio::time::sleep(fault.wait().unwrap_or(own)).await;
        }
    }

    async fn attempt(&mut self) -> Result<Partial, Stop> {
        let partial = self.partial.take();
        let rest = partial.as_ref().and_then(Partial::rest);
        let asked = ask(self.client, self.options, self.url, &rest.unwrap_or_default()).await;
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
            (StatusCode::PARTIAL_CONTENT, None) => Err(refusal(&answer)),
            (status, _) if status.is_success() => {
                let partial = Partial::new(&answer, self.options, self.expected);
                self.receive(partial, answer.response).await
            }
            (_, partial) => {
                self.partial = partial;
                Err(refusal(&answer))
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
        let place = place(&partial.url);
        let limit = self.options.idle_timeout;
        let fault = loop {
            let piece = match tokio::time::timeout(limit, response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) if partial.lacks_nothing() => return Ok(partial),
                Ok(Ok(None)) => break Fault::cut(place, &partial, None),
                Ok(Err(source)) => break Fault::cut(place, &partial, Some(source.without_url())),
                Err(_) => break Fault::Silence { place, limit },
            };
            partial = match partial.add(piece).await {
                Ok(partial) => partial,
                Err(error) => return Err(kept(place, error).into()),
            };
            if partial.is_too_long() {
                return Err(Stop::Fault(Fault::cut(place, &partial, None)));
            }
            self.furthest = self.furthest.max(partial.received);
        };
        self.partial = Some(partial).filter(|partial| partial.rest().is_some());
        Err(Stop::Fault(fault))
    }

    async fn finish(self, partial: Partial) -> Result<Download, FetchError> {
        let place = place(&partial.url);
        let kept = match partial.sink.finish().await {
            Ok(kept) => kept,
            Err(error) => return Err(self::kept(place, error)),
        };
        let size = kept.content.size();
        let found = kept.other.as_ref().unwrap_or(&kept.sha256);
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            return Err(FetchError::Mismatch {
                place,
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
            url: partial.url,
        })
    }
}

/// Why an attempt ended without the file.
pub(crate) enum Stop {
    /// Another attempt may do better.
    Fault(Fault),
    /// None will.
    Error(FetchError),
}

impl From<FetchError> for Stop {
    fn from(error: FetchError) -> Self {
        Self::Error(error)
    }
}

impl Stop {
    /// What a failed connection means.
    pub(crate) fn connection(url: &Url, source: reqwest::Error) -> Self {
        let (place, source) = (place(url), source.without_url());
        if is_hopeless(&source) {
            let attempts = 1;
            return Self::Error(FetchError::Transport {
                place,
                attempts,
                source,
            });
        }
        Self::Fault(Fault::Transport { place, source })
    }
}

/// What another attempt may mend.
pub(crate) enum Fault {
    Status {
        place: String,
        status: StatusCode,
        wait: Option<Duration>,
    },
    Transport {
        place: String,
        source: reqwest::Error,
    },
    Silence {
        place: String,
        limit: Duration,
    },
    Cut {
        place: String,
        received: u64,
        size: Option<u64>,
        source: Option<reqwest::Error>,
    },
    /// What came cannot be continued.
    Restart {
        place: String,
    },
}

impl Fault {
    fn cut(place: String, partial: &Partial, source: Option<reqwest::Error>) -> Self {
        Self::Cut {
            place,
            received: partial.received,
            size: partial.size,
            source,
        }
    }

    /// How long the server wants to be left alone.
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }

    fn into_error(self, attempts: u32) -> FetchError {
        match self {
            Self::Status { place, status, .. } => FetchError::Status {
                place,
                status,
                attempts,
            },
            Self::Transport { place, source } => FetchError::Transport {
                place,
                attempts,
                source,
            },
            Self::Silence { place, limit } => FetchError::Silence {
                place,
                limit,
                attempts,
            },
            Self::Cut {
                place,
                received,
                size,
                source,
            } => FetchError::Interrupted {
                place,
                received,
                size,
                attempts,
                source,
            },
            Self::Restart { place } => FetchError::Changing { place, attempts },
        }
    }
}

/// What an answer means that is not the file.
fn refusal(answer: &Answer) -> Stop {
    let (place, status) = (place(&answer.url), answer.response.status());
    if !is_retryable(status) {
        let attempts = 1;
        return Stop::Error(FetchError::Status {
            place,
            status,
            attempts,
        });
    }
    match retry_after(answer.response.headers()) {
        Some(wait) if wait > MAX_RETRY_AFTER => {
            Stop::Error(FetchError::ComeBackLater { place, status, wait })
        }
        wait => Stop::Fault(Fault::Status { place, status, wait }),
    }
}

/// What it means that bytes could not be kept.
fn kept(place: String, error: SinkError) -> FetchError {
    match error {
        SinkError::Encoding(source) => FetchError::Encoding { place, source },
        SinkError::Space(source) => FetchError::Space { place, source },
    }
}
