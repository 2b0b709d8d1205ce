use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onlay_http::Reach;
use onlay_oci::Repository;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use url::Url;

use crate::{Credential, Secret};

/// How a registry wants to be asked, as its challenge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// What is known of one registry's wishes, and the tokens it was given for.
#[derive(Debug, Default)]
pub(crate) struct AuthState {
    pub(crate) challenge: Option<Challenge>,
    /// Where that challenge may lead, after the address it came from.
    pub(crate) reach: Reach,
    tokens: BTreeMap<String, Token>,
    /// What the keychain found, by repository.
    found: BTreeMap<Repository, Option<Credential>>,
    /// Counts up with every renewal, so that of several requests that failed together only one renews.
    pub(crate) generation: u64,
}

#[derive(Debug)]
struct Token {
    value: Secret,
    good_until: Instant,
}

/// What a token endpoint answers.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// What a token without `expires_in` is good for.
///
/// Source: distribution "Token Authentication Specification".
const DEFAULT_LIFETIME: u64 = 60;
/// A token is not used in its last seconds, lest it dies on the way.
const MARGIN: u64 = 10;

impl AuthState {
    pub(crate) fn token(&self, scope: &str) -> Option<&Secret> {
        self.tokens
            .get(scope)
            .filter(|token| Instant::now() < token.good_until)
            .map(|token| &token.value)
    }

    pub(crate) fn keep(&mut self, scope: &str, answer: TokenAnswer) -> Option<Secret> {
        let value = answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty())
            .map(Secret::new)?;
        let seconds = answer.expires_in.unwrap_or(DEFAULT_LIFETIME).clamp(1, 24 * 3600);
        let good_until = Instant::now() + Duration::from_secs(seconds.saturating_sub(MARGIN).max(1));
        self.tokens.insert(
            scope.to_owned(),
            Token {
                value: value.clone(),
                good_until,
            },
        );
        Some(value)
    }

    /// What the keychain found for a repository, if it was asked.
    pub(crate) fn found(&self, repository: &Repository) -> Option<&Option<Credential>> {
        self.found.get(repository)
    }

    pub(crate) fn keep_found(&mut self, repository: &Repository, found: Option<Credential>) {
        self.found.insert(repository.clone(), found);
    }

    pub(crate) fn forget(&mut self, scope: &str) {
        self.tokens.remove(scope);
    }
}

impl Challenge {
    /// Reads `WWW-Authenticate`; of several challenges Bearer is preferred, as it shows the password less often.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let challenges: Vec<Self> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Self::parse(value.to_str().ok()?))
            .collect();
        challenges
            .iter()
            .find(|challenge| matches!(challenge, Self::Bearer { .. }))
            .or(challenges.first())
            .cloned()
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        Some(Self::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope"),
        })
    }
}

/// `name="value", name=value`; commas inside quotes are part of the value.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after
                .split_once(',')
                .map_or((after, ""), |(value, next)| (value, next)),
        };
        parameters.insert(name.trim().to_ascii_lowercase(), value.to_owned());
        rest = next.trim_start().trim_start_matches(',').trim_start();
    }
    parameters
}

/// The scopes of a token request; what is pushed to comes first, since some servers read only the first scope.
pub(crate) fn token_url(realm: &Url, service: Option<&str>, scope: &str) -> Url {
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        for scope in scope.split(' ').filter(|scope| !scope.is_empty()) {
            query.append_pair("scope", scope);
        }
    }
    url
}

pub(crate) fn basic(credential: &Credential) -> Option<HeaderValue> {
    let Credential::Password { username, password } = credential else {
        return None;
    };
    let encoded = STANDARD.encode(format!("{username}:{}", password.reveal()));
    sensitive(&format!("Basic {encoded}"))
}

pub(crate) fn bearer(token: &Secret) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {}", token.reveal()))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let parse = |text: &str| Challenge::parse(text);
        assert_eq!(parse("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(
            parse(r#"Bearer realm="https://a.example/t",service="s, t",scope="repository:x:pull,push""#),
            Some(Challenge::Bearer {
                realm: "https://a.example/t".to_owned(),
                service: Some("s, t".to_owned()),
                scope: Some("repository:x:pull,push".to_owned()),
            })
        );
        assert_eq!(
            parse("bearer realm=https://a.example/t , x=y"),
            Some(Challenge::Bearer {
                realm: "https://a.example/t ".to_owned(),
                service: None,
                scope: None,
            })
        );
        assert_eq!(parse("Negotiate"), None);
        assert_eq!(parse("Bearer service=x"), None);
    }

    #[test]
    fn tokens_are_kept_by_scope_while_they_are_good() {
        let mut state = AuthState::default();
        let answer = |seconds| TokenAnswer {
            token: Some("t".to_owned()),
            access_token: None,
            expires_in: Some(seconds),
        };
        state.keep("a", answer(300));
        assert!(state.token("a").is_some() && state.token("b").is_none());
        state.forget("a");
        assert!(state.token("a").is_none());
        assert!(
            state
                .keep(
                    "a",
                    TokenAnswer {
                        token: None,
                        access_token: None,
                        expires_in: None
                    }
                )
                .is_none()
        );
    }
}
