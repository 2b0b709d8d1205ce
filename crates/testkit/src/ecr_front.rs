//! Amazon ECR's manners before a real registry: its data plane, its API, and the other host that blobs are read from.
//!
//! Each manner names its section of `reference/aws.md` ("aws.md 1.3"); the tests drive each with curl first.

mod api;
mod quota;
mod registry;
mod repositories;
mod words;

pub use repositories::EcrRepository;

use crate::front::elsewhere::Elsewhere;
use crate::front::{Front, FrontAuth, LoggedRequest};
use crate::registry::Registry;
use quota::Quotas;
use repositories::Repositories;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What an account of ECR is like. The default is a new account with all its quotas out of reach.
#[derive(Debug, Clone, Default)]
pub struct EcrAccount {
    /// Whether a push makes the repository that it goes to (aws.md 1.4).
    pub create_on_push: bool,
    /// Whether the account setting `BLOB_MOUNTING` is on (aws.md 1.6).
    pub blob_mounting: bool,
    /// Actions of the API with their quotas per second, of which one second's worth may come at once (aws.md 1.2).
    pub quotas: Vec<(&'static str, u32)>,
}

/// A front with ECR's manners, before a registry of its own; ends when dropped.
#[derive(Debug)]
pub struct EcrFront {
    registry: Front,
    api: Front,
    blobs: Front,
    state: Arc<State>,
    behind: Registry,
}

/// What the parts of the front share.
#[derive(Debug)]
struct State {
    account: EcrAccount,
    /// The registry behind.
    upstream: String,
    repositories: Mutex<Repositories>,
    quotas: Quotas,
}

impl EcrFront {
    /// The account that all its repositories belong to.
    pub const ACCOUNT: &'static str = "123456789012";

    /// Starts the front and the registry behind it.
    pub fn start(account: EcrAccount) -> Self {
        let behind = Registry::start();
        let state = Arc::new(State {
            quotas: Quotas::new(&account.quotas),
            account,
            upstream: behind.host().to_owned(),
            repositories: Mutex::default(),
        });
        let blobs = Front::start_with(behind.host(), FrontAuth::Registry, Box::new(Elsewhere));
        let registry = registry::Door::new(Arc::clone(&state), blobs.host());
        let api = api::Api::new(Arc::clone(&state));
        Self {
            registry: Front::start_with(behind.host(), FrontAuth::Minted, Box::new(registry)),
            api: Front::start_with(behind.host(), FrontAuth::Registry, Box::new(api)),
            blobs,
            state,
            behind,
        }
    }

    /// `127.0.0.1:<port>` of the registry.
    pub fn host(&self) -> &str {
        self.registry.host()
    }

    /// `127.0.0.1:<port>` of the registry behind, which has all that was committed and asks for no password.
    pub fn behind(&self) -> &str {
        self.behind.host()
    }

    /// The address of the API, for `AWS_ENDPOINT_URL_ECR`.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api.host())
    }

    /// `127.0.0.1:<port>` of the host that blobs are read from.
    pub fn blobs_host(&self) -> &str {
        self.blobs.host()
    }

    /// The registry's front, to inject faults and to kill passwords: they are `minted-1`, `minted-2`, ..
    pub fn front(&self) -> &Front {
        &self.registry
    }

    /// Makes a repository.
    pub fn create(&self, name: &str, repository: EcrRepository) {
        self.state.repositories().create(name, repository);
    }

    /// The names of all repositories.
    pub fn repositories(&self) -> Vec<String> {
        self.state.repositories().names()
    }

    /// The digest that a tag has.
    pub fn tagged(&self, repository: &str, tag: &str) -> Option<String> {
        self.state.repositories().tagged(repository, tag)
    }

    /// Tells whether an image is there.
    pub fn has(&self, repository: &str, digest: &str) -> bool {
        let repositories = self.state.repositories();
        let repository = repositories.get(repository);
        repository.is_some_and(|repository| repository.images().any(|(known, ..)| known == digest))
    }

    /// Gives a digest a tag, whether there is such an image or not.
    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        self.state.repositories().tag(repository, tag, digest);
    }

    /// The requests to the registry, in the order they arrived.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.registry.requests()
    }

    /// The requests to the host of the blobs.
    pub fn blob_requests(&self) -> Vec<LoggedRequest> {
        self.blobs.requests()
    }

    /// The actions that the API was asked for, in the order they arrived: `BatchCheckLayerAvailability`.
    pub fn actions(&self) -> Vec<String> {
        self.state.quotas.asked()
    }

    /// Forgets the requests and actions so far.
    pub fn clear_requests(&self) {
        self.registry.clear_requests();
        self.blobs.clear_requests();
        self.state.quotas.clear();
    }
}

impl State {
    fn repositories(&self) -> MutexGuard<'_, Repositories> {
        // Another thread of the test may have panicked.
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
