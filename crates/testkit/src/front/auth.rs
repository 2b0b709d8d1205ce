//! Bearer tokens, as Docker Hub and most registries use them.
//!
//! Tokens are counted by use instead of by time, so that a test decides when one expires. Scopes are named in
//! the challenge and not enforced.
//!
//! Source: distribution docs/spec/auth/token.md.

use super::fault::Misbehaviour;
use super::lock;
use crate::http::Head;
use crate::registry::Credential;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Who asks for credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontAuth {
    /// The registry itself, if anybody; `Authorization` is passed on.
    Registry,
    /// The front: requests need a token of its `/token` endpoint. The registry behind must ask for nothing.
    Bearer {
        /// What `/token` asks for by Basic authentication; nothing for anonymous tokens.
        credential: Option<Credential>,
        /// How many requests a token is good for.
        requests_per_token: usize,
    },
}

/// Lets requests through, or answers them with a challenge or a token.
#[derive(Debug)]
pub(super) struct Gate {
    host: String,
    auth: FrontAuth,
    /// The tokens given out, and how many requests each is still good for.
    tokens: Mutex<BTreeMap<String, usize>>,
}

impl Gate {
    pub(super) fn new(host: &str, auth: FrontAuth) -> Self {
        Self {
            host: host.to_owned(),
            auth,
            tokens: Mutex::default(),
        }
    }

    /// What the front answers itself; `None` lets the request through. Removes the token from what is let through.
    pub(super) fn answer(&self, request: &mut Head) -> Option<Misbehaviour> {
        let FrontAuth::Bearer {
            credential,
            requests_per_token,
        } = &self.auth
        else {
            return None;
        };
        if request.path().starts_with("/token") {
            return Some(self.token(request, credential.as_ref(), *requests_per_token));
        }
        if !self.admits(request) {
            return Some(self.challenge(request));
        }
        request.remove("Authorization");
        None
    }

    fn admits(&self, request: &Head) -> bool {
        let token = request
            .header("Authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let mut tokens = lock(&self.tokens);
        let Some(left) = token.and_then(|token| tokens.get_mut(token)) else {
            return false;
        };
        let admitted = *left > 0;
        *left = left.saturating_sub(1);
        admitted
    }

    fn challenge(&self, request: &Head) -> Misbehaviour {
        let scope = scope(request)
            .map(|scope| format!(r#",scope="{scope}""#))
            .unwrap_or_default();
        let challenge = format!(
            r#"Bearer realm="http://{}/token",service="testkit"{scope}"#,
            self.host
        );
        let body = json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "authentication required" }] });
        json_answer(401, vec![("WWW-Authenticate".to_owned(), challenge)], &body)
    }

    fn token(&self, request: &Head, credential: Option<&Credential>, uses: usize) -> Misbehaviour {
        let expected = credential.map(Credential::basic);
        if expected.is_some() && request.header("Authorization") != expected.as_deref() {
            let body = json!({ "details": "incorrect username or password" });
            return json_answer(401, Vec::new(), &body);
        }
        let mut tokens = lock(&self.tokens);
        let token = format!("token-{}", tokens.len() + 1);
        tokens.insert(token.clone(), uses);
        json_answer(200, Vec::new(), &json!({ "token": token, "expires_in": 300 }))
    }
}

fn json_answer(status: u16, mut headers: Vec<(String, String)>, body: &serde_json::Value) -> Misbehaviour {
    headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    Misbehaviour::Answer {
        status,
        headers,
        body: body.to_string().into_bytes(),
    }
}

/// The scope a request needs: its repository, and what it does there.
fn scope(request: &Head) -> Option<String> {
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
