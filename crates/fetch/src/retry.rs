use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The longest pause of our own.
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// The longest pause that a server may ask for; beyond it, failing says more than waiting.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Whether the same request may succeed a little later. 501 and 505 are about the request, the other 5xx about the
/// server, those of content networks (520 and up) included.
pub(crate) fn is_retryable(status: StatusCode) -> bool {
    match status.as_u16() {
        408 | 429 => true,
        501 | 505 => false,
        code => code >= 500,
    }
}

/// How long to wait before the attempt after `attempt`: exponential with full jitter, so that clients that failed
/// together do not come back together.
pub(crate) fn pause(first: Duration, attempt: u32) -> Duration {
    let ceiling = first.saturating_mul(1 << attempt.min(10)).min(MAX_PAUSE);
    ceiling.mul_f64(fastrand::f64())
}

/// What a server asks for: seconds, or a date, which is compared with the server's own clock (`Date`), so that ours
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
        let after = |value: &str| {
            let pairs = [("retry-after", value), ("date", "Mon, 23 Nov 2026 10:00:00 GMT")];
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            retry_after(&headers)
        };
        assert_eq!(after("4"), Some(Duration::from_secs(4)));
        assert_eq!(
            after("Mon, 23 Nov 2026 10:00:07 GMT"),
            Some(Duration::from_secs(7))
        );
        assert_eq!(after("Mon, 23 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn pauses_are_bounded() {
        let first = Duration::from_millis(250);
        assert!((0..100).all(|attempt| pause(first, attempt) <= MAX_PAUSE));
        assert!((0..100).all(|_| pause(first, 0) <= first));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (code, retryable) in [
            (404, false),
            (403, false),
            (408, true),
            (429, true),
            (500, true),
            (501, false),
            (503, true),
            (522, true),
        ] {
            assert_eq!(
                is_retryable(StatusCode::from_u16(code).unwrap()),
                retryable,
                "{code}"
            );
        }
    }
}
