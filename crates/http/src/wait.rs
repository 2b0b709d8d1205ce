use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The longest pause of our own.
pub const MAX_PAUSE: Duration = Duration::from_secs(20);

/// The longest pause that a server may ask for; beyond it, failing says more than waiting.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// How long to wait after the failure of this number, from 0: at most `first`, and at most twice as long after each
/// further one. Full jitter, so that clients that failed together do not come back together.
pub fn pause(first: Duration, failure: u32) -> Duration {
    let ceiling = first.saturating_mul(1 << failure.min(10)).min(MAX_PAUSE);
    ceiling.mul_f64(fastrand::f64())
}

/// What a server asks for: seconds, or a date, which is compared with the server's own clock (`Date`), so that ours need
/// not be right.
///
/// Source: RFC 9110 "Retry-After".
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
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
        let after = |value: &str| {
            let pairs = [("retry-after", value), ("date", "Mon, 23 Nov 2026 10:00:00 GMT")];
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            retry_after(&headers)
        };
        assert_eq!(after("4"), Some(Duration::from_secs(4)));
        let later = "Mon, 23 Nov 2026 10:00:07 GMT";
        assert_eq!(after(later), Some(Duration::from_secs(7)));
        assert_eq!(after("Mon, 23 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn pauses_grow_and_are_bounded_and_spread() {
        let first = Duration::from_millis(250);
        for failure in 0..100 {
            let ceiling = first.saturating_mul(1 << failure.min(10)).min(MAX_PAUSE);
            let pauses: Vec<Duration> = (0..200).map(|_| pause(first, failure)).collect();
            assert!(pauses.iter().all(|pause| *pause <= ceiling));
            // Full jitter: from nothing to the ceiling. That 200 pauses miss a fifth has a chance of 4e-20.
            assert!(pauses.iter().any(|pause| *pause < ceiling / 5));
            assert!(pauses.iter().any(|pause| *pause > ceiling / 5 * 4));
        }
    }
}
