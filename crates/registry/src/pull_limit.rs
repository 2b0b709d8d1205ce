use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onlay_oci::{Registry, Repository};
use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// How many images may be pulled, as a registry told with its last answer. Where it told nothing, there is no limit for
/// what was asked.
///
/// Source: docker/docs usage/pulls.md, the headers `ratelimit-limit`, `ratelimit-remaining` and
/// `docker-ratelimit-source`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullLimit {
    /// How many may be pulled in a window.
    pub limit: Option<u64>,
    /// How many are left.
    pub remaining: Option<u64>,
    /// How long the window is.
    pub window: Option<Duration>,
    /// Whom they are counted for: an address or an account.
    pub source: Option<String>,
}

/// How much of a source's name is kept, in characters.
const MAX_SOURCE: usize = 100;

impl PullLimit {
    /// What headers say; none if they say nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let (limit, window) = text("ratelimit-limit").map(quota).unwrap_or_default();
        let (remaining, other_window) = text("ratelimit-remaining").map(quota).unwrap_or_default();
        let source = text("docker-ratelimit-source").map(|source| source.chars().take(MAX_SOURCE).collect());
        (limit.is_some() || remaining.is_some()).then_some(Self {
            limit,
            remaining,
            window: window.or(other_window),
            source,
        })
    }
}

/// `100;w=21600`: a number, and the seconds that it is for.
fn quota(text: &str) -> (Option<u64>, Option<Duration>) {
    let mut parts = text.split(';').map(str::trim);
    let number = parts.next().and_then(|number| number.parse().ok());
    let seconds = parts.find_map(|part| part.strip_prefix("w=")?.parse().ok());
    (number, seconds.map(Duration::from_secs))
}

/// Such as `76 of 100 pulls left in 6 hours, counted for 192.0.2.1`.
impl fmt::Display for PullLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.remaining, self.limit) {
            (Some(remaining), Some(limit)) => write!(f, "{remaining} of {limit} pulls left")?,
            (Some(remaining), None) => write!(f, "{remaining} pulls left")?,
            (None, Some(limit)) => write!(f, "{limit} pulls")?,
            (None, None) => write!(f, "pulls are limited")?,
        }
        if let Some(window) = self.window {
            write!(f, " in {}", in_words(window))?;
        }
        if let Some(source) = &self.source {
            write!(f, ", counted for {source}")?;
        }
        Ok(())
    }
}

/// Such as `6 hours`.
pub(crate) fn in_words(time: Duration) -> String {
    let (count, unit) = match time.as_secs() {
        seconds if seconds >= 3600 && seconds.is_multiple_of(3600) => (seconds / 3600, "hour"),
        seconds if seconds >= 60 && seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        seconds => (seconds, "second"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// What is known of limits on pulls.
#[derive(Debug, Default)]
pub(crate) struct PullLimits(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    limits: BTreeMap<Registry, (PullLimit, Instant)>,
    /// What was refused for a limit, and until when it is not asked for again. Others may be had all the same: there are
    /// images that nobody counts.
    refused: BTreeMap<(Registry, Option<Repository>), Instant>,
}

/// For how long answers may overtake each other: within it the one that says that least is left is the newest.
const OVERTAKING: Duration = Duration::from_secs(60);

/// For how long an image is not asked for again where nobody says how long the window is: Docker Hub's, by experience.
const USUAL_WINDOW: Duration = Duration::from_secs(6 * 3600);

impl Known {
    fn limit(&self, registry: &Registry) -> PullLimit {
        let known = self.limits.get(registry);
        known.map(|(limit, _)| limit.clone()).unwrap_or_default()
    }
}

impl PullLimits {
    pub(crate) fn all(&self) -> BTreeMap<Registry, PullLimit> {
        let known = self.lock();
        let limits = known.limits.iter();
        limits
            .map(|(registry, (limit, _))| (registry.clone(), limit.clone()))
            .collect()
    }

    pub(crate) fn keep(&self, registry: &Registry, limit: PullLimit) {
        let now = Instant::now();
        let mut known = self.lock();
        let is_overtaken = known.limits.get(registry).is_some_and(|(known, at)| {
            let same = (known.limit, &known.source) == (limit.limit, &limit.source);
            same && now.duration_since(*at) < OVERTAKING && known.remaining < limit.remaining
        });
        if !is_overtaken {
            known.limits.insert(registry.clone(), (limit, now));
        }
    }

    /// Notes that a repository's images were refused, and tells what is known of the limit, and how long to wait.
    pub(crate) fn refuse(
        &self,
        registry: &Registry,
        repository: Option<&Repository>,
        wait: Option<Duration>,
    ) -> PullLimit {
        let mut known = self.lock();
        let limit = known.limit(registry);
        let wait = wait.or(limit.window).unwrap_or(USUAL_WINDOW);
        let until = Instant::now() + wait;
        known
            .refused
            .insert((registry.clone(), repository.cloned()), until);
        limit
    }

    /// The limit that a repository's images were refused for, and for how long they still are.
    pub(crate) fn refusal(
        &self,
        registry: &Registry,
        repository: Option<&Repository>,
    ) -> Option<(PullLimit, Duration)> {
        let known = self.lock();
        let until = known.refused.get(&(registry.clone(), repository.cloned()))?;
        let wait = until.saturating_duration_since(Instant::now());
        let limit = known.limit(registry);
        (!wait.is_zero()).then_some((limit, wait))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(headers: &[(&'static str, &'static str)]) -> Option<PullLimit> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        PullLimit::of(&headers.collect())
    }

    #[test]
    fn what_headers_say() {
        let hub = limit(&[
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", "76;w=21600"),
            ("docker-ratelimit-source", "192.0.2.1"),
        ]);
        let hub = hub.unwrap();
        assert_eq!((hub.limit, hub.remaining), (Some(100), Some(76)));
        assert_eq!(hub.window, Some(Duration::from_secs(21_600)));
        assert_eq!(
            hub.to_string(),
            "76 of 100 pulls left in 6 hours, counted for 192.0.2.1"
        );
        let short = limit(&[("ratelimit-remaining", "3")]).unwrap();
        assert_eq!(short.to_string(), "3 pulls left");
        assert_eq!(limit(&[("docker-ratelimit-source", "192.0.2.1")]), None);
        assert_eq!(
            limit(&[("ratelimit-limit", "many"), ("ratelimit-remaining", "-1")]),
            None
        );
    }

    #[test]
    fn times_in_words() {
        for (seconds, words) in [
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (3601, "3601 seconds"),
            (21_600, "6 hours"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_lasts_as_long_as_the_window() {
        let limits = PullLimits::default();
        let (registry, repository) = ("docker.io".parse().unwrap(), "library/redis".parse().unwrap());
        let known = PullLimit {
            window: Some(Duration::from_secs(3600)),
            ..PullLimit::default()
        };
        limits.keep(&registry, known.clone());
        assert_eq!(limits.refuse(&registry, Some(&repository), None), known);
        assert!(
            limits
                .refusal(&registry, Some(&"library/vault".parse().unwrap()))
                .is_none()
        );
        tokio::time::advance(Duration::from_secs(3000)).await;
        let (found, wait) = limits.refusal(&registry, Some(&repository)).unwrap();
        assert_eq!((found, wait.as_secs()), (known, 600));
        tokio::time::advance(Duration::from_secs(600)).await;
        assert!(limits.refusal(&registry, Some(&repository)).is_none());
    }
}
