//! ECR Public, whose images everybody may pull and whose API knows one region.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use onlay_oci::Repository;
use onlay_registry::Credential;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::signed::{Protocol, ServiceName, SignedApi};
use crate::token::{Answer, TokenCache};
use crate::{EcrError, RepositoryTemplate};

/// ECR Public's API, and the token it gave.
///
/// The token is exchanged for another one at the registry, as at Docker Hub.
#[derive(Debug)]
pub(crate) struct Public {
    api: SignedApi,
    token: TokenCache,
    created: Mutex<BTreeMap<Repository, Arc<OnceCell<()>>>>,
}

const NAME: ServiceName = ServiceName {
    signing: "ecr-public",
    protocol: Protocol::Json("SpencerFrontendService"),
    configuration: "ECR PUBLIC",
};

/// Source: AWS General Reference "Amazon ECR Public endpoints and quotas".
pub(crate) const REGION: &str = "us-east-1";
const ENDPOINT: &str = "https://api.ecr-public.us-east-1.amazonaws.com";

impl Public {
    pub(crate) fn new(aws: SdkConfig) -> Self {
        let clock = aws.time_source();
        Self {
            api: SignedApi::new(aws, NAME, REGION, ENDPOINT),
            token: TokenCache::new(REGION, clock),
            created: Mutex::default(),
        }
    }

    /// The token as a credential; `renew` says that it was refused.
    pub(crate) async fn credential(&self, renew: bool) -> Result<Credential, EcrError> {
        let fetch = || self.fetch_token();
        match renew {
            false => self.token.credential(fetch).await,
            true => self.token.renewed(fetch).await,
        }
    }

    async fn fetch_token(&self) -> Result<Answer, EcrError> {
        let answer = self.api.call("GetAuthorizationToken", &json!({})).await?;
        let data = &answer["authorizationData"];
        Ok(Answer {
            token: data["authorizationToken"].as_str().map(str::to_owned),
            expires_at: data["expiresAt"].as_f64().and_then(time),
        })
    }

    /// Makes a repository unless it is there, once however many want it.
    pub(crate) async fn ensure(
        &self,
        repository: &Repository,
        template: &RepositoryTemplate,
    ) -> Result<(), EcrError> {
        let cell = {
            let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(created.entry(repository.clone()).or_default())
        };
        let made = cell.get_or_try_init(|| self.create(repository, template));
        made.await.copied()
    }

    async fn create(&self, repository: &Repository, template: &RepositoryTemplate) -> Result<(), EcrError> {
        // The account is known by the first part, and its API by itself.
        let (_, name) = repository
            .as_str()
            .split_once('/')
            .ok_or_else(|| EcrError::Alias {
                name: repository.to_string(),
            })?;
        if let Some(setting) = template.private_setting() {
            return Err(EcrError::Setting {
                repository: repository.to_string(),
                setting,
            });
        }
        let mut request = json!({"repositoryName": name});
        let tags = template.tags().iter();
        let tags: Vec<Value> = tags
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        if !tags.is_empty() {
            request["tags"] = tags.into();
        }
        match self.api.call("CreateRepository", &request).await {
            Err(error) if error.code() == Some("RepositoryAlreadyExistsException") => Ok(()),
            Err(error) => Err(error.with_right("ecr-public:CreateRepository", || {
                format!("arn:aws:ecr-public::ACCOUNT:repository/{name}")
            })),
            Ok(_) => Ok(()),
        }
    }
}

/// A time in seconds since 1970.
fn time(seconds: f64) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}
