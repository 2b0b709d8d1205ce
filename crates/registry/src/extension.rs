use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use onlay_oci::{Digest, Registry, Repository, Tag};

use crate::{Action, Credential};

/// What an extension answers with, in its own time.
pub type ExtensionFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ExtensionError>> + Send + 'a>>;

/// What is known of a particular registry beside what the specification says.
///
/// Calls may come from several tasks at a time and for one thing more than once; an extension makes one request of
/// that. What an extension has no better way for, it leaves to the specification's.
pub trait Extension: fmt::Debug + Send + Sync {
    /// Tells whether this extension speaks for a registry.
    fn matches(&self, registry: &Registry) -> bool;

    /// Gives the credential for a registry, renewed if it is about to expire; `renew` says that the last one was
    /// refused.
    fn credential<'a>(
        &'a self,
        registry: &'a Registry,
        renew: bool,
    ) -> ExtensionFuture<'a, Option<Credential>>;

    /// Makes sure that a repository exists, if the extension was told to; otherwise does nothing.
    fn ensure_repository<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
    ) -> ExtensionFuture<'a, ()>;

    /// Tells which blobs a repository has, in the order they were asked for, in fewer requests than one each; none if
    /// there is no such way here, or not with the rights at hand.
    fn present<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
        digests: &'a [Digest],
    ) -> ExtensionFuture<'a, Option<Vec<Presence>>> {
        let _ = (registry, repository, digests);
        Box::pin(async { Ok(None) })
    }

    /// Gives all tags of a repository with what they name, in fewer requests than one each; none if there is no such
    /// way here. A repository that does not exist has no tags.
    fn digests<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
    ) -> ExtensionFuture<'a, Option<BTreeMap<Tag, Digest>>> {
        let _ = (registry, repository);
        Box::pin(async { Ok(None) })
    }

    /// Gives the images of a repository that have tags, with when they were pushed; none if there is no such way here. A
    /// repository that does not exist has no images.
    fn images<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
    ) -> ExtensionFuture<'a, Option<Vec<StoredImage>>> {
        let _ = (registry, repository);
        Box::pin(async { Ok(None) })
    }

    /// Deletes images with all their tags, and gives those that are still there with why; none if there is no such way here.
    fn delete_images<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a Repository,
        digests: &'a [Digest],
    ) -> ExtensionFuture<'a, Option<Vec<(Digest, String)>>> {
        let _ = (registry, repository, digests);
        Box::pin(async { Ok(None) })
    }

    /// The rate that a registry is known to allow for an action; none if there is nothing known.
    fn pace(&self, registry: &Registry, action: Action) -> Option<Pace> {
        let _ = (registry, action);
        None
    }
}

/// An image that a repository has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImage {
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// When it was pushed, in seconds since 1970, if that is known.
    pub pushed: Option<i64>,
}

/// Whether a blob is in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    Present,
    /// It is not.
    Absent,
    /// It is there, but put away: it must be restored by its owner before it can be read, and sending it again does
    /// not help.
    Archived,
}

/// How often something may be done: `burst` at once, and then once each `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The time between two.
    pub interval: Duration,
    /// How many may come together after a rest.
    pub burst: u32,
}

/// What went wrong in an extension, in its own words.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ExtensionError(Box<dyn std::error::Error + Send + Sync>);

impl ExtensionError {
    /// Wraps an extension's own error.
    pub fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }

    /// The extension's own error, if it is of this type.
    pub fn downcast_ref<T: std::error::Error + 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}
