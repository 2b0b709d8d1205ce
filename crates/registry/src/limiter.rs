//! How many requests of one kind go to one host, how often, and when none does.
//!
//! Each pair of host and action has a limiter of its own, so that what slows manifests down does not slow blobs, and a
//! registry's storage does not slow the registry. A request passes three things, in this order: it waits while the host
//! wants to be left alone; it takes a token where a rate is known; it takes a slot of the window. Waiting for the first
//! two takes up no slot.
//!
//! A request whose body is streamed holds its slot while its source is read, and the source may be the same registry.
//! Nobody waits for himself all the same: bodies are streamed by [`Action::SendBlob`] only, what a source is read by is
//! another action with slots of its own, and what is asked about an upload is asked when its body has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::bucket::Bucket;
use crate::retry::throttled_pause;
use crate::window::{Slot, Window};
use crate::{Action, Pace};

/// The limiters of all hosts.
#[derive(Debug, Default)]
pub(crate) struct Limiters(Mutex<BTreeMap<(String, Action), Arc<Limiter>>>);

/// What every request to one host for one action passes.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    bucket: Bucket,
    window: Window,
    closing: Mutex<Closing>,
}

#[derive(Debug, Default)]
struct Closing {
    until: Option<Instant>,
    /// How often the host was asked too much since it last answered.
    strikes: u32,
}

/// The right to one request.
#[derive(Debug)]
pub(crate) struct Passage<'a> {
    limiter: &'a Limiter,
    slot: Slot<'a>,
}

impl Limiters {
    /// The limiter of the host that a URL names.
    pub(crate) fn limiter(&self, url: &Url, action: Action) -> Arc<Limiter> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let mut limiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limiters
            .entry((format!("{host}:{port}"), action))
            .or_default()
            .clone()
    }
}

