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

/// Whether the same request may succeed a little later.
///
/// Source: distribution-spec does not say; registry.md §1.2 has what clients do.
pub(crate) fn is_retryable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504 | 522)
}

/// How long to wait before the attempt after `attempt`: exponential with full jitter, so that clients that failed
/// together do not come back together.
pub(crate) fn pause(attempt: u32) -> Duration {
    let ceiling = Duration::from_millis(250)
        .saturating_mul(1 << attempt.min(10))
        .min(MAX_PAUSE);
    ceiling.mul_f64(fastrand::f64())
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

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert!((0..100).all(|attempt| pause(attempt) <= MAX_PAUSE));
        assert!((0..100).all(|_| pause(0) <= Duration::from_millis(250)));
    }
}
