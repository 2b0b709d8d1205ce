use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use onlay_http::{ConnectionOptions, Connections};
use onlay_oci::{Reference, Registry, Repository};
use tokio::sync::Mutex;
use url::Url;

use crate::auth::AuthState;
use crate::endpoint::default_endpoint;
use crate::limiter::Limiters;
use crate::pull_limit::PullLimits;
use crate::{
    Authorities, ClientError, Counters, Extension, HostOptions, Keychain, Mirrors, Observer, Profile,
    ProxyOptions, PullLimit, RegistryError, RepositoryClient, UploadForm,
};

/// How registries are reached.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Registries that are spoken to over plain HTTP, by host and port. Loopback addresses are by themselves.
    pub insecure_registries: BTreeSet<String>,
    /// Loopback registries that are spoken to over TLS all the same.
    pub tls_registries: BTreeSet<String>,
    /// Where a registry's API is reached instead of at its own name.
    pub endpoints: BTreeMap<String, Url>,
    /// Credentials.
    pub keychain: Keychain,
    /// Particular registries; the first that matches counts, where the keychain has no credential.
    pub extensions: Vec<Arc<dyn Extension>>,
    /// What is different about registries, by host, where the table's row is not meant.
    pub profiles: BTreeMap<String, Profile>,
    /// Where images are read from instead of their own registries.
    pub mirrors: Mirrors,
    /// Proxies. Nothing is taken from the environment.
    pub proxies: ProxyOptions,
    /// Authorities that are trusted for every host, beside the public ones.
    pub authorities: Authorities,
    /// Hosts that are spoken to in their own way, by host, and port where it is not the usual one.
    pub hosts: BTreeMap<String, HostOptions>,
    /// Who is told what is tried again, and of mirrors that fail.
    pub observer: Observer,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long an answer may take to begin, where the registry only has to look something up.
    pub answer_timeout: Duration,
    /// How long a transfer may stand still before it counts as cut.
    pub idle_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            insecure_registries: BTreeSet::new(),
            tls_registries: BTreeSet::new(),
            endpoints: BTreeMap::new(),
            keychain: Keychain::default(),
            extensions: Vec::new(),
            profiles: BTreeMap::new(),
            mirrors: Mirrors::default(),
            proxies: ProxyOptions::default(),
            authorities: Authorities::default(),
            hosts: BTreeMap::new(),
            observer: Observer::default(),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30),
        }
    }
}

/// Registries, and what is shared between all who speak to them. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connections: Connections,
    options: ClientOptions,
    counters: Counters,
    registries: Lock<BTreeMap<Registry, Arc<RegistryState>>>,
    limiters: Limiters,
    pull_limits: PullLimits,
    /// Mirrors that could not be reached, by the root of their API; they are not waited for again.
    unreachable: Lock<BTreeSet<Url>>,
}

/// What is known of one registry.
#[derive(Debug)]
pub(crate) struct RegistryState {
    pub(crate) auth: Mutex<AuthState>,
    /// Whether what the keychain has was refused, and the extension is asked instead.
    pub(crate) prefers_extension: AtomicBool,
    /// How it was found to take blobs, where that is not what its profile says.
    pub(crate) upload_form: Lock<Option<UploadForm>>,
    /// Whether it has answered that it keeps no lists of referrers.
    pub(crate) lacks_referrers: AtomicBool,
}

impl Client {
    /// Sets up connections; nothing is sent yet.
    ///
    /// # Errors
    /// A certificate does not fit its key, or a library could not be set up.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let connections = Connections::new(&ConnectionOptions {
            proxies: options.proxies.clone(),
            authorities: options.authorities.clone(),
            hosts: options.mirrors.hosts(&options.hosts),
            connect_timeout: options.connect_timeout,
            ..ConnectionOptions::default()
        })?;
        let registries = Lock::default();
        let shared = Shared {
            connections,
            options,
            counters: Counters::default(),
            registries,
            limiters: Limiters::default(),
            pull_limits: PullLimits::default(),
            unreachable: Lock::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Gives a handle to one repository; nothing is sent yet.
    pub fn repository(&self, registry: &Registry, repository: &Repository) -> RepositoryClient {
        RepositoryClient::new(self.clone(), registry.clone(), repository.clone())
    }

    /// Gives a handle to an image's repository that reads from its mirrors first; nothing is sent yet. What is written
    /// goes to the repository itself.
    ///
    /// # Errors
    /// A file about mirrors forbids to read it.
    pub fn source(&self, reference: &Reference) -> Result<RepositoryClient, RegistryError> {
        let sources = self.options().mirrors.sources(reference);
        let sources = sources.map_err(|file| RegistryError::Blocked {
            name: reference.to_string(),
            file,
        })?;
        Ok(self
            .repository(reference.registry(), reference.repository())
            .with_sources(sources))
    }

    /// What went over the network so far.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// How many images may be pulled from each registry that told of a limit, as of its last answer.
    pub fn pull_limits(&self) -> BTreeMap<Registry, PullLimit> {
        self.shared.pull_limits.all()
    }

    pub(crate) fn known_pull_limits(&self) -> &PullLimits {
        &self.shared.pull_limits
    }

    pub(crate) fn limiters(&self) -> &Limiters {
        &self.shared.limiters
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.shared.connections
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.shared.options
    }

    pub(crate) fn extension(&self, registry: &Registry) -> Option<&Arc<dyn Extension>> {
        self.shared
            .options
            .extensions
            .iter()
            .find(|extension| extension.matches(registry))
    }

    /// What is different about a registry.
    pub fn profile(&self, registry: &Registry) -> Profile {
        let own = self.options().profiles.get(registry.as_str());
        own.cloned().unwrap_or_else(|| Profile::of(registry))
    }

    pub(crate) fn state(&self, registry: &Registry) -> Arc<RegistryState> {
        let mut registries = self
            .shared
            .registries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let fresh = || RegistryState {
            auth: Mutex::default(),
            prefers_extension: AtomicBool::new(false),
            upload_form: Lock::default(),
            lacks_referrers: AtomicBool::default(),
        };
        registries
            .entry(registry.clone())
            .or_insert_with(|| Arc::new(fresh()))
            .clone()
    }

    /// Remembers that nobody answers there.
    pub(crate) fn give_up(&self, api: Url) {
        self.unreachable().insert(api);
    }

    /// Tells whether nobody answered there before.
    pub(crate) fn is_given_up(&self, api: &Url) -> bool {
        self.unreachable().contains(api)
    }

    fn unreachable(&self) -> MutexGuard<'_, BTreeSet<Url>> {
        let unreachable = self.shared.unreachable.lock();
        unreachable.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn endpoint(&self, registry: &Registry) -> Result<Url, RegistryError> {
        let options = self.options();
        if let Some(endpoint) = options.endpoints.get(registry.as_str()) {
            return Ok(endpoint.clone());
        }
        let plain_http = options.insecure_registries.contains(registry.as_str())
            || (registry.is_loopback() && !options.tls_registries.contains(registry.as_str()));
        default_endpoint(registry, plain_http).map_err(|source| RegistryError::Address {
            registry: registry.to_string(),
            source,
        })
    }
}
