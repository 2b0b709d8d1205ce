use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use onlay_oci::Repository;
use tokio::sync::OnceCell;

use crate::api::Api;
use crate::{EcrError, EcrHost};

/// The repositories that are known to exist, because they were made or found here.
///
/// Each is asked for once, however many want it at a time; a failure is not kept.
#[derive(Debug, Default)]
pub(crate) struct Repositories {
    known: Mutex<BTreeMap<Key, Arc<OnceCell<()>>>>,
}

/// Account, region, path. Hosts with FIPS or IPv6 are other doors to the same repository.
type Key = (String, String, Repository);

impl Repositories {
    /// Makes a repository unless it is there.
    pub(crate) async fn ensure(
        &self,
        api: &Api,
        host: &EcrHost,
        repository: &Repository,
    ) -> Result<(), EcrError> {
        let cell = self.cell(host, repository);
        cell.get_or_try_init(|| create(api, host, repository))
            .await
            .copied()
    }

    fn cell(&self, host: &EcrHost, repository: &Repository) -> Arc<OnceCell<()>> {
        let key = (
            host.account().to_owned(),
            host.region().to_owned(),
            repository.clone(),
        );
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(key).or_default().clone()
    }
}

/// Asks to create at once: that takes one request where looking first takes two, and cannot race.
async fn create(api: &Api, host: &EcrHost, repository: &Repository) -> Result<(), EcrError> {
    let request = api
        .client
        .create_repository()
        .registry_id(host.account())
        .repository_name(repository.as_str());
    match api
        .calls
        .call("CreateRepository", || request.clone().send())
        .await
    {
        Err(error) if error.code() == Some("RepositoryAlreadyExistsException") => Ok(()),
        created => created.map(|_| ()),
    }
}
