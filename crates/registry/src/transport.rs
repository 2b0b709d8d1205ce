//! The one place that every request goes through.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use onlay_http::{Origin, Reach, Trouble, is_forbidden};
use onlay_oci::{Registry, Repository};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use tokio::time::Instant;
use url::Url;

use crate::answer::{Answer, Verdict};
use crate::authorization::{Refusal, Renewal};
use crate::error::redacted_words;
use crate::identity::Authorization;
use crate::outgoing::{Outgoing, Watch};
use crate::retry::{ATTEMPTS, MIRROR_ATTEMPTS};
use crate::{Action, BlobBody, Client, RegistryError};

/// A request that can be repeated.
#[derive(Clone)]
pub(crate) struct Request {
    /// What is done, as registries limit it.
    pub(crate) action: Action,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// What a token must be good for, as `repository:NAME:ACTIONS`, several apart by spaces.
    pub(crate) scope: String,
    /// How long the answer's headers may take.
    pub(crate) patience: Duration,
    /// Which addresses it may go to.
    pub(crate) reach: Reach,
    /// Whether a broken connection is worth another try from here; uploads decide that themselves.
    pub(crate) retries: bool,
}

#[derive(Clone)]
pub(crate) enum Body {
    Empty,
    Bytes(Bytes),
    Stream {
        body: BlobBody,
        /// Where in the blob the request begins, in bytes.
        offset: u64,
        /// How many bytes it has; unknown while they are made.
        size: Option<u64>,
        /// Whether the blob ends with it.
        is_last: bool,
    },
}

/// How long the rest of an error's or token's answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long headers may take where the registry has to digest what was sent; registries take minutes for large blobs.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How often one request gets other credentials: those that another request has got, new ones for all, and its own.
const MAX_RENEWALS: u32 = 3;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;

/// The largest answer of an error or a token endpoint that is read, in bytes.
const MAX_ANSWER_SIZE: usize = 256 * 1024;

/// Speaks to one registry about one repository.
pub(crate) struct Transport<'a> {
    pub(crate) client: &'a Client,
    pub(crate) registry: &'a Registry,
    /// None where the registry as a whole is spoken to.
    pub(crate) repository: Option<&'a Repository>,
    /// The root of the API, where it is not where the registry's name says.
    pub(crate) api: Option<&'a Url>,
    /// Whether another place is asked when this one fails.
    pub(crate) has_successor: bool,
}

