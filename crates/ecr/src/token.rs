use std::future::Future;
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::SharedTimeSource;
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
    region: String,
    clock: Option<SharedTimeSource>,
    token: Mutex<Option<Token>>,
}

/// What ECR's API, private or public, answers to GetAuthorizationToken.
pub(crate) struct Answer {
    /// `base64(AWS:PASSWORD)`.
    pub(crate) token: Option<String>,
    pub(crate) expires_at: Option<SystemTime>,
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
    pub(crate) fn new(region: &str, clock: Option<SharedTimeSource>) -> Self {
        Self {
            region: region.to_owned(),
            clock,
            token: Mutex::default(),
        }
    }

    /// The token as a credential. The lock is held while `fetch` asks, so that all who wait share the answer.
    pub(crate) async fn credential<F>(&self, fetch: impl Fn() -> F + Send) -> Result<Credential, EcrError>
    where
        F: Future<Output = Result<Answer, EcrError>> + Send,
    {
        let mut held = self.token.lock().await;
        let now = Instant::now();
        match &mut *held {
            Some(token) if now < token.renew_at => Ok(token.credential.clone()),
            Some(token) if now < token.good_until => {
                match fetch().await.and_then(|answer| self.token(answer, now)) {
                    Ok(fresh) => *token = fresh,
                    Err(error) => {
                        tracing::debug!(region = self.region, %error, "the old token serves on");
                        token.renew_at = now + MIN_USE;
                    }
                }
                Ok(token.credential.clone())
            }
            Some(_) | None => self.replace(&mut held, fetch()).await,
        }
    }

    /// A new token in place of one that a registry has refused.
    pub(crate) async fn renewed<F>(&self, fetch: impl Fn() -> F + Send) -> Result<Credential, EcrError>
    where
        F: Future<Output = Result<Answer, EcrError>> + Send,
    {
        let mut held = self.token.lock().await;
        self.replace(&mut held, fetch()).await
    }

    async fn replace(
        &self,
        held: &mut Option<Token>,
        fetched: impl Future<Output = Result<Answer, EcrError>> + Send,
    ) -> Result<Credential, EcrError> {
        *held = None;
        let asked = Instant::now();
        let fresh = self.token(fetched.await?, asked)?;
        Ok(held.insert(fresh).credential.clone())
    }

    fn token(&self, answer: Answer, asked: Instant) -> Result<Token, EcrError> {
        let credential = answer.token.as_deref().and_then(decode);
        let lifetime = answer.expires_at.map_or(USUAL_LIFETIME, |at| self.until(at));
        Ok(Token {
            credential: credential.ok_or_else(|| EcrError::Token {
                region: self.region.clone(),
            })?,
            renew_at: asked + (lifetime / 2).max(MIN_USE),
            good_until: asked + lifetime.max(MIN_USE),
        })
    }

    /// How long it is until then, by the clock that came with AWS's configuration.
    fn until(&self, then: SystemTime) -> Duration {
        let now = self.clock.as_ref().map(|clock| clock.now());
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
