use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use onlay_oci::{Digest, Registry, Repository, Tag};
use onlay_registry::{
    Action, Credential, Extension, ExtensionError, ExtensionFuture, Pace, Presence, StoredImage,
};
use tokio::sync::OnceCell;

use crate::api::Api;
use crate::host::{Endpoint, Service, is_ecr};
use crate::public::Public;
use crate::repositories::Repositories;
use crate::{AwsSource, EcrError, EcrHost, Quotas, RepositoryTemplate, Role, images, presence, public};

/// How ECR is spoken to.
#[derive(Clone, Debug)]
pub struct EcrOptions {
    /// Credentials and endpoints of AWS, as [`load_aws_configuration`](crate::load_aws_configuration) reads them.
    pub aws: AwsSource,
    /// What repositories that are pushed to and missing are created with; none if they are not created.
    pub create_repositories: Option<RepositoryTemplate>,
    /// How many requests the account may make.
    pub quotas: Quotas,
    /// Roles that are taken on to speak to registries.
    pub roles: BTreeMap<Registry, Role>,
    /// Whether ECR Public is pulled from with credentials too, where more may be pulled; it is pushed to with them
    /// anyhow.
    pub public_credentials: bool,
}

/// All registries of ECR: what onlay's registry client must know of them.
#[derive(Debug)]
pub struct Ecr {
    options: EcrOptions,
    aws: OnceCell<SdkConfig>,
    endpoints: Cells<Key, Arc<Api>>,
    public: Cells<Option<Role>, Arc<Public>>,
    pushes_to_public: AtomicBool,
    repositories: Repositories,
}

/// Tokens are an endpoint's and of one principal.
type Key = (Endpoint, Option<Role>);

impl Ecr {
    /// Makes the extension; nothing is sent yet.
    pub fn new(options: EcrOptions) -> Self {
        Self {
            options,
            aws: OnceCell::new(),
            endpoints: Mutex::default(),
            public: Mutex::default(),
            pushes_to_public: AtomicBool::new(false),
            repositories: Repositories::default(),
        }
    }

    async fn api(&self, registry: &Registry, host: &EcrHost) -> Result<Arc<Api>, EcrError> {
        let role = self.options.roles.get(registry);
        let cell = cell(&self.endpoints, (host.endpoint().clone(), role.cloned()));
        let new = || async {
            let aws = self.aws(role, host.region()).await?;
            Ok(Arc::new(Api::new(&aws, host.endpoint())))
        };
        cell.get_or_try_init(new).await.cloned()
    }

    async fn public(&self, registry: &Registry) -> Result<Arc<Public>, EcrError> {
        let role = self.options.roles.get(registry);
        let cell = cell(&self.public, role.cloned());
        let new = || async {
            let aws = self.aws(role, public::REGION).await?;
            Ok(Arc::new(Public::new(aws)))
        };
        cell.get_or_try_init(new).await.cloned()
    }

    /// Pulls from ECR Public work without credentials, and a machine that has none must not wait until that is found out.
    fn is_public_credential_wanted(&self) -> bool {
        self.options.public_credentials || self.pushes_to_public.load(Ordering::Relaxed)
    }

    /// AWS's configuration for a registry.
    async fn aws(&self, role: Option<&Role>, region: &str) -> Result<SdkConfig, EcrError> {
        let aws = self.aws.get_or_try_init(|| self.options.aws.load()).await?;
        Ok(match role {
            Some(role) => role.assumed(aws, region).await,
            None => aws.clone(),
        })
    }

    /// The API of a host, if it is a private registry and there are credentials for it.
    async fn answering(&self, registry: &Registry) -> Option<(EcrHost, Arc<Api>)> {
        let host = EcrHost::parse(registry)?;
        let api = self.api(registry, &host).await.ok()?;
        api.answers().await.then_some((host, api))
    }

    async fn fetch_credential(
        &self,
        registry: &Registry,
        renew: bool,
    ) -> Result<Option<Credential>, EcrError> {
        match Service::of(registry) {
            Some(Service::Private(host)) => {
                let api = self.api(registry, &host).await?;
                api.credential(renew).await.map(Some)
            }
            Some(Service::Public) if self.is_public_credential_wanted() => {
                let public = self.public(registry).await?;
                public.credential(renew).await.map(Some)
            }
            Some(Service::Public) | None => Ok(None),
        }
    }

    async fn ensure(&self, registry: &Registry, repository: &Repository) -> Result<(), EcrError> {
        let template = self.options.create_repositories.as_ref();
        match (Service::of(registry), template) {
            (Some(Service::Private(host)), Some(template)) => {
                let api = self.api(registry, &host).await?;
                self.repositories.ensure(&api, &host, repository, template).await
            }
            (Some(Service::Public), template) => {
                // Something is to be pushed.
                self.pushes_to_public.store(true, Ordering::Relaxed);
                match template {
                    Some(template) => self.public(registry).await?.ensure(repository, template).await,
                    None => Ok(()),
                }
            }
            (Some(Service::Private(_)), None) | (None, _) => Ok(()),
        }
    }
}

/// Values that are made once each, under a lock that is not held meanwhile.
type Cells<K, T> = Mutex<BTreeMap<K, Arc<OnceCell<T>>>>;

fn cell<K: Ord, T>(cells: &Cells<K, T>, key: K) -> Arc<OnceCell<T>> {
    let mut cells = cells.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(cells.entry(key).or_default())
}

impl Extension for Ecr {
    fn matches(&self, registry: &Registry) -> bool {
        is_ecr(registry)
    }

    fn credential<'a>(
        &'a self,
        registry: &'a Registry,
        renew: bool,
    ) -> ExtensionFuture<'a, Option<Credential>> {
        Box::pin(async move {
            let credential = self.fetch_credential(registry, renew).await;
            credential.map_err(ExtensionError::new)
        })
    }

    fn ensure_repository<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
    ) -> ExtensionFuture<'a, ()> {
        Box::pin(async move {
            self.ensure(registry, repository)
                .await
                .map_err(ExtensionError::new)
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

    fn images<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
    ) -> ExtensionFuture<'a, Option<Vec<StoredImage>>> {
        Box::pin(async move {
            let Some((host, api)) = self.answering(registry).await else {
                return Ok(None);
            };
            let found = images::images(&api, &host, repository).await;
            found.map(Some).map_err(ExtensionError::new)
        })
    }

    fn delete_images<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
        digests: &'a [Digest],
    ) -> ExtensionFuture<'a, Option<Vec<(Digest, String)>>> {
        Box::pin(async move {
            let Some((host, api)) = self.answering(registry).await else {
                return Ok(None);
            };
            let left = images::delete(&api, &host, repository, digests).await;
            left.map(Some).map_err(ExtensionError::new)
        })
    }

    fn pace(&self, registry: &Registry, action: Action) -> Option<Pace> {
        self.options.quotas.pace(registry, action)
    }
}
