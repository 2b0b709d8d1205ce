use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

/// How many requests are under way at a time, found out by trying: one more for each full window of answers, half as
/// many when one is too many.
///
/// Source: the additive increase and multiplicative decrease of TCP, RFC 5681.
#[derive(Debug)]
pub(crate) struct Window {
    slots: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    size: usize,
    /// Slots that are in use but no longer part of the window; they end when they come back.
    owed: usize,
    /// Answers since the window last changed.
    answers: usize,
    /// How often the window was halved.
    epoch: u64,
}

/// How many requests are under way before anything is known.
const FIRST_SIZE: usize = 12;

/// How far a window grows: as many connections as one host should get from one client.
const MAX_SIZE: usize = 32;

impl Default for Window {
    fn default() -> Self {
        Self {
            slots: Semaphore::new(FIRST_SIZE),
            state: Mutex::new(State {
                size: FIRST_SIZE,
                owed: 0,
                answers: 0,
                epoch: 0,
            }),
        }
    }
}

impl Window {
    /// Waits for a slot, first come, first served.
    pub(crate) async fn enter(&self) -> Slot<'_> {
        // The semaphore is never closed. The permit comes back by hand, since it may have ended meanwhile.
        if let Ok(permit) = self.slots.acquire().await {
            permit.forget();
        }
        let epoch = self.lock().epoch;
        Slot { window: self, epoch }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_slot(&self, state: &mut State) {
        if state.owed > 0 {
            state.owed -= 1;
        } else {
            self.slots.add_permits(1);
        }
    }
}

/// The right to one request; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    window: &'a Window,
    epoch: u64,
}

impl Slot<'_> {
    /// Tells that the request was answered. A window that is not full says nothing about what it could hold.
    pub(crate) fn accepted(&self) {
        let mut state = self.window.lock();
        if self.window.slots.available_permits() > 0 {
            return;
        }
        state.answers += 1;
        if state.answers >= state.size && state.size < MAX_SIZE {
            state.answers = 0;
            state.size += 1;
            self.window.add_slot(&mut state);
        }
    }

    /// Tells that the request was one too many, and whether that is news: requests that were under way together are one
    /// sign, not several.
    pub(crate) fn throttled(&self) -> bool {
        let mut state = self.window.lock();
        if self.epoch != state.epoch {
            return false;
        }
        let size = (state.size / 2).max(1);
        let surplus = state.size - size;
        let ended = self.window.slots.forget_permits(surplus);
        state.owed += surplus - ended;
        state.size = size;
        state.answers = 0;
        state.epoch += 1;
        true
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.window.add_slot(&mut self.window.lock());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// As many slots as there are.
    fn fill(window: &Window) -> Vec<Slot<'_>> {
        std::iter::from_fn(|| window.enter().now_or_never()).collect()
    }

    #[test]
    fn a_full_window_grows_by_one_for_each_round() {
        let window = Window::default();
        for size in FIRST_SIZE..MAX_SIZE {
            let slots = fill(&window);
            assert_eq!(slots.len(), size);
            slots.iter().for_each(Slot::accepted);
        }
        for _ in 0..3 {
            let slots = fill(&window);
            assert_eq!(slots.len(), MAX_SIZE);
            slots.iter().for_each(Slot::accepted);
        }
    }

    #[test]
    fn a_window_that_is_not_full_does_not_grow() {
        let window = Window::default();
        for _ in 0..100 {
            let slot = window.enter().now_or_never().unwrap();
            slot.accepted();
        }
        assert_eq!(fill(&window).len(), FIRST_SIZE);
    }

    #[test]
    fn it_is_halved_once_for_what_was_under_way_and_never_below_one() {
        let window = Window::default();
        for expected in [6, 3, 1, 1] {
            let slots = fill(&window);
            let news = slots.iter().filter(|slot| slot.throttled()).count();
            assert_eq!(news, 1);
            drop(slots);
            assert_eq!(fill(&window).len(), expected);
        }
        // It comes back.
        let slots = fill(&window);
        slots.iter().for_each(Slot::accepted);
        drop(slots);
        assert_eq!(fill(&window).len(), 2);
    }

    #[test]
    fn slots_in_use_count_until_they_come_back() {
        let window = Window::default();
        let mut slots = fill(&window);
        assert!(slots[0].throttled());
        for _ in 0..6 {
            slots.pop();
            assert!(window.enter().now_or_never().is_none());
        }
        slots.pop();
        assert!(window.enter().now_or_never().is_some());
    }
}
