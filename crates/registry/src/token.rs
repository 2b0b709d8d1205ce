//! Token endpoints: where a credential becomes a token for some scopes.
//!
//! Passwords are sent with GET, identity tokens with the POST of OAuth2; an endpoint that does not have one (404, 405)
//! is asked in the other form. What fails is an error: going on as nobody would look like a missing image.
//!
//! Sources: distribution "Token Authentication Specification", "OAuth2 Token Authentication".

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use onlay_http::Reach;
use onlay_oci::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::auth::{AuthState, Bearer, TokenForm, basic, bearer};
use crate::error::redacted_words;
use crate::helper::Freshness;
use crate::identity::{Authorization, redact};
use crate::keychain::Found;
use crate::scope::Scopes;
use crate::transport::{Body, Request, Transport, place, plain};
use crate::{Action, Credential, RegistryError, Secret};

/// What is asked of a token endpoint.
struct Ask<'a> {
    realm: &'a Url,
    reach: Reach,
    service: Option<&'a str>,
    scopes: &'a Scopes,
    credential: Option<&'a Credential>,
}

/// What a token endpoint answers.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: serde_json::Value,
    #[serde(default)]
    issued_at: Option<String>,
}

/// A token, and how long it is still good for.
struct Given {
    token: Secret,
    lifetime: Duration,
}

/// Who may use a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    All,
    None,
}

/// What a token without `expires_in` is good for, in seconds.
const DEFAULT_LIFETIME: u64 = 60;
/// The longest that a token is believed to be good for, in seconds.
const MAX_LIFETIME: u64 = 24 * 3600;
/// The largest answer that is read, in bytes. Tokens are headers later, and servers take far less there.
const MAX_SIZE: usize = 64 * 1024;
/// What the POST of OAuth2 calls this program.
const CLIENT_ID: &str = "onlay";

impl Transport<'_> {
    /// Gets a token; the state is locked meanwhile, so that several requests share one answer.
    pub(crate) async fn fetch_token(
        &self,
        auth: &mut AuthState,
        challenge: &Bearer,
        needed: &Scopes,
        sharing: Sharing,
    ) -> Result<Authorization, RegistryError> {
        let realm = self.realm(&challenge.realm, auth.reach)?;
        let mut found = self.find_credential(Freshness::Kept).await?;
        let mut scopes = auth.wanted(needed).union(&challenge.scopes);
        let mut may_renew = found.as_ref().is_some_and(Found::is_renewable);
        let given = loop {
            let credential = found.as_ref().map(|found| &found.credential);
            if let Some(Credential::RegistryToken(token)) = credential {
                return Ok(self.authorization_of(bearer(token), found, auth));
            }
            let ask = Ask {
                realm: &realm,
                reach: auth.reach,
                service: challenge.service.as_deref(),
                scopes: &scopes,
                credential,
            };
            match self.ask(auth, &ask).await {
                Ok(given) => break given,
                Err(error) if may_renew && error.is_unauthorized() => {
                    may_renew = false;
                    let fresh = self.find_credential(Freshness::Renewed).await?;
                    if fresh == found {
                        return Err(self.no_token(found, error));
                    }
                    found = fresh;
                }
                // What was granted together, or asked for by the registry itself, may be too much.
                Err(error) if error.is_client_error() && scopes != *needed => scopes = needed.clone(),
                Err(error) => return Err(self.no_token(found, error)),
            }
        };
        let header = bearer(&given.token);
        auth.keep(scopes, given.token, given.lifetime);
        if sharing == Sharing::None {
            auth.discard(needed);
        }
        Ok(self.authorization_of(header, found, auth))
    }

    /// Where tokens are had, if the registry may lead there.
    fn realm(&self, realm: &str, reach: Reach) -> Result<Url, RegistryError> {
        let endpoint = self.endpoint()?;
        let joined = endpoint.join(realm).ok();
        joined
            .filter(|realm| is_acceptable_realm(realm, &endpoint, reach))
            .ok_or_else(|| RegistryError::Forbidden {
                place: place(&endpoint),
                target: realm.split('?').next().unwrap_or_default().to_owned(),
            })
    }

    /// An answer of the token endpoint must not pass for one of the registry; what else fails speaks for itself.
    fn no_token(&self, found: Option<Found>, error: RegistryError) -> RegistryError {
        match error {
            RegistryError::Status { .. } | RegistryError::Answer { .. } => RegistryError::Token {
                identity: Box::new(self.identity(found.map(|found| found.source))),
                source: Box::new(error),
            },
            other => other,
        }
    }

    /// Asks in the usual form, and where the endpoint has none of that, in the other one.
    async fn ask(&self, auth: &mut AuthState, ask: &Ask<'_>) -> Result<Given, RegistryError> {
        let (usual, other) = match ask.credential {
            Some(Credential::IdentityToken { .. }) => (TokenForm::Post, TokenForm::Get),
            _ => (TokenForm::Get, TokenForm::Post),
        };
        let known = auth.form.filter(|_| ask.credential.is_some());
        let given = self.ask_in_form(known.unwrap_or(usual), ask).await;
        let has_other = ask.credential.is_some() && known.is_none();
        match given {
            Err(RegistryError::Status { status, .. }) if has_other && is_no_such_form(status) => {
                let given = self.ask_in_form(other, ask).await?;
                auth.form = Some(other);
                Ok(given)
            }
            given => given,
        }
    }

    async fn ask_in_form(&self, form: TokenForm, ask: &Ask<'_>) -> Result<Given, RegistryError> {
        let mut request = ask.request(form);
        request.patience = self.client.options().answer_timeout;
        request.reach = ask.reach;
        let response = self.send_token_request(&request).await?;
        let unusable = |what| RegistryError::Answer {
            method: request.method.clone(),
            place: place(&request.url),
            what,
        };
        let status = response.status();
        let date = response.headers().get(DATE).cloned();
        let read = tokio::time::timeout(request.patience, read(response)).await;
        let body = read.unwrap_or(Some(Vec::new()));
        if !status.is_success() {
            return Err(RegistryError::Status {
                words: redacted_words(&body.unwrap_or_default(), |text| ask.redacted(text)),
                method: request.method.clone(),
                place: place(&request.url),
                status,
                identity: None,
            });
        }
        let body = body.ok_or_else(|| unusable("token within 64 KiB"))?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| unusable("token"))?;
        answer.given(date.as_ref()).ok_or_else(|| unusable("token"))
    }

    async fn send_token_request(&self, request: &Request) -> Result<Response, RegistryError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let sent = self.send_once(request, None).await;
            if let Some(response) = self.settle(request, attempt, sent).await? {
                return Ok(response);
            }
        }
    }
}

