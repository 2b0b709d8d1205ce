//! The places that a repository is read from: its mirrors in order, and itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use onlay_oci::Digest;
use tokio::sync::Mutex;
use url::Url;

use crate::mirrors::{Source, Sources};
use crate::repository::wants_tag;
use crate::{RegistryError, RepositoryClient};

/// How long a pull-through cache is waited for, each time it lacks something.
const IMPORT_PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// What is different about a repository that stands in for another.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) api: Option<Url>,
    pub(crate) namespace: Option<String>,
    resolves_tags: bool,
    /// Whether the origin is asked where its tags point.
    is_checked: bool,
    /// Whether it has failed this image; another question would most likely be asked in vain too.
    has_failed: AtomicBool,
}

/// Where a repository's tags point, as the repository itself says; none where it has not said.
pub(crate) type OwnTags = Arc<Mutex<BTreeMap<String, Option<Digest>>>>;

impl RepositoryClient {
    /// Reads from these places.
    pub(crate) fn with_sources(self, sources: Sources) -> Self {
        let ends_at_home = sources.ends_at_home;
        let mirror = |source: Source| Self {
            mirror: Some(Arc::new(Mirror {
                api: source.api,
                namespace: source.namespace,
                resolves_tags: source.resolves_tags,
                is_checked: source.is_checked,
                has_failed: AtomicBool::new(false),
            })),
            is_last: false,
            ..Self::new(self.client.clone(), source.registry, source.repository)
        };
        Self {
            sources: sources.sources.into_iter().map(mirror).collect(),
            ends_at_home,
            ..self
        }
    }

    /// The places that are asked for something, in order. Mirrors that nobody answers at are left out.
    pub(crate) fn readers(&self, wants_tag: bool) -> Vec<Self> {
        let is_asked = |source: &&Self| {
            let mirror = source.mirror.as_ref();
            let resolves = mirror.is_none_or(|mirror| mirror.resolves_tags);
            let has_failed = mirror.is_some_and(|mirror| mirror.has_failed.load(Ordering::Relaxed));
            (resolves || !wants_tag) && !has_failed && !source.is_given_up()
        };
        let mut readers: Vec<Self> = self.sources.iter().filter(is_asked).cloned().collect();
        if self.ends_at_home {
            readers.push(Self {
                sources: Arc::new([]),
                ..self.clone()
            });
        } else if readers.is_empty() {
            readers.extend(self.sources.last().cloned());
        }
        // Only those that have another after them give up early.
        if let Some(last) = readers.last_mut() {
            last.is_last = true;
        }
        readers
    }

    fn is_given_up(&self) -> bool {
        self.root().is_ok_and(|root| self.client.is_given_up(&root))
    }

    /// Tells whether the next place should be asked, after this one has failed.
    pub(crate) fn leaves_to_next(&self, error: &RegistryError) -> bool {
        if self.is_last || !error.is_for_others() {
            return false;
        }
        self.pass_over(error);
        if let (true, Ok(root)) = (error.is_interruption(), self.root()) {
            self.client.give_up(root);
        }
        true
    }

    /// Tells whether what a mirror has under a tag is something else than the origin has there; that is asked once, by
    /// HEAD, which is no pull. Where the origin does not answer, the mirror is believed, and somebody told.
    pub(crate) async fn is_refuted(&self, reader: &Self, identifier: &str, found: &Digest) -> bool {
        let is_checked = reader.mirror.as_ref().is_some_and(|mirror| mirror.is_checked);
        if !is_checked || !self.ends_at_home || !wants_tag(identifier) {
            return false;
        }
        let mut tags = self.own_tags.lock().await;
        let own = match tags.get(identifier) {
            Some(known) => known.clone(),
            None => {
                let own = self.own_digest(reader, identifier).await;
                tags.insert(identifier.to_owned(), own.clone());
                own
            }
        };
        let Some(own) = own.filter(|own| own != found) else {
            return false;
        };
        reader.pass_over(&RegistryError::Stale {
            found: found.clone(),
            expected: own,
            origin: self.name(),
        });
        true
    }

    /// Where one of its own tags points; none where it does not say.
    async fn own_digest(&self, mirror: &Self, tag: &str) -> Option<Digest> {
        // There is a mirror to go on with, so it is not waited for as long as something that is needed.
        let home = Self {
            sources: Arc::new([]),
            is_last: false,
            ..self.clone()
        };
        match home.head_own_manifest(tag).await {
            Ok(found) => found.map(|found| found.digest),
            Err(error) => {
                self.client.tell_unchecked(mirror.name(), self.name(), &error);
                None
            }
        }
    }

    /// Whether it stands in for another repository and may be fetching what it lacks.
    fn imports(&self) -> bool {
        self.mirror.is_some() && self.profile().imports
    }

    /// Whether a manifest that it lacks is worth more than one question. Lists of referrers are lacking mostly.
    pub(crate) fn may_import(&self, identifier: &str) -> bool {
        self.imports() && !identifier.starts_with("sha256-") && !identifier.starts_with("sha512-")
    }

    /// Waits for a pull-through cache that lacks something, and says so; tells whether it is worth asking again after
    /// this many times.
    ///
    /// ECR fetches an image from upstream when its manifest is asked for by tag, and answers 404 for parts of it until
    /// they are there (containers-roadmap 2837, rattler 2653).
    pub(crate) async fn has_waited_for_import(&self, url: &Url, times: usize, error: &RegistryError) -> bool {
        let Some(wait) = IMPORT_PAUSES
            .get(times)
            .filter(|_| self.imports() && error.is_not_found())
        else {
            return false;
        };
        let why = "not there yet; a pull-through cache may be fetching it".to_owned();
        let (attempt, of) = (times as u32 + 1, IMPORT_PAUSES.len() as u32 + 1);
        self.client.tell_retry(url, attempt, of, Some(*wait), why);
        tokio::time::sleep(*wait).await;
        true
    }

    fn pass_over(&self, error: &RegistryError) {
        self.client.tell_passed_over(self.name(), error);
        if let Some(mirror) = &self.mirror {
            mirror.has_failed.store(true, Ordering::Relaxed);
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}
