use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::config::Region;
use onlay_registry::Credential;
use tokio::sync::OnceCell;

use crate::EcrError;
use crate::calls::Calls;
use crate::host::Endpoint;
use crate::signed::{attempts, configured_endpoint};
use crate::token::{Answer, TokenCache};

/// One endpoint of ECR's API, and the token it gave.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) calls: Calls,
    token: TokenCache,
    answers: OnceCell<bool>,
}

/// How long is waited for AWS's credentials where there is another way to go on: where they come from the machine, they
/// are there in less, and where there are none, the instance metadata service alone can take longer to find that out.
const PATIENCE: Duration = Duration::from_secs(5);

impl Api {
    pub(crate) fn new(aws: &SdkConfig, endpoint: &Endpoint) -> Self {
        let mut config = aws_sdk_ecr::config::Builder::from(aws)
            .region(Region::new(endpoint.region.clone()))
            .retry_config(RetryConfig::disabled());
        // A configured endpoint has no variants, and the SDK refuses to choose one. Beside that, what is switched on
        // for all of AWS stays on.
        if configured_endpoint(aws, "ECR").is_none() {
            if endpoint.fips {
                config = config.use_fips(true);
            }
            if endpoint.dual_stack {
                config = config.use_dual_stack(true);
            }
        }
        Self {
            client: Client::from_conf(config.build()),
            calls: Calls::new(&endpoint.region, attempts(aws)),
            token: TokenCache::new(&endpoint.region, aws.time_source()),
            answers: OnceCell::new(),
        }
    }

    /// The token as a credential; `renew` says that a registry has refused the last one.
    pub(crate) async fn credential(&self, renew: bool) -> Result<Credential, EcrError> {
        let fetch = || self.fetch_token();
        match renew {
            false => self.token.credential(fetch).await,
            true => self.token.renewed(fetch).await,
        }
    }

    /// Tells whether there are credentials of AWS that ECR takes. Where docker's configuration has the registry's
    /// password, there may be none, and a push needs none. It is found out once, and not waited for long.
    pub(crate) async fn answers(&self) -> bool {
        let ask = || async {
            match tokio::time::timeout(PATIENCE, self.credential(false)).await {
                Ok(Ok(_)) => true,
                Ok(Err(error)) => {
                    tracing::debug!(region = self.calls.region(), %error, "ECR's API is not made use of");
                    false
                }
                Err(_) => false,
            }
        };
        *self.answers.get_or_init(ask).await
    }

    async fn fetch_token(&self) -> Result<Answer, EcrError> {
        let request = self.client.get_authorization_token();
        let answer = self
            .calls
            .call("GetAuthorizationToken", || request.clone().send())
            .await?;
        let data = answer.authorization_data().first();
        Ok(Answer {
            token: data.and_then(|data| Some(data.authorization_token()?.to_owned())),
            expires_at: data
                .and_then(|data| data.expires_at())
                .and_then(|at| (*at).try_into().ok()),
        })
    }
}