impl Ask<'_> {
    fn request(&self, form: TokenForm) -> Request {
        let mut headers = HeaderMap::new();
        let (method, url, body) = match form {
            TokenForm::Get => {
                let login = self
                    .login()
                    .and_then(|(username, secret)| basic(username, secret));
                if let Some(basic) = login {
                    headers.insert(AUTHORIZATION, basic);
                }
                (Method::GET, self.url(), Body::Empty)
            }
            TokenForm::Post => {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(CONTENT_TYPE, form);
                (Method::POST, self.realm.clone(), Body::Bytes(self.form().into()))
            }
        };
        plain(Action::FetchToken, method, url, headers, body)
    }

    fn url(&self) -> Url {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = self.service {
                query.append_pair("service", service);
            }
            for scope in self.scopes.texts() {
                query.append_pair("scope", &scope);
            }
        }
        url
    }

    fn form(&self) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("service", self.service.unwrap_or_default())
            .append_pair("client_id", CLIENT_ID)
            .append_pair("scope", &self.scopes.to_string());
        match self.credential {
            Some(Credential::IdentityToken { token, .. }) => form
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", token.reveal()),
            Some(Credential::Password { username, password }) => form
                .append_pair("grant_type", "password")
                .append_pair("username", username)
                .append_pair("password", password.reveal()),
            Some(Credential::RegistryToken(_)) | None => &mut form,
        };
        form.finish()
    }

    fn login(&self) -> Option<(&str, &Secret)> {
        match self.credential? {
            Credential::Password { username, password } => Some((username, password)),
            Credential::IdentityToken { username, token } => Some((username, token)),
            Credential::RegistryToken(_) => None,
        }
    }

    /// Takes out of an answer's words what was sent: some endpoints repeat it.
    fn redacted(&self, words: String) -> String {
        let Some((username, secret)) = self.login() else {
            return words;
        };
        let sent = Authorization {
            header: basic(username, secret),
            ..Authorization::default()
        };
        redact(sent.redact(words), std::slice::from_ref(secret))
    }
}

