use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// How often a request is tried in all.
pub(crate) const ATTEMPTS: u32 = 6;

/// How often a mirror is tried: there is another place to ask, but one hiccup should not send everybody there.
pub(crate) const MIRROR_ATTEMPTS: u32 = 2;

/// The longest pause of our own.
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// The longest pause that a registry may ask for; beyond it, failing says more than waiting.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The longest pause that a mirror may ask for: there is another place to ask.
pub(crate) const MIRROR_MAX_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Whether the same request may succeed a little later.
///
/// Source: distribution-spec does not say; registry.md §1.2 has what clients do.
pub(crate) fn is_retryable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504 | 522)
}

/// Whether a registry says by the status alone that it is asked too much.
pub(crate) fn is_throttling(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 503)
}

/// How long to wait before the attempt after `attempt`: exponential with full jitter, so that clients that failed
/// together do not come back together.
pub(crate) fn pause(attempt: u32) -> Duration {
    let ceiling = Duration::from_millis(250)
        .saturating_mul(1 << attempt.min(10))
        .min(MAX_PAUSE);
    ceiling.mul_f64(fastrand::f64())
}

/// How long a host is left alone that was asked too much, for the `strikes`th time in a row, and does not say how long.
///
/// Limits are counted in seconds, so less than one is no pause.
pub(crate) fn throttled_pause(strikes: u32) -> Duration {
    let ceiling = Duration::from_secs(1)
        .saturating_mul(1 << strikes.min(10))
        .min(MAX_PAUSE);
    Duration::from_secs(1) + ceiling.mul_f64(fastrand::f64())
}

/// What a registry asks for: seconds, or a date, which is compared with the registry's own clock (`Date`), so that ours
/// need not be right.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now: SystemTime = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn both_forms_of_retry_after() {
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect()
        };
        let seconds = headers(&[("retry-after", "4")]);
        assert_eq!(retry_after(&seconds), Some(Duration::from_secs(4)));
        let date = [
            ("retry-after", "Mon, 23 Nov 2026 10:00:07 GMT"),
            ("date", "Mon, 23 Nov 2026 10:00:00 GMT"),
        ];
        assert_eq!(retry_after(&headers(&date)), Some(Duration::from_secs(7)));
        let past = [
            ("retry-after", "Mon, 23 Nov 2026 09:00:00 GMT"),
            ("date", "Mon, 23 Nov 2026 10:00:00 GMT"),
        ];
        assert_eq!(retry_after(&headers(&past)), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_are_bounded_and_spread() {
        for attempt in 0..20 {
            let ceiling = Duration::from_millis(250 << attempt.min(10)).min(MAX_PAUSE);
            let mut waits = Vec::new();
            for _ in 0..200 {
                let start = Instant::now();
                tokio::time::sleep(pause(attempt)).await;
                waits.push(start.elapsed());
            }
            // The clock has milliseconds, and sleeps at least as long as it is told.
            assert!(
                waits
                    .iter()
                    .all(|wait| *wait <= ceiling + Duration::from_millis(1))
            );
            // Full jitter: from nothing to the ceiling. That 200 pauses miss a fifth has a chance of 4e-20.
            assert!(waits.iter().any(|wait| *wait < ceiling / 5));
            assert!(waits.iter().any(|wait| *wait > ceiling / 5 * 4));
        }
    }

    #[test]
    fn throttled_pauses_are_seconds_and_bounded() {
        for strikes in 0..100 {
            let pauses: Vec<Duration> = (0..100).map(|_| throttled_pause(strikes)).collect();
            let ceiling = Duration::from_secs(1 << strikes.min(10)).min(MAX_PAUSE);
            let bounds = Duration::from_secs(1)..=Duration::from_secs(1) + ceiling;
            assert!(pauses.iter().all(|pause| bounds.contains(pause)));
        }
    }
}
