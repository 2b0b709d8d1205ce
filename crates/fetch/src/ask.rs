//! One request, and where its answers lead.

use std::time::Duration;

use onlay_http::{Connections, Origin, Reach, is_forbidden};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Response, StatusCode};
use url::Url;

use crate::credential::{bare, basic};
use crate::fault::{Fault, Stop};
use crate::place::{place, redacted};
use crate::{FetchError, FetchOptions};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

/// An answer that is no redirect, and who gave it.
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) url: Url,
}

/// Asks for `url` with some headers and follows redirects.
pub(crate) async fn ask(
    connections: &Connections,
    options: &FetchOptions,
    url: &Url,
    headers: &HeaderMap,
) -> Result<Answer, Stop> {
    let (home, credential) = (Origin::of(url), basic(url));
    let mut next = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        if is_forbidden(&next) {
            return Err(Stop::Error(FetchError::Forbidden { place: place(&next) }));
        }
        let at_home = || credential.clone().filter(|_| Origin::of(&next) == home);
        let authorization = basic(&next).or_else(at_home);
        let url = bare(&next);
        let request = connections
            .to(&url, Reach::Anywhere)
            .get(url.clone())
            .headers(headers.clone());
        let request = request.headers(own_headers(authorization));
        // Connecting has a limit of its own.
        let patience = options.connect_timeout + options.idle_timeout;
        let response = send(request, &url, patience).await?;
        match redirect(&url, &response)? {
            Some(target) => next = target,
            None => return Ok(Answer { response, url }),
        }
    }
    Err(Stop::Error(FetchError::Redirects {
        place: place(url),
        limit: MAX_REDIRECTS,
    }))
}

async fn send(request: reqwest::RequestBuilder, url: &Url, patience: Duration) -> Result<Response, Stop> {
    match tokio::time::timeout(patience, request.send()).await {
        Ok(sent) => sent.map_err(|source| Stop::connection(url, source)),
        Err(_) => Err(Stop::Fault(Fault::Silence {
            place: place(url),
            limit: patience,
        })),
    }
}

/// Asks for the file as it is stored: only then do ranges and lengths speak of its own bytes.
fn own_headers(authorization: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization);
    }
    headers
}

/// Where an answer leads, if it leads anywhere.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>, FetchError> {
    let location = response.headers().get(LOCATION);
    match location.filter(|_| is_redirect(response.status())) {
        Some(location) => target(from, &String::from_utf8_lossy(location.as_bytes())).map(Some),
        None => Ok(None),
    }
}

/// Where a redirect leads, unless nobody may be led there.
fn target(from: &Url, location: &str) -> Result<Url, FetchError> {
    let target = from.join(location).map_err(|source| FetchError::Location {
        place: place(from),
        target: redacted(location),
        source,
    })?;
    let downgraded = from.scheme() == "https" && target.scheme() != "https";
    if downgraded || !matches!(target.scheme(), "http" | "https") || is_forbidden(&target) {
        return Err(FetchError::ForbiddenRedirect {
            place: place(from),
            target: place(&target),
        });
    }
    Ok(target)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_do_not_leave_tls() {
        let from =
            |url: &str, location: &str| target(&Url::parse(url).unwrap(), location).ok().map(String::from);
        assert_eq!(from("https://a.example/x", "http://a.example/y"), None);
        let up = from("http://a.example/x", "https://a.example/y");
        assert_eq!(up.as_deref(), Some("https://a.example/y"));
        let relative = from("https://a.example/x/y", "../z?q");
        assert_eq!(relative.as_deref(), Some("https://a.example/z?q"));
        let other = from("https://a.example/x", "//b.example/y");
        assert_eq!(other.as_deref(), Some("https://b.example/y"));
    }
}
