use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use onlay_oci::{Digest, Registry, Repository, Tag};
use onlay_registry::{Action, Credential, Extension, ExtensionError, ExtensionFuture, Pace, Presence};

use crate::api::Api;
use crate::host::Endpoint;
use crate::repositories::Repositories;
use crate::{EcrHost, Quotas, RepositoryTemplate, images, presence};

/// How ECR is spoken to.
#[derive(Clone, Debug)]
pub struct EcrOptions {
    /// Credentials and endpoints of AWS; [`load_aws_configuration`](crate::load_aws_configuration) reads them.
    pub aws: SdkConfig,
    /// What repositories that are pushed to and missing are created with; none if they are not created.
    pub create_repositories: Option<RepositoryTemplate>,
    /// How many requests the account may make.
    pub quotas: Quotas,
}

/// All private ECR registries: what onlay's registry client must know of them.
#[derive(Debug)]
pub struct Ecr {
    options: EcrOptions,
    endpoints: Mutex<BTreeMap<Endpoint, Arc<Api>>>,
    repositories: Repositories,
}

impl Ecr {
    /// Makes the extension; nothing is sent yet.
    pub fn new(options: EcrOptions) -> Self {
        Self {
            options,
            endpoints: Mutex::default(),
            repositories: Repositories::default(),
        }
    }

    fn api(&self, host: &EcrHost) -> Arc<Api> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Api::new(&self.options.aws, host.endpoint()));
        endpoints
            .entry(host.endpoint().clone())
            .or_insert_with(new)
            .clone()
    }

    /// The API of a host, if it is ECR's and there are credentials for it.
    async fn answering(&self, registry: &Registry) -> Option<(EcrHost, Arc<Api>)> {
        let host = EcrHost::parse(registry)?;
        let api = self.api(&host);
        api.answers().await.then_some((host, api))
    }
}

impl Extension for Ecr {
    fn matches(&self, registry: &Registry) -> bool {
        EcrHost::parse(registry).is_some()
    }

    fn credential<'a>(
        &'a self,
        registry: &'a Registry,
        renew: bool,
    ) -> ExtensionFuture<'a, Option<Credential>> {
        Box::pin(async move {
            let Some(host) = EcrHost::parse(registry) else {
                return Ok(None);
            };
            let credential = self.api(&host).credential(renew).await;
            credential.map(Some).map_err(ExtensionError::new)
        })
    }

    fn ensure_repository<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
    ) -> ExtensionFuture<'a, ()> {
        Box::pin(async move {
            let Some(template) = &self.options.create_repositories else {
                return Ok(());
            };
            let Some(host) = EcrHost::parse(registry) else {
                return Ok(());
            };
            let api = self.api(&host);
            let ensured = self.repositories.ensure(&api, &host, repository, template).await;
            ensured.map_err(ExtensionError::new)
        })
    }

    fn present<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
        digests: &'a [Digest],
    ) -> ExtensionFuture<'a, Option<Vec<Presence>>> {
        Box::pin(async move {
            let Some((host, api)) = self.answering(registry).await else {
                return Ok(None);
            };
            let found = presence::present(&api, &host, repository, digests).await;
            found.map_err(ExtensionError::new)
        })
    }

    fn digests<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
    ) -> ExtensionFuture<'a, Option<BTreeMap<Tag, Digest>>> {
        Box::pin(async move {
            let Some((host, api)) = self.answering(registry).await else {
                return Ok(None);
            };
            let found = images::digests(&api, &host, repository).await;
            found.map_err(ExtensionError::new)
        })
    }

    fn pace(&self, registry: &Registry, action: Action) -> Option<Pace> {
        self.options.quotas.pace(registry, action)
    }
}