impl Limiter {
    /// Waits for the host to be open to one more request.
    ///
    /// # Errors
    /// It wants to be left alone for this long, which is more than `longest`.
    pub(crate) async fn pass(&self, pace: Option<Pace>, longest: Duration) -> Result<Passage<'_>, Duration> {
        loop {
            self.opened(longest).await?;
            if let Some(pace) = pace {
                self.bucket.take(pace).await;
            }
            let slot = self.window.enter().await;
            // It may have closed while the others were waited for; whoever waits for that gives the slot back, since the
            // window is smaller when it opens again.
            if self.remaining().is_none() {
                return Ok(Passage { limiter: self, slot });
            }
        }
    }

    async fn opened(&self, longest: Duration) -> Result<(), Duration> {
        while let Some(remaining) = self.remaining() {
            if remaining > longest {
                return Err(remaining);
            }
            tokio::time::sleep(remaining).await;
        }
        Ok(())
    }

    /// For how long it is still closed.
    fn remaining(&self) -> Option<Duration> {
        let until = self.closing().until?;
        Some(until.saturating_duration_since(Instant::now())).filter(|remaining| !remaining.is_zero())
    }

    fn close_for(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut closing = self.closing();
        closing.until = closing.until.max(Some(until));
    }

    fn closing(&self) -> MutexGuard<'_, Closing> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passage<'_> {
    /// The host did as it was asked, or refused it for what it was.
    pub(crate) fn accepted(self) {
        self.slot.accepted();
        self.limiter.closing().strikes = 0;
    }

    /// The host is asked too much. It is left alone for as long as it wants, and for a moment if it does not say.
    pub(crate) fn throttled(self, wait: Option<Duration>) {
        let is_news = self.slot.throttled();
        let pause = is_news.then(|| {
            let mut closing = self.limiter.closing();
            closing.strikes = closing.strikes.saturating_add(1);
            throttled_pause(closing.strikes)
        });
        if let Some(wait) = wait.or(pause) {
            self.limiter.close_for(wait);
        }
    }

    /// The host stumbled, and wants to be left alone for this long.
    pub(crate) fn postponed(self, wait: Duration) {
        self.limiter.close_for(wait);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(300);

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_passes_while_it_is_closed_and_the_longest_wait_counts() {
        let limiter = Limiter::default();
        let start = Instant::now();
        let (first, second) = (
            limiter.pass(None, LONGEST).await,
            limiter.pass(None, LONGEST).await,
        );
        first.unwrap().throttled(Some(Duration::from_secs(5)));
        second.unwrap().throttled(Some(Duration::from_secs(2)));
        let passes = (0..20).map(|_| async {
            let passage = limiter.pass(None, LONGEST).await.unwrap();
            assert!(start.elapsed() >= Duration::from_secs(5), "{:?}", start.elapsed());
            passage.accepted();
        });
        join_all(passes).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_waited_for_a_slot_wait_again_and_find_a_smaller_window() {
        let limiter = Limiter::default();
        let start = Instant::now();
        let (under_way, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let requests = (0..60).map(|number| {
            let (limiter, under_way, most) = (&limiter, &under_way, &most);
            async move {
                let passage = limiter.pass(None, LONGEST).await.unwrap();
                if number == 0 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    return passage.throttled(Some(Duration::from_secs(10)));
                }
                let is_before = start.elapsed() <= Duration::from_secs(1);
                let is_after = start.elapsed() >= Duration::from_secs(11);
                assert!(is_before || is_after, "inside the window: {:?}", start.elapsed());
                let now = under_way.fetch_add(1, Ordering::Relaxed) + 1;
                if is_after {
                    most.fetch_max(now, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
                under_way.fetch_sub(1, Ordering::Relaxed);
            }
        });
        join_all(requests).await;
        assert_eq!(most.into_inner(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_patience_is_told_at_once() {
        let limiter = Limiter::default();
        let passage = limiter.pass(None, LONGEST).await.unwrap();
        passage.throttled(Some(Duration::from_secs(86_400)));
        let start = Instant::now();
        let wait = limiter.pass(None, LONGEST).await.unwrap_err();
        assert_eq!(wait, Duration::from_secs(86_400));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_wait_it_is_left_alone_for_longer_each_time() {
        let limiter = Limiter::default();
        for strikes in 1..8 {
            let start = Instant::now();
            limiter.pass(None, LONGEST).await.unwrap().throttled(None);
            limiter.opened(LONGEST).await.unwrap();
            let longest = Duration::from_secs(1 + (1 << strikes)).min(Duration::from_secs(21));
            let elapsed = start.elapsed();
            assert!(
                elapsed >= Duration::from_secs(1) && elapsed <= longest,
                "{elapsed:?}"
            );
        }
        limiter.pass(None, LONGEST).await.unwrap().accepted();
        assert_eq!(limiter.closing().strikes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_and_actions_are_apart() {
        let limiters = Limiters::default();
        let (registry, storage) = (url("https://a.example/v2/x"), url("https://b.example/x?y"));
        let put = limiters.limiter(&registry, Action::PutManifest);
        let passage = put.pass(None, LONGEST).await.unwrap();
        passage.throttled(Some(Duration::from_secs(60)));
        let start = Instant::now();
        for (url, action) in [(&registry, Action::PullBlob), (&storage, Action::PutManifest)] {
            let other = limiters.limiter(url, action);
            other.pass(None, LONGEST).await.unwrap().accepted();
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        let same = limiters.limiter(&url("https://a.example:443/v2/y"), Action::PutManifest);
        same.pass(None, LONGEST).await.unwrap().accepted();
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_rate_takes_up_no_slot() {
        let limiter = Limiter::default();
        let slow = Pace {
            interval: Duration::from_secs(10),
            burst: 1,
        };
        let start = Instant::now();
        let paced = join_all((0..50).map(|_| async {
            limiter.pass(Some(slow), LONGEST).await.unwrap().accepted();
        }));
        let free = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            limiter.pass(None, LONGEST).await.unwrap().accepted();
            start.elapsed()
        };
        let (_, free) = tokio::join!(paced, free);
        assert_eq!(free.as_secs(), 1);
        assert_eq!(start.elapsed().as_secs(), 490);
    }

    /// A registry that takes ten requests a second, and at most ten at once after a rest.
    struct TenASecond(Mutex<(f64, Instant)>);

    impl TenASecond {
        fn takes_one(&self) -> bool {
            let mut state = self.0.lock().unwrap();
            let (tokens, filled) = *state;
            let tokens = (tokens + filled.elapsed().as_secs_f64() * 10.0).min(10.0);
            let is_taken = tokens >= 1.0;
            *state = (if is_taken { tokens - 1.0 } else { tokens }, Instant::now());
            is_taken
        }
    }

    /// One request, as often as it takes.
    async fn attempts(limiter: &Limiter, registry: &TenASecond, pace: Option<Pace>) -> u32 {
        for attempt in 1.. {
            let passage = limiter.pass(pace, LONGEST).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            if registry.takes_one() {
                passage.accepted();
                return attempt;
            }
            passage.throttled(None);
        }
        0
    }

    #[tokio::test(start_paused = true)]
    async fn sixty_manifests_against_ten_a_second() {
        let pace = Pace {
            interval: Duration::from_millis(100),
            burst: 10,
        };
        for (pace, most_attempts, most_seconds) in [(Some(pace), 1, 6), (None, crate::retry::ATTEMPTS, 40)] {
            let limiter = Limiter::default();
            let registry = TenASecond(Mutex::new((10.0, Instant::now())));
            let start = Instant::now();
            let requests = (0..60).map(|_| attempts(&limiter, &registry, pace));
            let most = join_all(requests).await.into_iter().max();
            assert!(most <= Some(most_attempts), "{most:?}");
            assert!(start.elapsed().as_secs() <= most_seconds, "{:?}", start.elapsed());
        }
    }
}
