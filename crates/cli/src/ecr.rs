use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use onlay_ecr::{Ecr, EcrHost, EcrOptions, Quotas, RepositoryTemplate, load_aws_configuration};
use onlay_oci::{Digest, Registry, Repository, Tag};
use onlay_registry::{Action, Credential, Extension, ExtensionFuture, Pace, Presence};
use tokio::sync::OnceCell;

use crate::failure::Usage;

/// How Amazon ECR is spoken to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Amazon ECR")]
pub(crate) struct EcrArguments {
    /// Create repositories that are missing in Amazon ECR
    #[arg(long)]
    pub ecr_create_repository: bool,

    /// Create them with what this file says, in TOML or JSON: tag-mutability, tag-mutability-exclusions, scan-on-push,
    /// encryption, tags, lifecycle-policy and repository-policy. Repositories that exist are left as they are
    #[arg(long, value_name = "FILE")]
    pub ecr_repository_template: Option<PathBuf>,

    /// Make up to N requests a second of this kind, where the account's quota is not the default: PutImage=50. ACTION is
    /// the quota's name: BatchCheckLayerAvailability, BatchGetImage, CompleteLayerUpload, GetDownloadUrlForLayer,
    /// InitiateLayerUpload, PutImage or UploadLayerPart
    #[arg(long, value_name = "ACTION=N")]
    pub ecr_pace: Vec<String>,
}

impl EcrArguments {
    /// What missing repositories are created with; naming a file asks for it as well.
    fn template(&self) -> Result<Option<RepositoryTemplate>, Usage> {
        let Some(file) = &self.ecr_repository_template else {
            return Ok(self.ecr_create_repository.then(RepositoryTemplate::default));
        };
        let text = fs_err::read_to_string(file).map_err(|error| Usage(error.to_string()))?;
        let template = RepositoryTemplate::parse(&file.display().to_string(), &text);
        template.map(Some).map_err(|error| Usage(error.to_string()))
    }

    fn quotas(&self) -> Result<Quotas, Usage> {
        let wrong = |error: onlay_ecr::QuotaError| Usage(format!("`--ecr-pace`: {error}"));
        let mut texts = self.ecr_pace.iter();
        texts.try_fold(Quotas::default(), |quotas, text| {
            quotas.with_text(text).map_err(wrong)
        })
    }
}

/// Amazon ECR, set up when the first of its registries is spoken to: reading AWS's files and certificates takes longer
/// than a whole run that needs none of them.
#[derive(Debug)]
pub(crate) struct EcrOnDemand {
    template: Option<RepositoryTemplate>,
    quotas: Quotas,
    ecr: OnceCell<Ecr>,
}

impl EcrOnDemand {
    /// Takes what the user wants; of AWS's nothing is read yet.
    pub(crate) fn new(arguments: &EcrArguments) -> Result<Self, Usage> {
        Ok(Self {
            template: arguments.template()?,
            quotas: arguments.quotas()?,
            ecr: OnceCell::new(),
        })
    }

    async fn ecr(&self) -> &Ecr {
        let set_up = || async {
            Ecr::new(EcrOptions {
                aws: load_aws_configuration().await,
                create_repositories: self.template.clone(),
                quotas: self.quotas.clone(),
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
            if self.template.is_none() {
                return Ok(());
            }
            self.ecr().await.ensure_repository(registry, repository).await
        })
    }

    fn present<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
        digests: &'a [Digest],
    ) -> ExtensionFuture<'a, Option<Vec<Presence>>> {
        Box::pin(async move { self.ecr().await.present(registry, repository, digests).await })
    }

    fn digests<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
    ) -> ExtensionFuture<'a, Option<BTreeMap<Tag, Digest>>> {
        Box::pin(async move { self.ecr().await.digests(registry, repository).await })
    }

    fn pace(&self, registry: &Registry, action: Action) -> Option<Pace> {
        self.quotas.pace(registry, action)
    }
}
