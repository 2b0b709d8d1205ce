use std::time::{Duration, SystemTime};

use aws_sdk_ecr::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onlay_registry::{Credential, Secret};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::EcrError;

/// The authorization token of one endpoint, asked for once however many want it.
///
/// A token is renewed at half of its life, as amazon-ecr-credential-helper does; if that fails, the old one serves on
/// to its end. It opens every registry that the caller may reach through the endpoint.
#[derive(Debug)]
pub(crate) struct TokenCache {
    client: Client,
    region: String,
    token: Mutex<Option<Token>>,
}

#[derive(Clone, Debug)]
struct Token {
    credential: Credential,
    renew_at: Instant,
    good_until: Instant,
}

/// How long a token serves at least, whatever its expiry says: one that has expired on arrival (a clock that is wrong;
/// moto, whose tokens end in 2015) must not be asked for again with every request. Also how long after a failed
/// renewal the next is tried.
const MIN_USE: Duration = Duration::from_secs(60);

/// How long ECR's tokens last, where an answer does not say.
///
/// Source: ECR API reference, GetAuthorizationToken.
const USUAL_LIFETIME: Duration = Duration::from_secs(12 * 3600);

impl TokenCache {
    pub(crate) fn new(client: Client, region: &str) -> Self {
        Self {
            client,
            region: region.to_owned(),
            token: Mutex::default(),
        }
    }

    /// The token as a credential. The lock is held while ECR is asked, so that all who wait share the answer.
    pub(crate) async fn credential(&self) -> Result<Credential, EcrError> {
        let mut held = self.token.lock().await;
        let now = Instant::now();
        match &mut *held {
            Some(token) if now < token.renew_at => Ok(token.credential.clone()),
            Some(token) if now < token.good_until => {
                match self.fetch().await {
                    Ok(fresh) => *token = fresh,
                    Err(_) => token.renew_at = now + MIN_USE,
                }
                Ok(token.credential.clone())
            }
            Some(_) | None => self.replace(&mut held).await,
        }
    }

    /// A new token in place of one that a registry has refused.
    pub(crate) async fn renewed(&self) -> Result<Credential, EcrError> {
        let mut held = self.token.lock().await;
        self.replace(&mut held).await
    }

    async fn replace(&self, held: &mut Option<Token>) -> Result<Credential, EcrError> {
        *held = None;
        let fresh = self.fetch().await?;
        Ok(held.insert(fresh).credential.clone())
    }

    async fn fetch(&self) -> Result<Token, EcrError> {
        let asked = Instant::now();
        let answer = self
            .client
            .get_authorization_token()
            .send()
            .await
            .map_err(|error| EcrError::new("GetAuthorizationToken", &self.region, error))?;
        let data = answer.authorization_data().first();
        let credential = data
            .and_then(|data| decode(data.authorization_token()?))
            .ok_or_else(|| EcrError::Token {
                region: self.region.clone(),
            })?;
        let expires_at = data
            .and_then(|data| data.expires_at())
            .and_then(|at| SystemTime::try_from(*at).ok());
        let lifetime = expires_at.map_or(USUAL_LIFETIME, |at| self.until(at));
        Ok(Token {
            credential,
            renew_at: asked + (lifetime / 2).max(MIN_USE),
            good_until: asked + lifetime.max(MIN_USE),
        })
    }

    /// How long it is until then, by the clock that came with AWS's configuration.
    fn until(&self, then: SystemTime) -> Duration {
        let now = self.client.config().time_source().map(|clock| clock.now());
        now.map_or(USUAL_LIFETIME, |now| then.duration_since(now).unwrap_or_default())
            .min(USUAL_LIFETIME)
    }
}

/// Takes `base64(AWS:PASSWORD)` apart. The password may hold colons.
fn decode(token: &str) -> Option<Credential> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Credential::Password {
        username: username.to_owned(),
        password: Secret::new(password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_split_at_the_first_colon() {
        let expected = Credential::Password {
            username: "AWS".to_owned(),
            password: Secret::new("a:b"),
        };
        assert_eq!(decode("QVdTOmE6Yg=="), Some(expected));
        assert_eq!(decode("QVdT"), None);
        assert_eq!(decode("not base64"), None);
    }
}
