//! Why an attempt ended without the file, and whether another may do better.

use std::time::Duration;

use onlay_http::{MAX_RETRY_AFTER, Trouble, retry_after};
use reqwest::{Response, StatusCode};
use url::Url;

use crate::FetchError;
use crate::partial::Partial;
use crate::place::place;
use crate::retry::is_retryable;

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
        if Trouble::of(&source) == Trouble::Final {
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
    pub(crate) fn cut(place: String, partial: &Partial, source: Option<reqwest::Error>) -> Self {
        Self::Cut {
            place,
            received: partial.received,
            size: partial.size,
            source,
        }
    }

    /// How long the server wants to be left alone.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }

    /// How often a download is worth being tried in all that ends this way, of as many attempts as there usually are.
    pub(crate) fn attempts(&self, url: &Url, usual: u32) -> u32 {
        match self {
            Self::Transport { source, .. } => Trouble::of(source).attempts(url, usual),
            _ => usual,
        }
    }

    pub(crate) fn into_error(self, attempts: u32) -> FetchError {
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
pub(crate) fn refusal(url: &Url, response: &Response) -> Stop {
    let (place, status) = (place(url), response.status());
    if !is_retryable(status) {
        let attempts = 1;
        return Stop::Error(FetchError::Status {
            place,
            status,
            attempts,
        });
    }
    match retry_after(response.headers()) {
        Some(wait) if wait > MAX_RETRY_AFTER => {
            Stop::Error(FetchError::ComeBackLater { place, status, wait })
        }
        wait => Stop::Fault(Fault::Status { place, status, wait }),
    }
}
