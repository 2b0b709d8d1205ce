use std::io;
use std::time::Duration;

use onlay_http::ClientError;
use onlay_oci::Digest;
use reqwest::StatusCode;

/// Why a file could not be downloaded.
///
/// URLs are shown without user, password and query, where secrets stand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The text is no URL.
    #[error("`{text}` is not a URL")]
    Url {
        /// The text, without what may be secret.
        text: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// The URL is of a kind that cannot be downloaded.
    #[error("`{place}` cannot be downloaded, expected `http` or `https`, found `{scheme}`")]
    Scheme {
        /// The URL.
        place: String,
        /// Its scheme.
        scheme: String,
    },
    /// The server answers with an error.
    #[error("`{place}`: {status}{}", times(*attempts))]
    Status {
        /// The URL that was asked for.
        place: String,
        /// The status.
        status: StatusCode,
        /// How often it was tried.
        attempts: u32,
    },
    /// The server asks to wait for longer than is sensible.
    #[error("`{place}`: {status}, the server asks to come back in {} seconds", wait.as_secs())]
    ComeBackLater {
        /// The URL that was asked for.
        place: String,
        /// The status.
        status: StatusCode,
        /// How long it asks to wait.
        wait: Duration,
    },
    /// The server could not be reached, or the connection broke before it answered.
    #[error("`{place}`: no answer{}", times(*attempts))]
    Transport {
        /// The URL that was asked for.
        place: String,
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        source: reqwest::Error,
    },
    /// The server sent nothing for too long.
    #[error("`{place}`: nothing came for {limit:?}{}", times(*attempts))]
    Silence {
        /// The URL that was asked for.
        place: String,
        /// How long was waited each time.
        limit: Duration,
        /// How often it was tried.
        attempts: u32,
    },
    /// Less or more came than the server had announced, or the connection broke.
    #[error("`{place}`: the transfer broke off at {received}{} bytes{}", of(*size), times(*attempts))]
    Interrupted {
        /// The URL that was asked for.
        place: String,
        /// How much came the last time, in bytes as sent.
        received: u64,
        /// How much there is, in bytes as sent, where the server says so.
        size: Option<u64>,
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        source: Option<reqwest::Error>,
    },
    /// The beginning and the rest of the file did not fit together.
    #[error("`{place}`: the file changes while it is downloaded{}", times(*attempts))]
    Changing {
        /// The URL that was asked for.
        place: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The URL leads on and on.
    #[error("`{place}`: more than {limit} redirects")]
    Redirects {
        /// The URL that was asked for first.
        place: String,
        /// How many are followed.
        limit: usize,
    },
    /// The server leads to what is no URL.
    #[error("`{place}`: the server redirects to `{target}`, which is not a URL")]
    Location {
        /// The URL that was asked for.
        place: String,
        /// Where it leads, without what may be secret.
        target: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// The server leads to where nobody may be led: out of TLS, to a link-local address or to another kind of URL.
    #[error("`{place}`: the server redirects to `{target}`, which is refused")]
    ForbiddenRedirect {
        /// The URL that was asked for.
        place: String,
        /// Where it leads.
        target: String,
    },
    /// The URL is at an address that is never asked, because credentials are to be had there.
    #[error("`{place}` is at a link-local or metadata address, which is refused")]
    Forbidden {
        /// The URL.
        place: String,
    },
    /// What came is not what was expected.
    #[error("`{place}`: expected {expected}, found {found} ({size} bytes)")]
    Mismatch {
        /// The URL that it came from.
        place: String,
        /// The digest that was expected.
        expected: Digest,
        /// The digest of what came, by the same algorithm.
        found: Digest,
        /// How much came, in bytes as kept.
        size: u64,
    },
    /// What came is marked as compressed, but is not, or not completely.
    #[error("`{place}`: the content is not what `Content-Encoding: gzip` says it is")]
    Encoding {
        /// The URL that it came from.
        place: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// What came could not be kept.
    #[error("`{place}`: the content could not be written to the temporary directory")]
    Space {
        /// The URL that it came from.
        place: String,
        /// What happened.
        source: io::Error,
    },
    /// Connections cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl FetchError {
    /// Tells whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        let gone = [StatusCode::NOT_FOUND, StatusCode::GONE];
        matches!(self, Self::Status { status, .. } if gone.contains(status))
    }
}

fn times(attempts: u32) -> String {
    match attempts {
        1 => String::new(),
        _ => format!(", {attempts} times"),
    }
}

fn of(size: Option<u64>) -> String {
    size.map(|size| format!(" of {size}")).unwrap_or_default()
}
