//! Quotas per action: a bucket that holds one second's worth and fills at the quota's rate (aws.md 1.2).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The buckets of all actions that have a quota, and what was asked for.
#[derive(Debug)]
pub(super) struct Quotas {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    buckets: BTreeMap<&'static str, Bucket>,
    asked: Vec<String>,
}

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    left: f64,
    filled: Instant,
}

impl Quotas {
    pub(super) fn new(quotas: &[(&'static str, u32)]) -> Self {
        let bucket = |per_second: u32| Bucket {
            per_second: per_second.into(),
            left: per_second.into(),
            filled: Instant::now(),
        };
        let buckets = quotas.iter().map(|(action, quota)| (*action, bucket(*quota)));
        Self {
            state: Mutex::new(State {
                buckets: buckets.collect(),
                asked: Vec::new(),
            }),
        }
    }

    /// Takes one of what an action has left; tells whether there was one.
    pub(super) fn admits(&self, action: &str) -> bool {
        let mut state = self.state();
        let Some(bucket) = state.buckets.get_mut(action) else {
            return true;
        };
        let now = Instant::now();
        let gained = now.duration_since(bucket.filled).as_secs_f64() * bucket.per_second;
        bucket.left = (bucket.left + gained).min(bucket.per_second);
        bucket.filled = now;
        let admits = bucket.left >= 1.0;
        if admits {
            bucket.left -= 1.0;
        }
        admits
    }

    /// Notes that the API was asked for an action.
    pub(super) fn note(&self, action: &str) {
        self.state().asked.push(action.to_owned());
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    pub(super) fn clear(&self) {
        self.state().asked.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
