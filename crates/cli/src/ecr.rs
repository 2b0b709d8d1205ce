use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use onlay_ecr::{
    AwsSource, Ecr, EcrOptions, Needs, Quotas, RepositoryTemplate, Role, RoleError, is_ecr,
    load_aws_configuration,
};
use onlay_http::ConnectionOptions;
use onlay_oci::Registry;

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

    /// Take on a role to speak to this registry, with an external id if the account wants one
    #[arg(long, value_name = "HOST=ROLE_ARN[,EXTERNAL_ID]")]
    pub ecr_assume_role: Vec<String>,

    /// Pull from ECR Public with AWS's credentials, where more may be pulled than without; it is pushed to with them anyhow
    #[arg(long)]
    pub ecr_public_credentials: bool,

    /// Make up to N requests a second of this kind, where the account's quota is not the default: PutImage=50. ACTION is
    /// the quota's name: BatchCheckLayerAvailability, BatchGetImage, CompleteLayerUpload, GetDownloadUrlForLayer,
    /// InitiateLayerUpload, PutImage or UploadLayerPart
    #[arg(long, value_name = "ACTION=N")]
    pub ecr_pace: Vec<String>,
}

/// AWS's configuration, of which nothing is read until it is needed.
pub(crate) fn aws_source(connections: ConnectionOptions) -> AwsSource {
    AwsSource::on_demand(move || {
        let connections = connections.clone();
        async move { load_aws_configuration(&connections).await }
    })
}

impl EcrArguments {
    /// The extension that does what the user wants; of AWS's nothing is read until it is needed.
    pub(crate) fn extension(&self, connections: ConnectionOptions) -> Result<Ecr, Usage> {
        Ok(Ecr::new(EcrOptions {
            aws: aws_source(connections),
            create_repositories: self.template()?,
            quotas: self.quotas()?,
            roles: self.roles()?,
            public_credentials: self.ecr_public_credentials,
        }))
    }

    /// What the user wants of ECR, with nothing in it yet that is read or written.
    pub(crate) fn needs(&self) -> Result<Needs, Usage> {
        let mut needs = Needs::default();
        needs.create_repositories = self.template()?;
        needs.roles = self.roles()?;
        needs.public_credentials = self.ecr_public_credentials;
        Ok(needs)
    }

    /// What missing repositories are created with; naming a file asks for it as well.
    fn template(&self) -> Result<Option<RepositoryTemplate>, Usage> {
        let Some(file) = &self.ecr_repository_template else {
            return Ok(self.ecr_create_repository.then(RepositoryTemplate::default));
        };
        let text = fs_err::read_to_string(file).map_err(|error| Usage(error.to_string()))?;
        let template = RepositoryTemplate::parse(&file.display().to_string(), &text);
        template.map(Some).map_err(|error| Usage(error.to_string()))
    }

    fn roles(&self) -> Result<BTreeMap<Registry, Role>, Usage> {
        let role = |text: &String| {
            let wrong = |what: &dyn std::fmt::Display| Usage(format!("`--ecr-assume-role {text}`: {what}"));
            let (host, role) = text
                .split_once('=')
                .ok_or_else(|| wrong(&"expected HOST=ROLE_ARN[,EXTERNAL_ID]"))?;
            let registry = host.parse::<Registry>().ok().filter(is_ecr);
            let registry = registry.ok_or_else(|| wrong(&format!("`{host}` is no registry of ECR")))?;
            let role = role.parse().map_err(|error: RoleError| wrong(&error))?;
            Ok((registry, role))
        };
        self.ecr_assume_role.iter().map(role).collect()
    }

    fn quotas(&self) -> Result<Quotas, Usage> {
        let wrong = |error: onlay_ecr::QuotaError| Usage(format!("`--ecr-pace`: {error}"));
        let mut texts = self.ecr_pace.iter();
        texts.try_fold(Quotas::default(), |quotas, text| {
            quotas.with_text(text).map_err(wrong)
        })
    }
}
