//! Who a request comes from: credentials and tokens, as the registry's challenges ask for them.

use std::sync::atomic::Ordering;

use onlay_http::Reach;
use onlay_oci::{Registry, Repository};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};

use crate::auth::{AuthState, Challenge, basic_of, bearer};
use crate::helper::Freshness;
use crate::identity::{Authorization, Identity};
use crate::keychain::Found;
use crate::scope::Scopes;
use crate::token::Sharing;
use crate::transport::{Body, Request, Transport, plain};
use crate::{Action, Client, CredentialSource, RegistryError, Trail, TrailStep};

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
    /// How many credentials were shown with this request and refused, this time included.
    pub(crate) deaths: u32,
}

/// What a refused request may be repeated with.
pub(crate) enum Renewal {
    /// Nothing else.
    Hopeless,
    /// What another request has got meanwhile.
    Known,
    /// Something of its own.
    Fresh(Authorization),
}

impl Client {
    /// Tells where the credential for a repository, or for a whole registry, is from, and what was asked before: the
    /// keychain, then the extension that speaks for the registry. Both are asked as for a request.
    pub async fn explain_credential(&self, registry: &Registry, repository: Option<&Repository>) -> Trail {
        let mut trail = self.options().keychain.explain(registry, repository).await;
        let is_settled = trail
            .steps()
            .iter()
            .any(|step| matches!(step, TrailStep::Chosen { .. } | TrailStep::Failed { .. }));
        let Some(extension) = self.extension(registry).filter(|_| !is_settled) else {
            return trail;
        };
        let source = CredentialSource::Extension;
        trail.0.push(match extension.credential(registry, false).await {
            Ok(Some(credential)) => TrailStep::Chosen {
                source,
                kind: credential.kind(),
            },
            Ok(None) => TrailStep::Empty { source },
            Err(error) => TrailStep::Failed {
                reason: error.to_string(),
            },
        });
        trail
    }
}

