//! How many requests one registry gets at a time, and when it gets none.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::Action;

/// What every request to a registry passes.
///
/// Requests whose body is streamed have permits of their own. Their source may be the same registry, so they wait for
/// other requests while they hold a permit; if those needed the same permits, as many copies within one registry as
/// there are permits would wait for each other for ever.
#[derive(Debug)]
pub(crate) struct Gate {
    requests: Semaphore,
    uploads: Semaphore,
    closed_until: Mutex<BTreeMap<Action, Instant>>,
}

/// How many requests to one registry wait for an answer at a time, of each kind.
const PARALLEL_REQUESTS: usize = 12;

impl Default for Gate {
    fn default() -> Self {
        Self {
            requests: Semaphore::new(PARALLEL_REQUESTS),
            uploads: Semaphore::new(PARALLEL_REQUESTS),
            closed_until: Mutex::default(),
        }
    }
}

impl Gate {
    /// Waits for the registry to be open to one more request. The permit ends when it is dropped.
    pub(crate) async fn pass(&self, action: Action, uploads: bool) -> Option<SemaphorePermit<'_>> {
        let permits = if uploads { &self.uploads } else { &self.requests };
        // The semaphores are never closed.
        let permit = permits.acquire().await.ok();
        while let Some(until) = self.closed_until(action) {
            tokio::time::sleep_until(until).await;
        }
        permit
    }

    /// Lets no request of this kind pass for a while: what one was told in `Retry-After` holds for all of them, and not
    /// for others.
    pub(crate) fn close_for(&self, action: Action, wait: Duration) {
        let until = Instant::now() + wait;
        let mut closed = self.closed();
        let before = closed.entry(action).or_insert(until);
        *before = until.max(*before);
    }

    fn closed_until(&self, action: Action) -> Option<Instant> {
        let until = self.closed().get(&action).copied();
        until.filter(|until| *until > Instant::now())
    }

    fn closed(&self) -> MutexGuard<'_, BTreeMap<Action, Instant>> {
        self.closed_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_counts() {
        let gate = Gate::default();
        gate.close_for(Action::SendBlob, Duration::from_secs(5));
        gate.close_for(Action::SendBlob, Duration::from_secs(2));
        let start = Instant::now();
        gate.pass(Action::PullBlob, false).await;
        assert_eq!(start.elapsed().as_secs(), 0);
        gate.pass(Action::SendBlob, false).await;
        assert_eq!(start.elapsed().as_secs(), 5);
        gate.pass(Action::SendBlob, true).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