impl Transport<'_> {
    /// How often a request is tried in all.
    pub(crate) fn attempts(&self) -> u32 {
        if self.has_successor {
            MIRROR_ATTEMPTS
        } else {
            ATTEMPTS
        }
    }

    /// What relative addresses are relative to.
    pub(crate) fn endpoint(&self) -> Result<Url, RegistryError> {
        self.api
            .map_or_else(|| self.client.endpoint(self.registry), |api| Ok(api.clone()))
    }

    /// Sends a request until it is answered by something other than "not now" and "who are you".
    ///
    /// Errors of the registry (404 and the like) are answers; [`expect`] tells which are wanted.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, RegistryError> {
        self.refuse_beyond_limit(&request)?;
        let home = Origin::of(&self.endpoint()?);
        let mut request = request;
        let (mut attempt, mut redirects) = (0, 0);
        let (mut renewals, mut deaths) = (0, 0);
        let mut renewed: Option<Authorization> = None;
        loop {
            attempt += 1;
            let at_home = Origin::of(&request.url) == home;
            let authorization = match (renewed.take(), at_home) {
                (_, false) => Authorization::default(),
                (Some(renewed), true) => renewed,
                (None, true) => self.authorization(&request.scope).await?,
            };
            let sent = self.send_once(&request, authorization.header.clone()).await;
            let Some(mut response) = self.settle(&request, attempt, sent).await? else {
                continue;
            };
            response.extensions_mut().insert(authorization.clone());
            let status = response.status();
            if at_home && renewals < MAX_RENEWALS && is_refusal(status) {
                deaths += u32::from(authorization.header.is_some());
                let reach = response.extensions().get().copied().unwrap_or(Reach::Public);
                let (headers, body) = (response.headers().clone(), read_answer(response).await);
                let refusal = Refusal {
                    method: request.method.clone(),
                    status,
                    headers,
                    body,
                    reach,
                    generation: authorization.generation,
                    renewals,
                    deaths,
                };
                match self.renew(&request.scope, &refusal).await? {
                    Renewal::Hopeless => {
                        let asked = (&request.method, &request.url);
                        return Err(status_error(asked, status, &refusal.body, authorization));
                    }
                    Renewal::Known => {}
                    Renewal::Fresh(fresh) => renewed = Some(fresh),
                }
                renewals += 1;
                attempt -= 1;
                continue;
            }
            if let Some(target) = redirect_target(&request, &response) {
                redirects += 1;
                if redirects > MAX_REDIRECTS {
                    return Err(RegistryError::Redirects {
                        place: place(&request.url),
                        limit: MAX_REDIRECTS,
                    });
                }
                request.url = checked(&request.url, target)?;
                attempt -= 1;
                continue;
            }
            return Ok(response);
        }
    }

    /// Sends a request when the limiter lets it, and lets the limiter know how it was taken.
    pub(crate) async fn send_once(
        &self,
        request: &Request,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, Fault> {
        let limiter = self.client.limiters().limiter(&request.url, request.action);
        let passage = limiter
            .pass(self.pace(request), self.longest_wait())
            .await
            .map_err(Fault::Closed)?;
        let response = self.exchange(request, authorization).await?;
        self.note_pull_limit(request, response.headers());
        let reach = self.client.connections().reach_from(&response);
        let mut answer = Answer::of(request, response).await;
        answer.response.extensions_mut().insert(reach);
        match (answer.verdict, answer.retry_after) {
            (Verdict::Settled, _) => passage.accepted(),
            (Verdict::Throttled, wait) => passage.throttled(wait),
            (Verdict::Stumbled, Some(wait)) => passage.postponed(wait),
            (Verdict::Stumbled, None) | (Verdict::PullLimit, _) => {}
        }
        Ok(answer)
    }

    async fn exchange(
        &self,
        request: &Request,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, Fault> {
        let mut watch = None;
        let mut builder = self
            .client
            .connections()
            .to(&request.url, request.reach)
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone());
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        builder = match &request.body {
            Body::Empty if request.method == Method::POST => builder.header(CONTENT_LENGTH, 0),
            Body::Empty => builder,
            Body::Bytes(bytes) => {
                self.client.counters().add_sent(bytes.len());
                builder.body(bytes.clone())
            }
            Body::Stream {
                body,
                offset,
                size,
                is_last,
            } => {
                let pieces = match (size, is_last) {
                    (Some(size), false) => body.open_part(*offset, *size).await,
                    _ => body.open(*offset).await,
                };
                let pieces = pieces.map_err(Fault::Body)?;
                let client = self.client.clone();
                let counted = pieces.inspect(move |piece| {
                    if let Ok(piece) = piece {
                        client.counters().add_sent(piece.len());
                    }
                });
                let (outgoing, watched) = Outgoing::new(counted.boxed(), *size);
                watch = Some(watched);
                // Without a length the body goes out in chunks, which not every registry takes.
                if let Some(size) = size {
                    builder = builder.header(CONTENT_LENGTH, *size);
                }
                builder.body(reqwest::Body::wrap_stream(outgoing))
            }
        };
        self.client.counters().add_request();
        let idle = self.client.options().idle_timeout;
        tokio::select! {
            response = builder.send() => response.map_err(|error| {
                let failure = watch.as_ref().and_then(Watch::take_failure);
                failure.map_or_else(|| Fault::Transport(error.without_url()), Fault::Body)
            }),
            limit = stalled(watch.as_ref(), idle, request.patience) => Err(Fault::Timeout(limit)),
        }
    }
}

/// Turns an answer that is not wanted into an error with the registry's words.
pub(crate) async fn expect(
    request: (&Method, &Url),
    response: Response,
    wanted: &[StatusCode],
) -> Result<Response, RegistryError> {
    let status = response.status();
    if wanted.contains(&status) {
        return Ok(response);
    }
    let sent = response.extensions().get::<Authorization>().cloned();
    let body = read_answer(response).await;
    Err(status_error(request, status, &body, sent.unwrap_or_default()))
}

