use std::fmt;
use std::future::Future;
use std::pin::Pin;

use onlay_oci::{Registry, Repository};

use crate::Credential;

/// What an extension answers with, in its own time.
pub type ExtensionFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ExtensionError>> + Send + 'a>>;

/// What is known of a particular registry beside what the specification says.
///
/// Calls may come from several tasks at a time and for one thing more than once; an extension makes one request of
/// that.
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
}
