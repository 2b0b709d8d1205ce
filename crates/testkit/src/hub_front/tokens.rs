//! Where tokens are from: a host of its own, that everybody may ask for pulls (aws.md 3).

use super::State;
use crate::front::Misbehaviour;
use crate::front::auth::{covers, json_answer, pairs};
use crate::front::manners::Manners;
use crate::http::Head;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The tokens that were given out.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<BTreeMap<String, Token>>);

#[derive(Debug)]
struct Token {
    scopes: Vec<String>,
    expires: Instant,
}

impl Tokens {
    /// Tells whether a token is alive and good for a scope.
    pub(super) fn admits(&self, name: &str, scope: &str) -> bool {
        let tokens = self.tokens();
        let Some(token) = tokens.get(name) else {
            return false;
        };
        Instant::now() < token.expires && covers(&token.scopes, scope)
    }

    pub(super) fn expire(&self) {
        self.tokens().clear();
    }

    fn give(&self, scopes: Vec<String>, expires: Instant) -> String {
        let mut tokens = self.tokens();
        // Expired ones are forgotten, so numbers alone would come again.
        let name =
            format!("hub-{}-{expires:?}", tokens.len()).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        tokens.insert(name.clone(), Token { scopes, expires });
        name
    }

    fn tokens(&self) -> MutexGuard<'_, BTreeMap<String, Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives them out.
#[derive(Debug)]
pub(super) struct Office {
    state: Arc<State>,
}

impl Office {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// Of the scopes that were asked for, what somebody may do: pull, and push where they are logged in.
    fn granted(&self, asked: &[&str], is_login: bool) -> Vec<String> {
        let scopes = asked.iter().flat_map(|scopes| scopes.split(' '));
        let grant = |scope: &str| {
            let (resource, actions) = scope.rsplit_once(':')?;
            let may = |action: &&str| is_login || *action == "pull";
            let actions: Vec<&str> = actions.split(',').filter(may).collect();
            (!actions.is_empty()).then(|| format!("{resource}:{}", actions.join(",")))
        };
        scopes.filter_map(grant).collect()
    }
}

impl Manners for Office {
    fn answer(&self, request: &mut Head, _: &[u8]) -> Option<Misbehaviour> {
        let (path, query) = request.path().split_once('?').unwrap_or((request.path(), ""));
        if path != "/token" || request.method() != "GET" {
            return Some(json_answer(404, Vec::new(), &json!({ "details": "not found" })));
        }
        let login = self.state.manners.login.as_ref();
        let shown = request.header("Authorization");
        let is_login = shown.is_some() && shown == login.map(|login| login.basic()).as_deref();
        if shown.is_some() && !is_login {
            let words = json!({ "details": "incorrect username or password" });
            return Some(json_answer(401, Vec::new(), &words));
        }
        let pairs = pairs(query);
        let value = |name: &'static str| pairs.iter().filter(move |(key, _)| key == name);
        if value("service").all(|(_, service)| service != "registry.docker.io") {
            let words = json!({ "details": "unknown service" });
            return Some(json_answer(400, Vec::new(), &words));
        }
        let asked: Vec<&str> = value("scope").map(|(_, scope)| scope.as_str()).collect();
        let life = self.state.manners.token_life;
        let token = self
            .state
            .tokens
            .give(self.granted(&asked, is_login), Instant::now() + life);
        let answer = json!({ "token": token, "access_token": token, "expires_in": life.as_secs() });
        Some(json_answer(200, Vec::new(), &answer))
    }
}
