use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use onlay_oci::{Digest, Registry, Repository};
use onlay_registry::RepositoryClient;

/// What this push has brought to which repository, so that two tags of one repository do not bring it twice.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<HashMap<(Registry, Repository, Digest), Arrival>>);

/// Whether something has arrived; locked while somebody brings it.
pub(crate) type Arrival = Arc<tokio::sync::Mutex<bool>>;

impl Arrivals {
    /// A blob or manifest at a repository.
    pub(crate) fn at(&self, repository: &RepositoryClient, digest: &Digest) -> Arrival {
        let (registry, name) = (repository.registry().clone(), repository.repository().clone());
        let mut arrivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals
            .entry((registry, name, digest.clone()))
            .or_default()
            .clone()
    }
}
