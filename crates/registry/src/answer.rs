use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Response, StatusCode};

use crate::Action;
use crate::error::words;
use crate::retry::{is_retryable, is_throttling, retry_after};
use crate::transport::{Request, read_answer};

/// An answer, and what it says about the next request.
pub(crate) struct Answer {
    /// Its body is read already where it is an error's.
    pub(crate) response: Response,
    pub(crate) verdict: Verdict,
    /// For how long the registry wants to be left alone, where it says so.
    pub(crate) retry_after: Option<Duration>,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is what was asked for, or a refusal that stays one.
    Settled,
    /// The registry stumbled: the same may succeed a little later.
    Stumbled,
    /// The registry is asked too much.
    Throttled,
    /// As much was pulled as may be for hours.
    PullLimit,
}

impl Answer {
    /// Reads an answer as far as it takes to know what it means.
    pub(crate) async fn of(request: &Request, response: Response) -> Self {
        let status = response.status();
        let has_words = status.as_u16() >= 400 && request.method != Method::HEAD;
        let (response, body) = match has_words {
            true => with_body(response).await,
            false => (response, Bytes::new()),
        };
        let verdict = verdict(request.action, status, &body);
        let retry_after = (verdict != Verdict::Settled)
            .then(|| retry_after(response.headers()))
            .flatten();
        Self {
            response,
            verdict,
            retry_after,
        }
    }
}

/// Reads an error's body, which is small, and puts it back.
async fn with_body(response: Response) -> (Response, Bytes) {
    let mut head = http::Response::new(());
    *head.status_mut() = response.status();
    *head.headers_mut() = response.headers().clone();
    let body = Bytes::from(read_answer(response).await);
    (Response::from(head.map(|()| body.clone())), body)
}

/// Source: aws.md §1.2 and §3, registry.md §1.2: 429 and 503 without words, and the error code under any other status.
fn verdict(action: Action, status: StatusCode, body: &[u8]) -> Verdict {
    let is_too_much = is_throttling(status) || (status.is_client_error() && says_too_many(body));
    match is_too_much {
        true if action == Action::PullManifest && says_pull_limit(body) => Verdict::PullLimit,
        true => Verdict::Throttled,
        false if is_retryable(status) => Verdict::Stumbled,
        false => Verdict::Settled,
    }
}

/// Tells whether an error's code is the one for too many requests, in whatever letters; some put it before a text.
fn says_too_many(body: &[u8]) -> bool {
    const CODE: &str = "toomanyrequests";
    let words = words(body).to_ascii_lowercase();
    words.split("; ").any(|entry| {
        entry
            .strip_prefix(CODE)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    })
}

/// Docker Hub's words for the limit on pulls, which takes hours; what it says of too many requests passes in seconds.
fn says_pull_limit(body: &[u8]) -> bool {
    words(body).to_ascii_lowercase().contains("pull rate limit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(action: Action, status: u16, body: &str, expected: Verdict) {
        let status = StatusCode::from_u16(status).unwrap();
        let found = verdict(action, status, body.as_bytes());
        assert_eq!(found, expected, "{action:?} {status} {body}");
    }

    #[test]
    fn what_answers_mean() {
        use Verdict::*;
        let get = Action::PullManifest;
        let anonymous = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"}]}"#;
        let ecr = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}"#;
        let named = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no repository toomanyrequests: gone"}]}"#;
        check(get, 429, anonymous, PullLimit);
        check(
            get,
            429,
            "toomanyrequests: You have reached your pull rate limit.",
            PullLimit,
        );
        check(Action::PullBlob, 429, anonymous, Throttled);
        check(get, 429, "Too Many Requests", Throttled);
        check(get, 429, "toomanyrequests: Too Many Requests (HAP429)", Throttled);
        check(get, 429, "", Throttled);
        check(get, 503, "Slow Down", Throttled);
        check(Action::PutManifest, 400, ecr, Throttled);
        check(Action::PutManifest, 403, "toomanyrequests", Throttled);
        check(get, 404, named, Settled);
        check(get, 404, "toomanyrequestsandmore", Settled);
        check(get, 200, ecr, Settled);
        check(get, 500, "", Stumbled);
        check(get, 408, "", Stumbled);
    }
}
