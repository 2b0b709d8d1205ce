//! A run that is asked to end.

use std::time::Duration;

use tokio::sync::watch;

/// Says whether a run is asked to end: no further image is begun then, and those under way have a little time. Cloning
/// gives another ear.
#[derive(Clone, Debug)]
pub struct Stop(Option<watch::Receiver<bool>>);

/// How long images under way have. Engines send SIGKILL 30 seconds after SIGTERM, and the report is to be written.
const PATIENCE: Duration = Duration::from_secs(20);

impl Stop {
    /// Nobody asks.
    pub const NEVER: Self = Self(None);

    /// It is asked for when this turns to true.
    pub fn when(asked: watch::Receiver<bool>) -> Self {
        Self(Some(asked))
    }

    /// Whether it has been asked for.
    pub fn is_asked(&self) -> bool {
        self.0.as_ref().is_some_and(|asked| *asked.borrow())
    }

    /// Waits until it is asked for.
    pub async fn asked(&self) {
        let Some(asked) = &self.0 else {
            return std::future::pending().await;
        };
        if asked.clone().wait_for(|asked| *asked).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending().await
        }
    }

    /// Waits until it was asked for and the time is up.
    pub(crate) async fn out_of_time(&self) {
        self.asked().await;
        tokio::time::sleep(PATIENCE).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_has_a_little_time() {
        let sender = watch::Sender::new(false);
        let stop = Stop::when(sender.subscribe());
        assert!(!stop.is_asked() && stop.asked().now_or_never().is_none());
        assert!(Stop::NEVER.asked().now_or_never().is_none());
        sender.send_replace(true);
        assert!(stop.is_asked() && stop.asked().now_or_never().is_some());
        let begun = tokio::time::Instant::now();
        stop.out_of_time().await;
        assert_eq!(begun.elapsed(), PATIENCE);
    }
}
