use std::time::Duration;

pub(crate) use onlay_http::{MAX_RETRY_AFTER, retry_after};
use reqwest::StatusCode;

/// How often a request is tried in all.
pub(crate) const ATTEMPTS: u32 = 6;

/// How often a mirror is tried: there is another place to ask, but one hiccup should not send everybody there.
pub(crate) const MIRROR_ATTEMPTS: u32 = 2;

/// What pauses begin with.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

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

/// How long to wait before the attempt after `attempt`.
pub(crate) fn pause(attempt: u32) -> Duration {
    onlay_http::pause(FIRST_PAUSE, attempt)
}

/// How long a host is left alone that was asked too much, for the `strikes`th time in a row, and does not say how long.
///
/// Limits are counted in seconds, so less than one is no pause.
pub(crate) fn throttled_pause(strikes: u32) -> Duration {
    let second = Duration::from_secs(1);
    second + onlay_http::pause(second, strikes)
}

#[cfg(test)]
mod tests {
    use onlay_http::MAX_PAUSE;

    use super::*;

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
