//! Docker Hub's manners before a real registry: tokens from another host, a limit on pulls, blobs from a third host.
//!
//! Each manner names its section of `reference/aws.md`; the tests drive each with curl first.

mod registry;
mod tokens;

use crate::front::elsewhere::Elsewhere;
use crate::front::manners::Manners;
use crate::front::{Front, FrontAuth, LoggedRequest};
use crate::registry::{Credential, Registry};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokens::Tokens;

/// What Docker Hub is like to whom.
#[derive(Debug, Clone)]
pub struct HubManners {
    /// How many pulls there are in six hours; none where images or plans are unlimited (aws.md 3).
    pub pulls: Option<u32>,
    /// How long a token is good for; 300 seconds at Docker Hub (aws.md 3).
    pub token_life: Duration,
    /// Who may push, and log in; everybody may pull.
    pub login: Option<Credential>,
}

impl Default for HubManners {
    fn default() -> Self {
        Self {
            pulls: Some(100),
            token_life: Duration::from_secs(300),
            login: None,
        }
    }
}

/// A front with Docker Hub's manners, before a registry of its own; ends when dropped.
#[derive(Debug)]
pub struct HubFront {
    registry: Front,
    tokens: Front,
    blobs: Front,
    state: Arc<State>,
    behind: Registry,
}

/// What the parts of the front share.
#[derive(Debug)]
struct State {
    manners: HubManners,
    /// The registry behind.
    upstream: String,
    counters: Mutex<Counters>,
    tokens: Tokens,
}

#[derive(Debug)]
struct Counters {
    /// How many pulls are left.
    pulls: Option<u32>,
    /// How many requests are still refused for being too many altogether.
    storm: usize,
}

impl HubFront {
    /// Starts the front and the registry behind it.
    pub fn start(manners: HubManners) -> Self {
        let behind = Registry::start();
        let counters = Counters {
            pulls: manners.pulls,
            storm: 0,
        };
        let state = Arc::new(State {
            manners,
            upstream: behind.host().to_owned(),
            counters: Mutex::new(counters),
            tokens: Tokens::default(),
        });
        let start =
            |manners: Box<dyn Manners>| Front::start_with(behind.host(), FrontAuth::Registry, manners);
        let tokens = start(Box::new(tokens::Office::new(Arc::clone(&state))));
        let blobs = start(Box::new(Elsewhere));
        let door = registry::Door::new(Arc::clone(&state), tokens.host(), blobs.host());
        Self {
            registry: start(Box::new(door)),
            tokens,
            blobs,
            state,
            behind,
        }
    }

    /// `127.0.0.1:<port>` of the registry.
    pub fn host(&self) -> &str {
        self.registry.host()
    }

    /// `127.0.0.1:<port>` of the registry behind, which has everything and wants nothing.
    pub fn behind(&self) -> &str {
        self.behind.host()
    }

    /// `127.0.0.1:<port>` of the host that tokens are from.
    pub fn tokens_host(&self) -> &str {
        self.tokens.host()
    }

    /// `127.0.0.1:<port>` of the host that blobs are read from.
    pub fn blobs_host(&self) -> &str {
        self.blobs.host()
    }

    /// The registry's front, to inject faults.
    pub fn front(&self) -> &Front {
        &self.registry
    }

    /// How many pulls are left.
    pub fn pulls_left(&self) -> Option<u32> {
        self.state.counters().pulls
    }

    /// Refuses the next requests for being too many altogether, whatever they are (aws.md 3: the abuse limit).
    pub fn storm(&self, requests: usize) {
        self.state.counters().storm = requests;
    }

    /// Lets every token expire that was given out so far.
    pub fn expire_tokens(&self) {
        self.state.tokens.expire();
    }

    /// The requests to the registry, in the order they arrived.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.registry.requests()
    }

    /// The requests for tokens.
    pub fn token_requests(&self) -> Vec<LoggedRequest> {
        self.tokens.requests()
    }

    /// The requests to the host of the blobs.
    pub fn blob_requests(&self) -> Vec<LoggedRequest> {
        self.blobs.requests()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        for front in [&self.registry, &self.tokens, &self.blobs] {
            front.clear_requests();
        }
    }
}

impl State {
    fn counters(&self) -> MutexGuard<'_, Counters> {
        // Another thread of the test may have panicked.
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
