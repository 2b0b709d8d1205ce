use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onlay_http::Reach;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use tokio::time::Instant;

use crate::scope::Scopes;
use crate::{Credential, Secret};

/// How a registry wants to be asked, as its challenge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer(Bearer),
}

/// Where tokens are had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    /// What the refused request needs, in the registry's opinion.
    pub(crate) scopes: Scopes,
    /// Whether the token was a good one, but not for this.
    pub(crate) lacks_scope: bool,
}

/// How tokens are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenForm {
    /// GET, with the password as Basic authentication.
    Get,
    /// The POST of OAuth2.
    Post,
}

/// What is known of one registry's wishes, and the tokens it has given.
#[derive(Debug, Default)]
pub(crate) struct AuthState {
    pub(crate) challenge: Option<Challenge>,
    /// Where that challenge may lead, after the address it came from.
    pub(crate) reach: Reach,
    /// The form that the token endpoint was found to want instead of the usual one.
    pub(crate) form: Option<TokenForm>,
    /// In the order they were given.
    tokens: Vec<Token>,
    /// Counts up with every renewal, so that of several requests that failed together only one renews.
    pub(crate) generation: u64,
}

/// A token, dead ones too: they say what to ask for again.
#[derive(Debug)]
struct Token {
    scopes: Scopes,
    value: Secret,
    good_until: Instant,
}

/// How many tokens of one registry are kept, so that a run over thousands of repositories does not collect them all.
const MAX_TOKENS: usize = 64;

/// A token is not used in its last seconds, lest it dies on the way.
const MARGIN: Duration = Duration::from_secs(10);

impl AuthState {
    /// A token that serves a request.
    pub(crate) fn token(&self, needed: &Scopes) -> Option<&Secret> {
        let now = Instant::now();
        let mut tokens = self.tokens.iter().rev();
        let token = tokens.find(|token| now < token.good_until && token.scopes.covers(needed));
        token.map(|token| &token.value)
    }

    /// What a token is asked for, where one is needed: what the last one was good for, so that those who shared it can
    /// share the next, and whatever else is done to the same resources.
    pub(crate) fn wanted(&self, needed: &Scopes) -> Scopes {
        let mut tokens = self.tokens.iter().rev();
        match tokens.find(|token| token.scopes.covers(needed)) {
            Some(token) => needed.union(&token.scopes),
            None => self
                .tokens
                .iter()
                .fold(needed.clone(), |wanted, token| wanted.widened(&token.scopes)),
        }
    }

    /// Keeps a token, in the place of those that it makes superfluous.
    pub(crate) fn keep(&mut self, scopes: Scopes, value: Secret, lifetime: Duration) {
        self.tokens.retain(|token| !scopes.covers(&token.scopes));
        if self.tokens.len() >= MAX_TOKENS {
            self.tokens.remove(0);
        }
        let margin = MARGIN.min(lifetime / 2);
        self.tokens.push(Token {
            scopes,
            value,
            good_until: Instant::now() + (lifetime - margin),
        });
    }

    /// Uses no token any more that served a request, and remembers only what they were for.
    pub(crate) fn discard(&mut self, needed: &Scopes) {
        let now = Instant::now();
        for token in &mut self.tokens {
            if token.scopes.covers(needed) {
                token.good_until = now;
            }
        }
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
        let scope = parameters.remove("scope").unwrap_or_default();
        Some(Self::Bearer(Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scopes: Scopes::parse(&scope),
            // RFC 6750 §3.1.
            lacks_scope: parameters
                .remove("error")
                .is_some_and(|error| error == "insufficient_scope"),
        }))
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

pub(crate) fn basic(username: &str, password: &Secret) -> Option<HeaderValue> {
    let encoded = STANDARD.encode(format!("{username}:{}", password.reveal()));
    sensitive(&format!("Basic {encoded}"))
}

/// The header for a registry that wants Basic authentication. Tokens are nothing that it could take.
pub(crate) fn basic_of(credential: &Credential) -> Option<HeaderValue> {
    match credential {
        Credential::Password { username, password } => basic(username, password),
        Credential::IdentityToken { .. } | Credential::RegistryToken(_) => None,
    }
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
        let challenge = r#"Bearer realm="https://a.example/t",service="s, t",scope="repository:x:pull,push",error="insufficient_scope""#;
        assert_eq!(
            parse(challenge),
            Some(Challenge::Bearer(Bearer {
                realm: "https://a.example/t".to_owned(),
                service: Some("s, t".to_owned()),
                scopes: Scopes::parse("repository:x:pull,push"),
                lacks_scope: true,
            }))
        );
        assert_eq!(
            parse("bearer realm=https://a.example/t , x=y"),
            Some(Challenge::Bearer(Bearer {
                realm: "https://a.example/t ".to_owned(),
                service: None,
                scopes: Scopes::default(),
                lacks_scope: false,
            }))
        );
        assert_eq!(parse("Negotiate"), None);
        assert_eq!(parse("Bearer service=x"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_serve_what_they_cover_while_they_are_good() {
        let mut state = AuthState::default();
        let (pull, push) = (
            Scopes::parse("repository:a:pull"),
            Scopes::parse("repository:a:pull,push"),
        );
        let mount = Scopes::parse("repository:a:pull,push repository:b:pull");
        state.keep(push.clone(), Secret::new("1"), Duration::from_secs(300));
        assert_eq!(state.token(&pull), Some(&Secret::new("1")));
        assert_eq!(state.token(&mount), None);
        state.keep(mount.clone(), Secret::new("2"), Duration::from_secs(300));
        assert_eq!(state.token(&pull), Some(&Secret::new("2")));
        assert_eq!(state.tokens.len(), 1);

        tokio::time::advance(Duration::from_secs(291)).await;
        assert_eq!(state.token(&pull), None);
        assert_eq!(state.wanted(&pull), mount);
        let other = Scopes::parse("repository:a:pull repository:c:pull");
        assert_eq!(
            state.wanted(&other).to_string(),
            "repository:a:pull,push repository:c:pull"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_serves_nobody() {
        let mut state = AuthState::default();
        let scope = |name: &str| Scopes::parse(&format!("repository:{name}:pull"));
        state.keep(scope("a"), Secret::new("1"), Duration::from_secs(300));
        state.keep(scope("b"), Secret::new("2"), Duration::from_secs(300));
        state.discard(&scope("a"));
        assert_eq!(state.token(&scope("a")), None);
        assert_eq!(state.token(&scope("b")), Some(&Secret::new("2")));
    }

    #[tokio::test]
    async fn tokens_do_not_pile_up() {
        let mut state = AuthState::default();
        for index in 0..1000 {
            let scope = Scopes::parse(&format!("repository:{index}:pull"));
            state.keep(scope, Secret::new("t"), Duration::from_secs(300));
        }
        assert_eq!(state.tokens.len(), MAX_TOKENS);
    }
}
