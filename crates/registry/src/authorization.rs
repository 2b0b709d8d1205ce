//! Who a request comes from: credentials and tokens, as the registry's challenges ask for them.

use onlay_http::Reach;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::auth::{AuthState, Challenge, TokenAnswer, basic, bearer, token_url};
use crate::transport::{Body, Request, Transport, place, plain, read_answer, status_error};
use crate::{Action, Credential, RegistryError, Secret};

/// A registry's refusal, as far as something can be learnt from it.
pub(crate) struct Refusal {
    pub(crate) method: Method,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Where it may lead with credentials.
    pub(crate) reach: Reach,
    /// How often credentials had been renewed when the request was sent.
    pub(crate) generation: u64,
    /// How often this request was repeated for it.
    pub(crate) renewals: u32,
}

/// What a refused request may be repeated with.
pub(crate) enum Renewal {
    /// Nothing else.
    Hopeless,
    /// What another request has got meanwhile.
    Known,
    /// A header of its own.
    Fresh(HeaderValue),
}

/// Who may use a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    All,
    None,
}

impl Transport<'_> {
    /// The header for a scope, as far as the registry's wishes are known.
    pub(crate) async fn authorization(
        &self,
        scope: &str,
    ) -> Result<(Option<HeaderValue>, u64), RegistryError> {
        let state = self.client.state(self.registry);
        let mut auth = state.auth.lock().await;
        let generation = auth.generation;
        let header = match auth.challenge.clone() {
            None => None,
            Some(Challenge::Basic) => self.credential(&mut auth, false).await?.as_ref().and_then(basic),
            Some(Challenge::Bearer { realm, service, .. }) => match auth.token(scope) {
                Some(token) => bearer(token),
                None => {
                    self.fetch_token(&mut auth, &realm, service.as_deref(), scope, Sharing::All)
                        .await?
                }
            },
        };
        Ok((header, generation))
    }

    /// Learns from a refusal, and gets what the request may be repeated with.
    pub(crate) async fn renew(&self, scope: &str, refusal: &Refusal) -> Result<Renewal, RegistryError> {
        // 403 means "not you", except where ECR says that its token is too old (aws.md §1.3).
        if refusal.status == StatusCode::FORBIDDEN && !self.may_mean_expired(refusal) {
            return Ok(Renewal::Hopeless);
        }
        let state = self.client.state(self.registry);
        let mut auth = state.auth.lock().await;
        if auth.generation != refusal.generation && refusal.renewals == 0 {
            return Ok(Renewal::Known);
        }
        auth.generation += 1;
        auth.forget(scope);
        let knew_basic = auth.challenge == Some(Challenge::Basic);
        if let Some(challenge) = Challenge::of(&refusal.headers) {
            auth.challenge = Some(challenge);
            auth.reach = refusal.reach;
        }
        let header = match auth.challenge.clone() {
            None => None,
            Some(Challenge::Basic) => {
                let refused = auth.found(self.repository).cloned();
                let credential = self.credential(&mut auth, knew_basic).await?;
                // The same password again would be refused again; extensions and helpers may have fresh ones.
                let is_worth_it = !knew_basic
                    || self.client.extension(self.registry).is_some()
                    || refused.as_ref() != Some(&credential);
                credential.filter(|_| is_worth_it).as_ref().and_then(basic)
            }
            Some(Challenge::Bearer { realm, service, .. }) => {
                // Where tokens die so early that requests use up each other's, this one gets its own.
                let sharing = if refusal.renewals < 2 {
                    Sharing::All
                } else {
                    Sharing::None
                };
                self.fetch_token(&mut auth, &realm, service.as_deref(), scope, sharing)
                    .await?
            }
        };
        Ok(header.map_or(Renewal::Hopeless, Renewal::Fresh))
    }

    /// ECR's words for a token that is too old. An answer to HEAD has no words, so there it may mean that once.
    fn may_mean_expired(&self, refusal: &Refusal) -> bool {
        let words = String::from_utf8_lossy(&refusal.body);
        let wordless = refusal.method == Method::HEAD && refusal.renewals == 0;
        words.contains("authorization token has expired")
            || (wordless && self.client.extension(self.registry).is_some())
    }

    /// The credential for this repository. The keychain is asked once, since that may run a program, and again when what
    /// it found was refused.
    async fn credential(
        &self,
        auth: &mut AuthState,
        renew: bool,
    ) -> Result<Option<Credential>, RegistryError> {
        let known = auth.found(self.repository).filter(|_| !renew).cloned();
        let found = match known {
            Some(found) => found,
            None => {
                let keychain = &self.client.options().keychain;
                let found = keychain.credential(self.registry, self.repository).await;
                let found = found.map_err(|source| RegistryError::Keychain {
                    registry: self.registry.to_string(),
                    source,
                })?;
                auth.keep_found(self.repository, found.clone());
                found
            }
        };
        if found.is_some() {
            return Ok(found);
        }
        let Some(extension) = self.client.extension(self.registry) else {
            return Ok(None);
        };
        extension
            .credential(self.registry, renew)
            .await
            .map_err(|source| RegistryError::Extension {
                registry: self.registry.to_string(),
                source,
            })
    }

    /// Asks the token endpoint; the state is locked meanwhile, so that several requests share one answer.
    async fn fetch_token(
        &self,
        auth: &mut AuthState,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        sharing: Sharing,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let endpoint = self.endpoint()?;
        let realm = endpoint
            .join(realm)
            .ok()
            .filter(|realm| is_acceptable_realm(realm, &endpoint, auth.reach))
            .ok_or_else(|| RegistryError::Forbidden {
                place: place(&endpoint),
                target: realm.split('?').next().unwrap_or_default().to_owned(),
            })?;
        let mut request = match self.credential(auth, false).await? {
            Some(Credential::RegistryToken(token)) => return Ok(bearer(&token)),
            Some(Credential::IdentityToken(token)) => exchange(&realm, service, scope, &token),
            credential => {
                let mut headers = HeaderMap::new();
                if let Some(basic) = credential.as_ref().and_then(basic) {
                    headers.insert(AUTHORIZATION, basic);
                }
                plain(
                    Action::FetchToken,
                    Method::GET,
                    token_url(&realm, service, scope),
                    headers,
                    Body::Empty,
                )
            }
        };
        request.patience = self.client.options().answer_timeout;
        request.reach = auth.reach;
        let mut attempt = 0;
        let response = loop {
            attempt += 1;
            let sent = self.send_once(&request, None).await;
            if let Some(response) = self.settle(&request, attempt, sent).await? {
                break response;
            }
        };
        let status = response.status();
        let body = read_answer(response).await;
        if !status.is_success() {
            return Err(status_error(&request, status, &body));
        }
        let missing = || RegistryError::Answer {
            method: request.method.clone(),
            place: place(&request.url),
            what: "token",
        };
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| missing())?;
        let token = auth.keep(scope, answer).ok_or_else(missing)?;
        if sharing == Sharing::None {
            auth.forget(scope);
        }
        Ok(bearer(&token))
    }
}

/// A token endpoint gets the password, so it must be as safe as the registry itself; and one in a private network is for
/// registries there only.
fn is_acceptable_realm(realm: &Url, endpoint: &Url, reach: Reach) -> bool {
    let as_safe = realm.scheme() == "https" || (realm.scheme() == "http" && endpoint.scheme() == "http");
    as_safe && reach.allows(realm)
}

/// The OAuth2 form of a token request.
///
/// Source: distribution "OAuth2 Token Authentication".
fn exchange(realm: &Url, service: Option<&str>, scope: &str, token: &Secret) -> Request {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", service.unwrap_or_default())
        .append_pair("client_id", "onlay")
        .append_pair("scope", scope)
        .append_pair("refresh_token", token.reveal())
        .finish();
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    plain(
        Action::FetchToken,
        Method::POST,
        realm.clone(),
        headers,
        Body::Bytes(form.into()),
    )
}