impl Answer {
    /// The token, unless there is none that could be sent.
    fn given(self, date: Option<&HeaderValue>) -> Option<Given> {
        let usable = |token: &String| !token.is_empty();
        let lifetime = self.lifetime(date);
        let token = self.token.filter(usable).or(self.access_token.filter(usable))?;
        let token = Secret::new(token);
        bearer(&token)?;
        Some(Given { token, lifetime })
    }

    /// How long it is still good for. Tokens may come out of a cache, so their age counts, by the server's own clock: ours
    /// need not be right.
    fn lifetime(&self, date: Option<&HeaderValue>) -> Duration {
        let seconds = match &self.expires_in {
            serde_json::Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        };
        let now = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let age = now
            .zip(self.issued_at())
            .and_then(|(now, issued)| now.duration_since(issued).ok());
        let whole = Duration::from_secs(seconds.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME));
        whole
            .saturating_sub(age.unwrap_or_default())
            .max(Duration::from_secs(1))
    }

    fn issued_at(&self) -> Option<SystemTime> {
        let issued: Timestamp = self.issued_at.as_ref()?.parse().ok()?;
        let seconds = u64::try_from(issued.seconds()).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }
}

/// Reads an answer; none if it is too large. What breaks off is read as far as it came.
async fn read(response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Ok(Some(piece)) = pieces.try_next().await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_SIZE {
            return None;
        }
    }
    Some(body)
}

fn is_no_such_form(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
}

/// A token endpoint gets the password, so it must be as safe as the registry itself; and one in a private network is for
/// registries there only.
fn is_acceptable_realm(realm: &Url, endpoint: &Url, reach: Reach) -> bool {
    let as_safe = realm.scheme() == "https" || (realm.scheme() == "http" && endpoint.scheme() == "http");
    as_safe && reach.allows(realm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Option<(String, u64)> {
        let date = HeaderValue::from_static("Mon, 23 Nov 2026 10:01:40 GMT");
        let answer: Answer = serde_json::from_str(text).unwrap();
        let given = answer.given(Some(&date))?;
        Some((given.token.reveal().to_owned(), given.lifetime.as_secs()))
    }

    #[test]
    fn answers() {
        let cases = [
            (r#"{"token":"t"}"#, Some(("t", 60))),
            (r#"{"token":"t","expires_in":300}"#, Some(("t", 300))),
            (
                r#"{"token":"","access_token":"a","expires_in":"300"}"#,
                Some(("a", 300)),
            ),
            (r#"{"access_token":"a","expires_in":1e300}"#, Some(("a", 60))),
            (
                r#"{"token":"t","expires_in":99999999999}"#,
                Some(("t", MAX_LIFETIME)),
            ),
            (r#"{"token":"t","expires_in":0}"#, Some(("t", 1))),
            (
                r#"{"token":"t","expires_in":300,"issued_at":"2026-11-23T10:00:00Z"}"#,
                Some(("t", 200)),
            ),
            (
                r#"{"token":"t","expires_in":300,"issued_at":"2026-11-23T11:00:00Z"}"#,
                Some(("t", 300)),
            ),
            (
                r#"{"token":"t","expires_in":300,"issued_at":"2020-11-23T10:00:00Z"}"#,
                Some(("t", 1)),
            ),
            (r#"{"token":"t","issued_at":"once"}"#, Some(("t", 60))),
            (r#"{"token":null}"#, None),
            (r#"{"token":"a\nb"}"#, None),
            ("{}", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(token, seconds)| (token.to_owned(), seconds));
            assert_eq!(given(text), expected, "{text}");
        }
    }

    #[test]
    fn passwords_go_to_safe_places_only() {
        let accepts = |realm: &str, endpoint: &str| {
            is_acceptable_realm(&realm.parse().unwrap(), &endpoint.parse().unwrap(), Reach::Public)
        };
        assert!(accepts("https://auth.example/", "https://h.example/"));
        assert!(accepts("http://auth.example/", "http://h.example/"));
        assert!(!accepts("http://auth.example/", "https://h.example/"));
        assert!(!accepts("http://169.254.169.254/", "http://h.example/"));
    }
}
