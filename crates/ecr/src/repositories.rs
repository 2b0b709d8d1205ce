use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ecr::types::{
    EncryptionConfiguration, ImageScanningConfiguration, ImageTagMutabilityExclusionFilter,
    ImageTagMutabilityExclusionFilterType, Tag,
};
use onlay_oci::Repository;
use tokio::sync::OnceCell;

use crate::api::Api;
use crate::template::Encryption;
use crate::{EcrError, EcrHost, RepositoryTemplate};

/// The repositories that are known to exist, because they were made or found here.
///
/// Each is asked for once, however many want it at a time; a failure is not kept.
#[derive(Debug, Default)]
pub(crate) struct Repositories {
    known: Mutex<BTreeMap<Key, Arc<Known>>>,
}

/// Account, region, path. Hosts with FIPS or IPv6 are other doors to the same repository.
type Key = (String, String, Repository);

#[derive(Debug, Default)]
struct Known {
    ready: OnceCell<()>,
    /// Whether it was made here: then its policies are for us to put, however often that takes.
    is_ours: AtomicBool,
}

/// How long names of repositories are, in characters.
///
/// Source: ECR API reference, CreateRepository.
const NAME_LENGTHS: std::ops::RangeInclusive<usize> = 2..=256;

impl Repositories {
    /// Makes a repository unless it is there. One that is there is left as it is.
    pub(crate) async fn ensure(
        &self,
        api: &Api,
        host: &EcrHost,
        repository: &Repository,
        template: &RepositoryTemplate,
    ) -> Result<(), EcrError> {
        let known = self.known(host, repository);
        let creation = Creation {
            api,
            host,
            repository,
            template,
        };
        let made = known.ready.get_or_try_init(|| creation.run(&known.is_ours));
        made.await.copied()
    }

    fn known(&self, host: &EcrHost, repository: &Repository) -> Arc<Known> {
        let key = (
            host.account().to_owned(),
            host.region().to_owned(),
            repository.clone(),
        );
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(key).or_default().clone()
    }
}

/// A repository in the making.
struct Creation<'a> {
    api: &'a Api,
    host: &'a EcrHost,
    repository: &'a Repository,
    template: &'a RepositoryTemplate,
}

impl Creation<'_> {
    async fn run(&self, is_ours: &AtomicBool) -> Result<(), EcrError> {
        self.check_name()?;
        if self.create().await? {
            is_ours.store(true, Ordering::Relaxed);
        }
        if is_ours.load(Ordering::Relaxed) {
            self.put_lifecycle_policy().await?;
            self.put_repository_policy().await?;
        }
        Ok(())
    }

    fn check_name(&self) -> Result<(), EcrError> {
        let name = self.repository.as_str();
        match NAME_LENGTHS.contains(&name.len()) {
            true => Ok(()),
            false => Err(EcrError::Name {
                name: name.to_owned(),
            }),
        }
    }

    /// Asks to create at once: that takes one request where looking first takes two, and cannot race. Tells whether it
    /// was not there before.
    async fn create(&self) -> Result<bool, EcrError> {
        let template = self.template;
        let request = self
            .api
            .client
            .create_repository()
            .registry_id(self.host.account())
            .repository_name(self.repository.as_str())
            .set_image_tag_mutability(template.tag_mutability())
            .set_image_tag_mutability_exclusion_filters(exclusions(template)?)
            .set_image_scanning_configuration(scanning(template))
            .set_encryption_configuration(template.encryption.as_ref().map(encryption).transpose()?)
            .set_tags(tags(template)?);
        let calls = &self.api.calls;
        match calls.call("CreateRepository", || request.clone().send()).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("RepositoryAlreadyExistsException") => Ok(false),
            Err(error) => Err(self.named(error, "ecr:CreateRepository")),
        }
    }

    async fn put_lifecycle_policy(&self) -> Result<(), EcrError> {
        let Some(text) = self.template.lifecycle_policy() else {
            return Ok(());
        };
        let request = self
            .api
            .client
            .put_lifecycle_policy()
            .registry_id(self.host.account())
            .repository_name(self.repository.as_str())
            .lifecycle_policy_text(text);
        let calls = &self.api.calls;
        let put = calls.call("PutLifecyclePolicy", || request.clone().send()).await;
        let missing = match self.template.repository_policy() {
            Some(_) => "its lifecycle policy and its repository policy",
            None => "its lifecycle policy",
        };
        put.map(|_| ())
            .map_err(|error| self.incomplete(missing, self.named(error, "ecr:PutLifecyclePolicy")))
    }

    async fn put_repository_policy(&self) -> Result<(), EcrError> {
        let Some(text) = self.template.repository_policy() else {
            return Ok(());
        };
        let request = self
            .api
            .client
            .set_repository_policy()
            .registry_id(self.host.account())
            .repository_name(self.repository.as_str())
            .policy_text(text);
        let calls = &self.api.calls;
        let put = calls.call("SetRepositoryPolicy", || request.clone().send()).await;
        put.map(|_| ()).map_err(|error| {
            self.incomplete(
                "its repository policy",
                self.named(error, "ecr:SetRepositoryPolicy"),
            )
        })
    }

    fn incomplete(&self, missing: &'static str, error: EcrError) -> EcrError {
        EcrError::Incomplete {
            repository: self.repository.to_string(),
            missing,
            source: Box::new(error),
        }
    }

    /// Says which right is missing, if that is what is wrong.
    fn named(&self, error: EcrError, right: &'static str) -> EcrError {
        error.with_right(right, || self.host.arn(self.repository))
    }
}

/// What the SDK finds missing in a value is always there in ours; its word for it is passed on all the same.
fn exclusions(
    template: &RepositoryTemplate,
) -> Result<Option<Vec<ImageTagMutabilityExclusionFilter>>, EcrError> {
    let filter = |text: &String| {
        ImageTagMutabilityExclusionFilter::builder()
            .filter_type(ImageTagMutabilityExclusionFilterType::Wildcard)
            .filter(text)
            .build()
            .map_err(EcrError::request)
    };
    let filters: Vec<_> = template
        .exclusions()
        .iter()
        .map(filter)
        .collect::<Result<_, _>>()?;
    Ok(Some(filters).filter(|filters| !filters.is_empty()))
}

fn scanning(template: &RepositoryTemplate) -> Option<ImageScanningConfiguration> {
    let scanning = || ImageScanningConfiguration::builder().scan_on_push(true).build();
    template.scan_on_push.then(scanning)
}

fn encryption(encryption: &Encryption) -> Result<EncryptionConfiguration, EcrError> {
    EncryptionConfiguration::builder()
        .encryption_type(encryption.kind.into())
        .set_kms_key(encryption.key.clone())
        .build()
        .map_err(EcrError::request)
}

fn tags(template: &RepositoryTemplate) -> Result<Option<Vec<Tag>>, EcrError> {
    let tag = |(key, value): (&String, &String)| {
        let tag = Tag::builder().key(key).value(value).build();
        tag.map_err(EcrError::request)
    };
    let tags: Vec<_> = template.tags().iter().map(tag).collect::<Result<_, _>>()?;
    Ok(Some(tags).filter(|tags| !tags.is_empty()))
}
