//! What happens meanwhile that somebody may want to know of.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::Client;
use crate::retry::{ATTEMPTS, pause};

/// What happens while a registry is spoken to, beside what comes of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Something is tried again.
    Retry(Retry),
    /// A mirror could not be reached, lacks something or refuses it; the next place is asked.
    MirrorPassedOver {
        /// Registry and repository.
        mirror: String,
        /// What happened, with its causes.
        why: String,
    },
    /// A mirror is believed about a tag, since the origin does not say where it points.
    MirrorUnchecked {
        /// Registry and repository of the mirror.
        mirror: String,
        /// Registry and repository of the origin.
        origin: String,
        /// What happened, with its causes.
        why: String,
    },
}

/// Something is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// The host that is asked.
    pub host: String,
    /// Which attempt comes now, the first being 1.
    pub attempt: u32,
    /// How many there are in all, unless something else happens meanwhile.
    pub of: u32,
    /// How long is waited before, where that is known.
    pub wait: Option<Duration>,
    /// What happened to the attempt before.
    pub why: String,
}

/// Where events go. Cloning gives another handle to the same place; the default is nowhere.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Receive>>);

type Receive = dyn Fn(Event) + Send + Sync;

impl Observer {
    /// Sends events to a function, which is called from any thread and must not block.
    pub fn new(receive: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(receive)))
    }

    fn send(&self, event: Event) {
        if let Some(receive) = &self.0 {
            receive(event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer" } else { "nobody" })
    }
}

impl Client {
    /// Waits before the attempt after the `attempt`th, and says so.
    pub(crate) async fn wait_to_retry(&self, url: &Url, attempt: u32, of: u32, why: String) {
        let wait = pause(attempt);
        self.tell_retry(url, attempt, of, Some(wait), why);
        tokio::time::sleep(wait).await;
    }

    /// Waits before something is read again whose `attempt`th answer broke off, and says so.
    pub(crate) async fn wait_to_reread(&self, url: &Url, attempt: u32) {
        let why = "the answer breaks off".to_owned();
        self.wait_to_retry(url, attempt, ATTEMPTS, why).await;
    }

    /// Says that an attempt comes after the `attempt`th, when the host may be asked again.
    pub(crate) fn tell_retry(&self, url: &Url, attempt: u32, of: u32, wait: Option<Duration>, why: String) {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        self.options().observer.send(Event::Retry(Retry {
            host: format!("{}{port}", url.host_str().unwrap_or_default()),
            attempt: attempt + 1,
            of,
            wait,
            why,
        }));
    }

    pub(crate) fn tell_passed_over(&self, mirror: String, error: &dyn Error) {
        let why = with_causes(error);
        let event = Event::MirrorPassedOver { mirror, why };
        self.options().observer.send(event);
    }

    pub(crate) fn tell_unchecked(&self, mirror: String, origin: String, error: &dyn Error) {
        let why = with_causes(error);
        self.options()
            .observer
            .send(Event::MirrorUnchecked { mirror, origin, why });
    }
}

/// An error and what caused it, on one line.
fn with_causes(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", with_causes(source)),
        None => error.to_string(),
    }
}
