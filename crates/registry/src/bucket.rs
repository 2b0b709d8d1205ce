use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Pace;

/// Keeps requests to a rate that is known beforehand: a token bucket, as the time at which it is full again.
#[derive(Debug, Default)]
pub(crate) struct Bucket(Mutex<Option<Instant>>);

impl Bucket {
    /// Takes a token, and waits until it is there; first come, first served.
    pub(crate) async fn take(&self, pace: Pace) {
        let due = self.reserve(pace, Instant::now());
        tokio::time::sleep_until(due).await;
    }

    /// Takes the next token, and tells when it is there.
    fn reserve(&self, pace: Pace, now: Instant) -> Instant {
        let mut full = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full_again = full.map_or(now, |full| full.max(now));
        let filling = pace.interval.saturating_mul(pace.burst.saturating_sub(1));
        let wait = (full_again - now).saturating_sub(filling);
        *full = Some(full_again + pace.interval);
        now + wait.max(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_A_SECOND: Pace = Pace {
        interval: Duration::from_millis(100),
        burst: 3,
    };

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_one_each_interval() {
        let bucket = Bucket::default();
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..6 {
            bucket.take(TEN_A_SECOND).await;
            times.push(start.elapsed().as_millis());
        }
        assert_eq!(times, [0, 0, 0, 100, 200, 300]);
        // After a rest as many as the bucket holds, not more.
        tokio::time::advance(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..4 {
            bucket.take(TEN_A_SECOND).await;
        }
        assert_eq!(start.elapsed().as_millis(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_together_wait_for_different_tokens() {
        let bucket = Bucket::default();
        let start = Instant::now();
        let takes = (0..63).map(|_| bucket.take(TEN_A_SECOND));
        futures_util::future::join_all(takes).await;
        assert_eq!(start.elapsed().as_secs(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_none_is_a_burst_of_one() {
        let bucket = Bucket::default();
        let pace = Pace {
            burst: 0,
            ..TEN_A_SECOND
        };
        let start = Instant::now();
        bucket.take(pace).await;
        bucket.take(pace).await;
        assert_eq!(start.elapsed().as_millis(), 100);
    }
}
