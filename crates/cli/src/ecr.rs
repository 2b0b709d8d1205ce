use onlay_ecr::{Ecr, EcrHost, EcrOptions, load_aws_configuration};
use onlay_oci::{Registry, Repository};
use onlay_registry::{Credential, Extension, ExtensionFuture};
use tokio::sync::OnceCell;

/// Amazon ECR, set up when the first of its registries is spoken to: reading AWS's files and certificates takes longer
/// than a whole run that needs none of them.
#[derive(Debug, Default)]
pub(crate) struct EcrOnDemand {
    /// Whether missing repositories are created.
    pub(crate) create_repositories: bool,
    ecr: OnceCell<Ecr>,
}

impl EcrOnDemand {
    /// Reads nothing yet.
    pub(crate) fn new(create_repositories: bool) -> Self {
        Self {
            create_repositories,
            ecr: OnceCell::new(),
        }
    }

    async fn ecr(&self) -> &Ecr {
        let create_repositories = self.create_repositories;
        let set_up = || async move {
            Ecr::new(EcrOptions {
                aws: load_aws_configuration().await,
                create_repositories,
            })
        };
        self.ecr.get_or_init(set_up).await
    }
}

impl Extension for EcrOnDemand {
    fn matches(&self, registry: &Registry) -> bool {
        EcrHost::parse(registry).is_some()
    }

    fn credential<'a>(
        &'a self,
        registry: &'a Registry,
        renew: bool,
    ) -> ExtensionFuture<'a, Option<Credential>> {
        Box::pin(async move { self.ecr().await.credential(registry, renew).await })
    }

    fn ensure_repository<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
    ) -> ExtensionFuture<'a, ()> {
        Box::pin(async move {
            if !self.create_repositories {
                return Ok(());
            }
            self.ecr().await.ensure_repository(registry, repository).await
        })
    }
}
