//! Bearer tokens, as Docker Hub and most registries use them, and passwords that die, as ECR's do.
//!
//! Tokens are counted by use instead of by time, so that a test decides when one expires; and whatever was given out dies
//! at a request of the test's choice ([`Front::kill_credentials_at`](super::Front::kill_credentials_at)).
//!
//! Source: distribution docs/spec/auth/{token,oauth}.md; aws.md §1.3 for ECR.

use super::fault::Misbehaviour;
use super::lock;
use crate::http::Head;
use crate::registry::Credential;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Who asks for credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontAuth {
    /// The registry itself, if anybody; `Authorization` is passed on.
    Registry,
    /// The front: requests need a token of its `/token` endpoint. The registry behind must ask for nothing. Scopes are
    /// named in the challenge and not enforced.
    Bearer {
        /// What `/token` asks for by Basic authentication; nothing for anonymous tokens.
        credential: Option<Credential>,
        /// How many requests a token is good for.
        requests_per_token: usize,
    },
    /// The same, with manners of its own.
    Tokens(TokenManners),
    /// The front: requests need the user `AWS` with a password `minted-N`. What is dead, which at first is nothing, gets
    /// a 403 without a challenge.
    Minted,
}

/// How a front gives out tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenManners {
    /// What `/token` asks for, by Basic authentication or as the password grant of OAuth2; nothing for anonymous tokens.
    pub credential: Option<Credential>,
    /// What else it takes, as the refresh token of OAuth2 or as a password of whatever user.
    pub identity_token: Option<String>,
    /// The methods that it knows. Others get 405.
    pub methods: Vec<&'static str>,
    /// How many requests a token is good for.
    pub requests_per_token: usize,
    /// Whether a token is only good for what it was asked for.
    pub enforces_scopes: bool,
    /// What every request needs beside its own scope. Only the challenge says so.
    pub also_needs: Option<String>,
}

impl Default for TokenManners {
    fn default() -> Self {
        Self {
            credential: None,
            identity_token: None,
            methods: vec!["GET", "POST"],
            requests_per_token: usize::MAX,
            enforces_scopes: true,
            also_needs: None,
        }
    }
}

/// Lets requests through, or answers them with a challenge or a token.
#[derive(Debug)]
pub(super) struct Gate {
    host: String,
    manners: Manners,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Manners {
    Open,
    Tokens(TokenManners),
    Minted,
}

#[derive(Debug, Default)]
struct State {
    /// The tokens that are alive.
    tokens: BTreeMap<String, Token>,
    /// How many tokens were given out.
    given: usize,
    /// The number of the newest password that was seen, and of the newest that is dead.
    minted: (u64, u64),
    /// How many requests had a good credential since the last order to kill.
    admitted: usize,
    kill_at: Option<usize>,
}

#[derive(Debug)]
struct Token {
    left: usize,
    scopes: Vec<String>,
}

impl Gate {
    pub(super) fn new(host: &str, auth: FrontAuth) -> Self {
        let manners = match auth {
            FrontAuth::Registry => Manners::Open,
            FrontAuth::Minted => Manners::Minted,
            FrontAuth::Tokens(manners) => Manners::Tokens(manners),
            FrontAuth::Bearer {
                credential,
                requests_per_token,
            } => Manners::Tokens(TokenManners {
                credential,
                requests_per_token,
                enforces_scopes: false,
                ..TokenManners::default()
            }),
        };
        Self {
            host: host.to_owned(),
            manners,
            state: Mutex::default(),
        }
    }

    pub(super) fn kill_at(&self, nth: usize) {
        let mut state = lock(&self.state);
        (state.admitted, state.kill_at) = (0, Some(nth));
    }

    /// Whether the order to kill is still to be carried out.
    pub(super) fn is_to_kill(&self) -> bool {
        lock(&self.state).kill_at.is_some()
    }