/// Host and path, without what may be secret.
pub(crate) fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path())
}

/// Where a registry's answer leads, unless nobody may be led there.
pub(crate) fn checked(from: &Url, target: Url) -> Result<Url, RegistryError> {
    let downgraded = from.scheme() == "https" && target.scheme() != "https";
    if is_forbidden(&target) || downgraded || !matches!(target.scheme(), "http" | "https") {
        return Err(RegistryError::Forbidden {
            place: place(from),
            target: place(&target),
        });
    }
    Ok(target)
}

pub(crate) fn plain(action: Action, method: Method, url: Url, headers: HeaderMap, body: Body) -> Request {
    Request {
        action,
        method,
        url,
        headers,
        body,
        scope: String::new(),
        patience: PATIENCE,
        reach: Reach::Anywhere,
        retries: true,
    }
}

pub(crate) enum Fault {
    Transport(reqwest::Error),
    /// Nothing moved for this long.
    Timeout(Duration),
    Body(std::io::Error),
    /// The host wants to be left alone for longer than it is waited for.
    Closed(Duration),
}

impl Fault {
    /// How often a request is worth being tried in all that ends this way, of as many attempts as there usually are.
    pub(crate) fn attempts(&self, url: &Url, usual: u32) -> u32 {
        match self {
            Self::Transport(error) => Trouble::of(error).attempts(url, usual),
            Self::Timeout(_) | Self::Body(_) => usual,
            Self::Closed(_) => 1,
        }
    }

    /// What happened, in a few words.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Transport(error) if error.is_timeout() => {
                "no answer (connecting takes too long)".to_owned()
            }
            Self::Transport(error) => format!("no answer ({})", Trouble::of(error)),
            Self::Timeout(limit) => format!("no answer within {} seconds", limit.as_secs()),
            Self::Body(error) => format!("what is sent could not be read: {error}"),
            Self::Closed(_) => "asks to be left alone".to_owned(),
        }
    }

    pub(crate) fn into_error(self, request: &Request, attempts: u32) -> RegistryError {
        let (method, place) = (request.method.clone(), place(&request.url));
        match self {
            Self::Transport(source) => RegistryError::Transport {
                method,
                place,
                attempts,
                source,
            },
            Self::Timeout(limit) => RegistryError::Timeout {
                method,
                place,
                limit,
                attempts,
            },
            Self::Body(source) => RegistryError::Body { place, source },
            Self::Closed(wait) => RegistryError::ComeBackLater { method, place, wait },
        }
    }
}

/// Ends when the registry has been waited for in vain, and tells for how long.
async fn stalled(watch: Option<&Watch>, idle: Duration, patience: Duration) -> Duration {
    match watch {
        Some(watch) => watch.stalled(idle, patience).await,
        None => {
            tokio::time::sleep(patience).await;
            patience
        }
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn redirect_target(request: &Request, response: &Response) -> Option<Url> {
    // Bodies are not sent along redirects: registries redirect reads only.
    let may_follow =
        matches!(request.method, Method::GET | Method::HEAD) && response.status().is_redirection();
    let location = response.headers().get(LOCATION).filter(|_| may_follow)?;
    request.url.join(location.to_str().ok()?).ok()
}

pub(crate) async fn read_answer(response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    let deadline = Instant::now() + PATIENCE;
    // What breaks off is shown as far as it came.
    while let Ok(Some(Ok(piece))) = tokio::time::timeout_at(deadline, pieces.next()).await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ANSWER_SIZE {
            break;
        }
    }
    body
}

pub(crate) fn status_error(
    (method, url): (&Method, &Url),
    status: StatusCode,
    body: &[u8],
    sent: Authorization,
) -> RegistryError {
    RegistryError::Status {
        method: method.clone(),
        place: place(url),
        status,
        words: redacted_words(body, |text| sent.redact(text)),
        identity: sent.identity.map(Box::new),
    }
}