impl Transport<'_> {
    /// What a request for a scope is sent with, as far as the registry's wishes are known.
    pub(crate) async fn authorization(&self, scope: &str) -> Result<Authorization, RegistryError> {
        let state = self.client.state(self.registry);
        let mut auth = state.auth.lock().await;
        match auth.challenge.clone() {
            None => Ok(self.authorization_of(None, None, &auth)),
            Some(Challenge::Basic) => {
                let found = self.find_credential(Freshness::Kept).await?;
                Ok(self.basic_authorization(found, &auth))
            }
            Some(Challenge::Bearer(challenge)) => {
                let needed = Scopes::parse(scope);
                let Some(header) = auth.token(&needed).and_then(bearer) else {
                    return self
                        .fetch_token(&mut auth, &challenge, &needed, Sharing::All)
                        .await;
                };
                let found = self.find_credential(Freshness::Kept).await?;
                Ok(self.authorization_of(Some(header), found, &auth))
            }
        }
    }

    /// Learns from a refusal, and gets what the request may be repeated with.
    pub(crate) async fn renew(&self, scope: &str, refusal: &Refusal) -> Result<Renewal, RegistryError> {
        let state = self.client.state(self.registry);
        let mut auth = state.auth.lock().await;
        let refused = self.find_credential(Freshness::Kept).await?;
        // 403 means "not you", except where ECR says that its token is too old (aws.md §1.3).
        if refusal.status == StatusCode::FORBIDDEN && !may_mean_expired(refusal, refused.as_ref()) {
            return Ok(Renewal::Hopeless);
        }
        if auth.generation != refusal.generation && refusal.renewals == 0 {
            return Ok(Renewal::Known);
        }
        auth.generation += 1;
        let needed = Scopes::parse(scope);
        auth.discard(&needed);
        let knew_basic = auth.challenge == Some(Challenge::Basic);
        let (challenge, reach) = match Challenge::of(&refusal.headers) {
            None if auth.challenge.is_none() => self.ask_at_the_door().await,
            challenge => (challenge, refusal.reach),
        };
        if challenge.is_some() {
            auth.reach = reach;
        }
        let challenge = challenge.or_else(|| auth.challenge.clone());
        let fresh = match challenge {
            None => Authorization::default(),
            Some(Challenge::Basic) => {
                auth.challenge = Some(Challenge::Basic);
                let mut found = match knew_basic {
                    true => self.find_credential(Freshness::Renewed).await?,
                    false => refused.clone(),
                };
                if knew_basic && found == refused && self.can_turn_to_extension(&found) {
                    // A login that was left behind, such as ECR's, which are good for twelve hours.
                    state.prefers_extension.store(true, Ordering::Relaxed);
                    found = self.find_credential(Freshness::Renewed).await?;
                }
                // The same password again would be refused again; an extension knows best itself.
                let is_of_extension = found.as_ref().is_some_and(Found::is_of_extension);
                let is_worth_it = !knew_basic || is_of_extension || refused != found;
                self.basic_authorization(found.filter(|_| is_worth_it), &auth)
            }
            Some(Challenge::Bearer(challenge)) => {
                // What is asked for belongs to this request only.
                let mut general = challenge.clone();
                (general.scopes, general.lacks_scope) = Default::default();
                auth.challenge = Some(Challenge::Bearer(general));
                if challenge.lacks_scope && refusal.renewals > 0 {
                    return Ok(Renewal::Hopeless);
                }
                // Where tokens die so early that requests use up each other's, this one gets its own.
                let sharing = match refusal.renewals {
                    0 | 1 => Sharing::All,
                    _ => Sharing::None,
                };
                self.fetch_token(&mut auth, &challenge, &needed, sharing).await?
            }
        };
        Ok(match fresh.header {
            Some(_) => Renewal::Fresh(fresh),
            None => Renewal::Hopeless,
        })
    }

    /// What the registry wants to see, of one that says so at `/v2/` only and refuses elsewhere without a word; the
    /// specification does not ask for more (distribution-spec, "Determining Support").
    async fn ask_at_the_door(&self) -> (Option<Challenge>, Reach) {
        let answer = match self.door() {
            Ok(door) => self.send_once(&door, None).await.ok(),
            Err(_) => None,
        };
        answer.map_or((None, Reach::Public), |answer| {
            let reach = answer.response.extensions().get().copied();
            (
                Challenge::of(answer.response.headers()),
                reach.unwrap_or(Reach::Public),
            )
        })
    }

    /// The request that the registry as a whole answers: does it speak this protocol, and with whom?
    pub(crate) fn door(&self) -> Result<Request, RegistryError> {
        let url = self.endpoint()?.join("v2/");
        let url = url.map_err(|source| RegistryError::Address {
            registry: self.registry.to_string(),
            source,
        })?;
        Ok(plain(
            Action::FetchToken,
            Method::GET,
            url,
            HeaderMap::new(),
            Body::Empty,
        ))
    }

    /// The credential for this repository: the keychain's, else the extension's. Both are asked again for what was refused.
    pub(crate) async fn find_credential(&self, freshness: Freshness) -> Result<Option<Found>, RegistryError> {
        let state = self.client.state(self.registry);
        let found = match state.prefers_extension.load(Ordering::Relaxed) {
            true => None,
            false => self.ask_keychain(freshness).await?,
        };
        let Some(extension) = self.client.extension(self.registry).filter(|_| found.is_none()) else {
            return Ok(found);
        };
        let credential = extension
            .credential(self.registry, freshness == Freshness::Renewed)
            .await
            .map_err(|source| RegistryError::Extension {
                registry: self.registry.to_string(),
                source,
            })?;
        let source = CredentialSource::Extension;
        Ok(credential.map(|credential| Found { credential, source }))
    }

    async fn ask_keychain(&self, freshness: Freshness) -> Result<Option<Found>, RegistryError> {
        let keychain = &self.client.options().keychain;
        let found = keychain
            .credential(self.registry, self.repository, freshness)
            .await;
        found.map_err(|source| RegistryError::Keychain {
            registry: self.registry.to_string(),
            source,
        })
    }

    /// Tells whether what was refused is the keychain's, and there is somebody else to ask.
    fn can_turn_to_extension(&self, refused: &Option<Found>) -> bool {
        refused.as_ref().is_some_and(|found| !found.is_of_extension())
            && self.client.extension(self.registry).is_some()
    }

    fn basic_authorization(&self, found: Option<Found>, auth: &AuthState) -> Authorization {
        let header = found.as_ref().and_then(|found| basic_of(&found.credential));
        self.authorization_of(header, found, auth)
    }

    pub(crate) fn authorization_of(
        &self,
        header: Option<HeaderValue>,
        found: Option<Found>,
        auth: &AuthState,
    ) -> Authorization {
        Authorization {
            header,
            identity: Some(self.identity(found.map(|found| found.source))),
            generation: auth.generation,
        }
    }

    pub(crate) fn identity(&self, source: Option<CredentialSource>) -> Identity {
        Identity {
            registry: self.registry.clone(),
            source,
        }
    }
}

/// ECR's words for a token that is too old. An answer to HEAD has no words, so there it may mean that once, if there can
/// be another.
fn may_mean_expired(refusal: &Refusal, refused: Option<&Found>) -> bool {
    let words = String::from_utf8_lossy(&refusal.body);
    let wordless = refusal.method == Method::HEAD && refusal.deaths == 1;
    words.contains("authorization token has expired")
        || (wordless && refused.is_some_and(Found::is_renewable))
}
