use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::time::Instant;

use crate::EcrError;

/// The one place that ECR's API is asked through: what is throttled rests, and nothing else does.
///
/// The SDK's own retries are switched off, because it has one budget for all actions of a client, and gives up on
/// throttling as early as on an address where nobody answers.
#[derive(Debug)]
pub(crate) struct Calls {
    region: String,
    attempts: u32,
    resting: Mutex<BTreeMap<&'static str, Rest>>,
}

/// How long an action is not asked for, and over how long after that those who wait for it are spread: all at once
/// would use the quota up again.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    spread: Duration,
}

/// What a failure calls for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// To come back later; the quota fills by itself.
    Throttled,
    /// To try a few times more.
    Transient,
    /// Nothing else would come of it.
    Final,
}

/// How often a throttled action is tried. With the pauses below that is most of a minute on average, in which the
/// smallest of ECR's quotas (ten a second) is there for hundreds more.
const THROTTLED_ATTEMPTS: u32 = 10;

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// How AWS calls it when a quota for actions per second is used up. `LimitExceededException`, which the SDK's own list
/// has too, is about how many things there may be in ECR, and does not pass by waiting.
const THROTTLING_CODES: [&str; 6] = [
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
];

impl Calls {
    /// `attempts` is how often a request is sent in all where something broke on the way.
    pub(crate) fn new(region: &str, attempts: u32) -> Self {
        Self {
            region: region.to_owned(),
            attempts,
            resting: Mutex::default(),
        }
    }

    /// The region that is asked.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Sends what `send` makes, again where that helps.
    pub(crate) async fn call<T, E, F>(
        &self,
        action: &'static str,
        send: impl Fn() -> F + Send,
    ) -> Result<T, EcrError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + Error + fmt::Debug + Send + Sync + 'static,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            while let Some(rest) = self.rest_of(action) {
                let moment = rest.until + rest.spread.mul_f64(fastrand::f64());
                tokio::time::sleep_until(moment).await;
            }
            let error = match send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match Failure::of(&error) {
                Failure::Throttled if attempt < THROTTLED_ATTEMPTS => self.rest(action, pause(attempt)),
                Failure::Transient if attempt < self.attempts => tokio::time::sleep(pause(attempt)).await,
                _ => return Err(EcrError::new(action, &self.region, error)),
            }
        }
    }

    fn rest(&self, action: &'static str, pause: Duration) {
        tracing::debug!(action, region = self.region, ?pause, "throttled");
        let until = Instant::now() + pause;
        let mut resting = self.resting();
        let rest = resting.entry(action).or_insert(Rest { until, spread: pause });
        rest.until = until.max(rest.until);
        rest.spread = pause.max(rest.spread);
    }

    fn rest_of(&self, action: &'static str) -> Option<Rest> {
        let mut resting = self.resting();
        let rest = resting.get(action).copied()?;
        if Instant::now() < rest.until {
            return Some(rest);
        }
        resting.remove(action);
        None
    }

    fn resting(&self) -> MutexGuard<'_, BTreeMap<&'static str, Rest>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        let status = error.raw_response().map(|response| response.status().as_u16());
        match (error, error.code(), status) {
            (_, Some(code), _) if THROTTLING_CODES.contains(&code) => Self::Throttled,
            (_, _, Some(429)) => Self::Throttled,
            (_, _, Some(500 | 502 | 503 | 504)) | (SdkError::TimeoutError(_), _, _) => Self::Transient,
            (SdkError::DispatchFailure(failure), _, _) if failure.is_io() || failure.is_timeout() => {
                Self::Transient
            }
            _ => Self::Final,
        }
    }
}

/// Exponential with full jitter, so that those who were throttled together do not come back together.
fn pause(attempt: u32) -> Duration {
    let ceiling = Duration::from_millis(250)
        .saturating_mul(1 << attempt.min(10))
        .min(MAX_PAUSE);
    ceiling.mul_f64(fastrand::f64())
}
