use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use onlay_registry::Client;
use onlay_store::{Cache, Location};
use tokio::sync::OnceCell;

use crate::documents::Documents;
use crate::{Base, BaseError};

/// The bases of a run: each is resolved once, however many stages and platforms ask for it, so that all of them see one
/// image even if its tag moves meanwhile.
#[derive(Clone)]
pub struct Bases {
    client: Client,
    documents: Documents,
    resolved: Arc<Mutex<BTreeMap<String, Arc<OnceCell<Base>>>>>,
}

impl Bases {
    /// Finds bases through these registries, and on disk.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            documents: Documents::default(),
            resolved: Arc::default(),
        }
    }

    /// Takes manifests and configurations from a cache, and keeps them there.
    #[must_use]
    pub fn with_cache(self, cache: Arc<Cache>) -> Self {
        Self {
            documents: Documents::in_cache(cache),
            ..self
        }
    }

    /// Finds an image in a registry or store: one request or one small file, the first time; what is named by its digest
    /// and in the cache, none.
    ///
    /// # Errors
    /// It is not there, or is no image.
    pub async fn resolve(&self, location: &Location) -> Result<Base, BaseError> {
        let cell = {
            // A thread that panicked cannot have left the map half changed.
            let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
            resolved.entry(location.to_string()).or_default().clone()
        };
        let base = cell
            .get_or_try_init(|| Base::resolve(&self.client, &self.documents, location))
            .await?;
        Ok(base.clone())
    }
}