    /// Tells whether the body of a request matters here.
    pub(super) fn reads(&self, request: &Head) -> bool {
        matches!(self.manners, Manners::Tokens(_)) && is_token_request(request)
    }

    /// What the front answers itself; `None` lets the request through. Removes the credential from what is let through.
    pub(super) fn answer(&self, request: &mut Head, form: &[u8]) -> Option<Misbehaviour> {
        let mut state = lock(&self.state);
        let answer = match &self.manners {
            Manners::Open => return None,
            Manners::Tokens(manners) if is_token_request(request) => {
                return Some(state.token(request, form, manners));
            }
            Manners::Tokens(manners) => match state.admits(request, manners) {
                true => None,
                false => Some(self.challenge(request, manners)),
            },
            Manners::Minted => match state.admits_minted(request) {
                Some(true) => None,
                Some(false) => Some(expired()),
                None => Some(basic_challenge()),
            },
        };
        if answer.is_none() {
            request.remove("Authorization");
        }
        answer
    }

    fn challenge(&self, request: &Head, manners: &TokenManners) -> Misbehaviour {
        let scopes = needed(request, manners).join(" ");
        let mut challenge = format!(r#"Bearer realm="http://{}/token",service="testkit""#, self.host);
        if !scopes.is_empty() {
            challenge.push_str(&format!(r#",scope="{scopes}""#));
        }
        if request.header("Authorization").is_some() {
            challenge.push_str(r#",error="invalid_token""#);
        }
        unauthorized(challenge)
    }
}

impl State {
    fn admits(&mut self, request: &Head, manners: &TokenManners) -> bool {
        let shown = request.header("Authorization");
        let Some(name) = shown.and_then(|value| value.strip_prefix("Bearer ")) else {
            return false;
        };
        let Some(token) = self.tokens.get_mut(name) else {
            return false;
        };
        let needed = needed(request, manners);
        let grants = !manners.enforces_scopes || needed.iter().all(|scope| covers(&token.scopes, scope));
        if token.left == 0 || !grants {
            return false;
        }
        token.left -= 1;
        if self.is_time_to_kill() {
            self.tokens.clear();
            return false;
        }
        true
    }

    /// Whether a password is alive; none where none is shown.
    fn admits_minted(&mut self, request: &Head) -> Option<bool> {
        let encoded = request.header("Authorization")?.strip_prefix("Basic ")?;
        let shown = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let number: u64 = shown.strip_prefix("AWS:minted-")?.parse().ok()?;
        self.minted.0 = self.minted.0.max(number);
        if number > self.minted.1 && self.is_time_to_kill() {
            self.minted.1 = self.minted.0;
        }
        Some(number > self.minted.1)
    }

    /// Counts a request with a good credential.
    fn is_time_to_kill(&mut self) -> bool {
        self.admitted += 1;
        let is_time = self.kill_at == Some(self.admitted);
        if is_time {
            self.kill_at = None;
        }
        is_time
    }

    fn token(&mut self, request: &Head, form: &[u8], manners: &TokenManners) -> Misbehaviour {
        if !manners.methods.contains(&request.method()) {
            return json_answer(405, Vec::new(), &json!({ "details": "no such method here" }));
        }
        let query = request.path().split_once('?').map_or("", |(_, query)| query);
        let pairs = match request.method() {
            "POST" => pairs(&String::from_utf8_lossy(form)),
            _ => pairs(query),
        };
        if !manners.welcomes(request.header("Authorization"), &pairs) {
            let body = json!({ "details": "incorrect username or password" });
            return json_answer(401, Vec::new(), &body);
        }
        self.given += 1;
        let name = format!("token-{}", self.given);
        let scopes = pairs.iter().filter(|(name, _)| name == "scope");
        let token = Token {
            left: manners.requests_per_token,
            scopes: scopes
                .flat_map(|(_, scopes)| scopes.split(' ').map(str::to_owned))
                .collect(),
        };
        self.tokens.insert(name.clone(), token);
        json_answer(200, Vec::new(), &json!({ "token": name, "expires_in": 300 }))
    }
}

impl TokenManners {
    fn welcomes(&self, authorization: Option<&str>, form: &[(String, String)]) -> bool {
        let value = |name: &str| {
            form.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let is_exchange = value("grant_type") == Some("refresh_token");
        let by_identity = self.identity_token.as_deref().is_some_and(|token| {
            let shown = authorization.and_then(|value| STANDARD.decode(value.strip_prefix("Basic ")?).ok());
            let is_password = shown.is_some_and(|shown| shown.ends_with(format!(":{token}").as_bytes()));
            is_password || (is_exchange && value("refresh_token") == Some(token))
        });
        let by_password = self.credential.as_ref().is_some_and(|credential| {
            let grant = (value("username"), value("password"));
            authorization == Some(&credential.basic())
                || grant == (Some(&credential.username), Some(&credential.password))
        });
        let asks_nobody = self.credential.is_none() && self.identity_token.is_none();
        asks_nobody || by_identity || by_password
    }
}

fn is_token_request(request: &Head) -> bool {
    request.path().starts_with("/token")
}

fn unauthorized(challenge: String) -> Misbehaviour {
    let body = json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "authentication required" }] });
    json_answer(401, vec![("WWW-Authenticate".to_owned(), challenge)], &body)
}

fn basic_challenge() -> Misbehaviour {
    unauthorized(r#"Basic realm="testkit""#.to_owned())
}

/// ECR's words, with its status and no challenge.
fn expired() -> Misbehaviour {
    let message = "Your authorization token has expired. Reauthenticate and try again.";
    let body = json!({ "errors": [{ "code": "DENIED", "message": message }] });
    json_answer(403, Vec::new(), &body)
}

pub(crate) fn json_answer(
    status: u16,
    mut headers: Vec<(String, String)>,
    body: &serde_json::Value,
) -> Misbehaviour {
    headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    Misbehaviour::Answer {
        status,
        headers,
        body: body.to_string().into_bytes(),
    }
}

/// The scopes that a request needs: its repository, what it does there, and where it mounts from.
fn needed(request: &Head, manners: &TokenManners) -> Vec<String> {
    let mut scopes: Vec<String> = scope(request).into_iter().collect();
    let query = request.path().split_once('?').map_or("", |(_, query)| query);
    let from = pairs(query).into_iter().find(|(name, _)| name == "from");
    scopes.extend(from.map(|(_, from)| format!("repository:{from}:pull")));
    scopes.extend(manners.also_needs.clone());
    scopes
}

pub(crate) fn covers(granted: &[String], needed: &str) -> bool {
    let Some((resource, actions)) = needed.rsplit_once(':') else {
        return granted.iter().any(|granted| granted == needed);
    };
    let own: Vec<&str> = granted
        .iter()
        .filter_map(|granted| granted.strip_prefix(resource)?.strip_prefix(':'))
        .flat_map(|actions| actions.split(','))
        .collect();
    actions.split(',').all(|action| own.contains(&action))
}

/// The pairs of a query or a form.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((unescaped(name), unescaped(value)))
    };
    text.split('&').filter_map(pair).collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let code = escaped.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (code, first) {
            (Some(code), _) => bytes.push(code),
            (None, b'+') => bytes.push(b' '),
            (None, byte) => bytes.push(*byte),
        }
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The scope a request needs: its repository, and what it does there.
pub(crate) fn scope(request: &Head) -> Option<String> {
    let path = request.path().strip_prefix("/v2/")?;
    let end = ["/manifests/", "/blobs/", "/tags/", "/referrers/"]
        .iter()
        .filter_map(|part| path.find(part))
        .min()?;
    let actions = if matches!(request.method(), "GET" | "HEAD") {
        "pull"
    } else {
        "pull,push"
    };
    Some(format!("repository:{}:{actions}", &path[..end]))
}
