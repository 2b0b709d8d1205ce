//! What is done about "not now", "not so fast" and "no more today".

use std::time::Duration;

use onlay_http::Origin;
use reqwest::Response;
use reqwest::header::HeaderMap;
use url::Url;

use crate::answer::{Answer, Verdict};
use crate::retry::{MAX_RETRY_AFTER, MIRROR_MAX_RETRY_AFTER};
use crate::transport::{Fault, Request, Transport, place};
use crate::{Action, Pace, PullLimit, RegistryError};

impl Transport<'_> {
    /// Decides what comes after the `attempt`th attempt: its answer, an error, or, after a pause, another one.
    pub(crate) async fn settle(
        &self,
        request: &Request,
        attempt: u32,
        sent: Result<Answer, Fault>,
    ) -> Result<Option<Response>, RegistryError> {
        let (url, of) = (&request.url, self.attempts());
        let is_last = attempt >= of;
        let answer = match sent {
            Ok(answer) => answer,
            Err(fault) if request.retries && attempt < fault.attempts(url, of) => {
                let of = fault.attempts(url, of);
                self.client.wait_to_retry(url, attempt, of, fault.summary()).await;
                return Ok(None);
            }
            Err(fault) => return Err(fault.into_error(request, attempt)),
        };
        match answer.verdict {
            Verdict::Settled => return Ok(Some(answer.response)),
            Verdict::PullLimit => return Err(self.pull_limit_error(&request.url, answer.retry_after)),
            Verdict::Stumbled | Verdict::Throttled if is_last => return Ok(Some(answer.response)),
            Verdict::Stumbled | Verdict::Throttled => {}
        }
        match answer.retry_after {
            Some(wait) if wait > MAX_RETRY_AFTER => Err(Fault::Closed(wait).into_error(request, attempt)),
            // Nobody waits for a mirror, but it is left alone for as long as it asks.
            Some(_) if self.has_successor => Ok(Some(answer.response)),
            // The next attempt waits at the limiter, and so does everybody else.
            wait if wait.is_some() || answer.verdict == Verdict::Throttled => {
                self.client
                    .tell_retry(url, attempt, of, wait, answered(&answer.response));
                Ok(None)
            }
            _ => {
                let why = answered(&answer.response);
                self.client.wait_to_retry(url, attempt, of, why).await;
                Ok(None)
            }
        }
    }

    /// The rate that is known for a request; where a redirect leads, none is.
    pub(crate) fn pace(&self, request: &Request) -> Option<Pace> {
        let extension = self.client.extension(self.registry)?;
        let is_registrys_own = request.action == Action::FetchToken
            || Origin::of(&self.endpoint().ok()?) == Origin::of(&request.url);
        extension
            .pace(self.registry, request.action)
            .filter(|_| is_registrys_own)
    }

    /// Keeps what a registry tells of its limit on pulls with manifests.
    pub(crate) fn note_pull_limit(&self, request: &Request, headers: &HeaderMap) {
        if !matches!(request.action, Action::HeadManifest | Action::PullManifest) {
            return;
        }
        if let Some(limit) = PullLimit::of(headers) {
            self.client.known_pull_limits().keep(self.registry, limit);
        }
    }

    fn pull_limit_error(&self, url: &Url, wait: Option<Duration>) -> RegistryError {
        let known = self.client.known_pull_limits();
        let limit = known.refuse(self.registry, self.repository, wait);
        RegistryError::PullLimit {
            place: place(url),
            wait: wait.or(limit.window),
            limit: Box::new(limit),
        }
    }

    /// What was refused for a limit on pulls would be refused again.
    pub(crate) fn refuse_beyond_limit(&self, request: &Request) -> Result<(), RegistryError> {
        if request.action != Action::PullManifest {
            return Ok(());
        }
        let known = self.client.known_pull_limits();
        match known.refusal(self.registry, self.repository) {
            None => Ok(()),
            Some((limit, wait)) => Err(RegistryError::PullLimit {
                place: place(&request.url),
                limit: Box::new(limit),
                wait: Some(wait),
            }),
        }
    }

    /// How long a host is waited for that wants to be left alone.
    pub(crate) fn longest_wait(&self) -> Duration {
        if self.has_successor {
            MIRROR_MAX_RETRY_AFTER
        } else {
            MAX_RETRY_AFTER
        }
    }
}

fn answered(response: &Response) -> String {
    format!("answered {}", response.status().as_u16())
}
