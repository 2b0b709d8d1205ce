use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::config::Region;
use onlay_oci::{Registry, Repository};
use onlay_registry::{Credential, Extension, ExtensionError, ExtensionFuture};

use crate::host::Endpoint;
use crate::repositories::Repositories;
use crate::token::TokenCache;
use crate::{EcrError, EcrHost};

/// How ECR is spoken to.
#[derive(Clone, Debug)]
pub struct EcrOptions {
    /// Credentials and endpoints of AWS; [`load_aws_configuration`](crate::load_aws_configuration) reads them.
    pub aws: SdkConfig,
    /// Whether repositories that are pushed to and missing are created.
    pub create_repositories: bool,
}

/// All private ECR registries: what onlay's registry client must know of them.
#[derive(Debug)]
pub struct Ecr {
    options: EcrOptions,
    endpoints: Mutex<BTreeMap<Endpoint, Arc<Api>>>,
    repositories: Repositories,
}

/// One endpoint of ECR's API, and the token it gave.
#[derive(Debug)]
struct Api {
    client: Client,
    token: TokenCache,
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

    async fn fetch_credential(&self, host: &EcrHost, renew: bool) -> Result<Credential, EcrError> {
        let api = self.api(host);
        match renew {
            false => api.token.credential().await,
            true => api.token.renewed().await,
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
}

impl Api {
    fn new(aws: &SdkConfig, endpoint: &Endpoint) -> Self {
        let mut config = aws_sdk_ecr::config::Builder::from(aws).region(Region::new(endpoint.region.clone()));
        // A configured endpoint has no variants, and the SDK refuses to choose one. Beside that, what is switched on
        // for all of AWS stays on.
        if aws.endpoint_url().is_none() {
            if endpoint.fips {
                config = config.use_fips(true);
            }
            if endpoint.dual_stack {
                config = config.use_dual_stack(true);
            }
        }
        let client = Client::from_conf(config.build());
        Self {
            token: TokenCache::new(client.clone(), &endpoint.region),
            client,
        }
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
            let credential = self.fetch_credential(&host, renew).await;
            credential.map(Some).map_err(ExtensionError::new)
        })
    }

    fn ensure_repository<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
    ) -> ExtensionFuture<'a, ()> {
        Box::pin(async move {
            let Some(host) = EcrHost::parse(registry).filter(|_| self.options.create_repositories) else {
                return Ok(());
            };
            let client = self.api(&host).client.clone();
            let ensured = self.repositories.ensure(&client, &host, repository).await;
            ensured.map_err(ExtensionError::new)
        })
    }
}
