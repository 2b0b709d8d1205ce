use std::sync::Arc;

use tokio::sync::watch;

/// The tags that are being moved at this moment: whoever ends a run waits for these, and for nothing else, and knows then
/// which have moved. Cloning gives another handle to the same count.
#[derive(Clone, Debug)]
pub struct TagsInFlight(Arc<watch::Sender<usize>>);

/// A tag that is being moved, until this is dropped.
pub(crate) struct TagInFlight(TagsInFlight);

impl TagsInFlight {
    /// None are.
    pub fn none() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Waits until none are.
    pub async fn settled(&self) {
        // The sender lives as long as `self`, so there is always an end.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(crate) fn begin(&self) -> TagInFlight {
        self.0.send_modify(|count| *count += 1);
        TagInFlight(self.clone())
    }
}

impl Default for TagsInFlight {
    fn default() -> Self {
        Self::none()
    }
}

impl Drop for TagInFlight {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn it_is_settled_when_the_last_one_ends() {
        let tags = TagsInFlight::none();
        assert!(tags.settled().now_or_never().is_some());
        let (first, second) = (tags.begin(), tags.clone().begin());
        drop(first);
        assert!(tags.settled().now_or_never().is_none());
        drop(second);
        assert!(tags.settled().now_or_never().is_some());
    }
}
