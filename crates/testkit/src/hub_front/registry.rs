//! The registry's protocol as Docker Hub speaks it (aws.md 3).

use super::State;
use crate::front::Misbehaviour;
use crate::front::auth::{json_answer, scope};
use crate::front::elsewhere::redirect;
use crate::front::manners::Manners;
use crate::http::Head;
use serde_json::json;
use std::sync::Arc;

/// The data plane.
#[derive(Debug)]
pub(super) struct Door {
    state: Arc<State>,
    tokens_host: String,
    blobs_host: String,
}

impl Door {
    pub(super) fn new(state: Arc<State>, tokens_host: &str, blobs_host: &str) -> Self {
        Self {
            state,
            tokens_host: tokens_host.to_owned(),
            blobs_host: blobs_host.to_owned(),
        }
    }

    /// The limit on requests of any kind: no JSON, no header (aws.md 3: the abuse limit).
    fn storm(&self) -> Option<Misbehaviour> {
        let mut counters = self.state.counters();
        counters.storm = counters.storm.checked_sub(1)?;
        Some(Misbehaviour::Answer {
            status: 429,
            headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
            body: b"429 Too Many Requests".to_vec(),
        })
    }

    /// A token for the repository and what is done there, from the other host.
    fn challenge(&self, request: &Head) -> Option<Misbehaviour> {
        let scope = scope(request)?;
        let shown = request.header("Authorization");
        let token = shown.and_then(|value| value.strip_prefix("Bearer "));
        if token.is_some_and(|token| self.state.tokens.admits(token, &scope)) {
            return None;
        }
        let mut challenge = format!(
            r#"Bearer realm="http://{}/token",service="registry.docker.io",scope="{scope}""#,
            self.tokens_host
        );
        if shown.is_some() {
            challenge.push_str(r#",error="invalid_token""#);
        }
        let words = json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "authentication required" }] });
        let headers = vec![("WWW-Authenticate".to_owned(), challenge)];
        Some(json_answer(401, headers, &words))
    }

    /// Pulls are counted where a manifest is read, and told wherever one is asked for.
    fn manifest(&self, method: &str) -> Option<Misbehaviour> {
        let limit = self.state.manners.pulls?;
        let mut counters = self.state.counters();
        let left = counters.pulls.unwrap_or_default();
        let is_pull = method == "GET";
        if is_pull && left == 0 {
            let message = "You have reached your unauthenticated pull rate limit. \
                           https://www.docker.com/increase-rate-limit";
            let words = json!({ "errors": [{ "code": "TOOMANYREQUESTS", "message": message }] });
            return Some(json_answer(429, limits(limit, 0), &words));
        }
        let left = left - u32::from(is_pull);
        counters.pulls = Some(left);
        Some(Misbehaviour::ReplaceHead {
            status: None,
            set: limits(limit, left),
            removed: Vec::new(),
        })
    }
}

impl Manners for Door {
    fn answer(&self, request: &mut Head, _: &[u8]) -> Option<Misbehaviour> {
        if let Some(refusal) = self.storm().or_else(|| self.challenge(request)) {
            return Some(refusal);
        }
        let path = request.path().to_owned();
        match request.method() {
            method @ ("GET" | "HEAD") if path.contains("/manifests/") => self.manifest(method),
            "GET" if path.contains("/blobs/sha256:") => {
                redirect(&self.state.upstream, &path, &self.blobs_host)
            }
            _ => None,
        }
    }
}

/// What Docker Hub says of its limit, on HEAD too (aws.md 3).
fn limits(limit: u32, left: u32) -> Vec<(String, String)> {
    [
        ("ratelimit-limit", format!("{limit};w=21600")),
        ("ratelimit-remaining", format!("{left};w=21600")),
        ("docker-ratelimit-source", "192.0.2.1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}
