use std::sync::Arc;

use onlay_oci::Digest;
use onlay_store::{Cache, CacheKind};

/// Manifests and configurations that an earlier run read, by their digests, so that a registry is asked only for what
/// can have changed: where a tag points.
#[derive(Clone, Default)]
pub(crate) struct Documents(Option<Arc<Cache>>);

impl Documents {
    /// Keeps them in a cache.
    pub(crate) fn in_cache(cache: Arc<Cache>) -> Self {
        Self(Some(cache))
    }

    /// The bytes that a digest names. What has been damaged is as good as nothing.
    pub(crate) async fn find(&self, digest: &Digest) -> Option<Vec<u8>> {
        let (cache, digest) = (self.0.clone()?, digest.clone());
        let read = tokio::task::spawn_blocking(move || {
            let bytes = cache.get(CacheKind::Document, &digest)?;
            digest.matches(&bytes).then_some(bytes)
        });
        read.await.ok().flatten()
    }

    /// Where a name pointed when an earlier run asked for it.
    pub(crate) async fn last_of(&self, name: &str) -> Option<Digest> {
        let (cache, key) = (self.0.clone()?, Digest::of(name.as_bytes()));
        let read = tokio::task::spawn_blocking(move || cache.get(CacheKind::Name, &key));
        String::from_utf8(read.await.ok()??).ok()?.parse().ok()
    }

    /// Remembers where a name points, for the next run to begin with.
    pub(crate) async fn keep_last(&self, name: &str, digest: &Digest) {
        let key = Digest::of(name.as_bytes());
        self.put(CacheKind::Name, &key, digest.to_string().as_bytes())
            .await;
    }

    /// Keeps bytes for the next run, to which they save a request, if the cache can be written.
    pub(crate) async fn keep(&self, digest: &Digest, bytes: &[u8]) {
        self.put(CacheKind::Document, digest, bytes).await;
    }

    async fn put(&self, kind: CacheKind, key: &Digest, bytes: &[u8]) {
        let Some(cache) = self.0.clone() else { return };
        let (key, bytes) = (key.clone(), bytes.to_vec());
        let written = tokio::task::spawn_blocking(move || cache.put(kind, &key, &bytes));
        if let Ok(Some(warning)) = written.await {
            tracing::warn!(%warning, "document not kept");
        }
    }
}
