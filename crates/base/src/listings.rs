use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use onlay_layer::{LayerReadError, Listing, read_listing};
use onlay_oci::{DiffId, MediaType};
use onlay_store::{Cache, CacheKind};
use tokio::sync::OnceCell;

use crate::{ImageSource, SourceError, StackLayer};

/// The listings of layers: each is read at most once in a run, and kept in the cache for the next.
#[derive(Clone)]
pub struct Listings {
    cache: Arc<Cache>,
    known: Arc<Mutex<HashMap<DiffId, Arc<Slot>>>>,
}

type Slot = OnceCell<Arc<Listing>>;

/// Where a listing came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedFrom {
    /// From an earlier question in this run.
    Memory,
    /// From the cache of an earlier run.
    Cache,
    /// By streaming the layer: this many bytes as stored.
    Layer {
        /// The size of the layer as stored.
        size: u64,
    },
}

impl Listings {
    /// Starts with what the cache holds.
    pub fn new(cache: Arc<Cache>) -> Self {
        Self {
            cache,
            known: Arc::default(),
        }
    }

    /// Gives a layer's listing: from memory, from the cache, else by streaming the layer once.
    ///
    /// Several callers that ask for one layer at a time share one read.
    ///
    /// # Errors
    /// The layer could not be read, or is not what the image's documents say.
    pub async fn listing(
        &self,
        source: &ImageSource,
        layer: &StackLayer,
    ) -> Result<(Arc<Listing>, ListedFrom), ListingsError> {
        let slot = self.slot(&layer.diff_id);
        let mut listed_from = ListedFrom::Memory;
        let listing = slot.get_or_try_init(|| async {
            let (listing, from) = self.load(source, layer).await?;
            listed_from = from;
            Ok(Arc::new(listing))
        });
        let listing = listing.await?.clone();
        Ok((listing, listed_from))
    }

    /// Tells whether a listing is at hand without reading the layer.
    pub fn is_known(&self, diff_id: &DiffId) -> bool {
        self.slot(diff_id).initialized() || self.cache.contains(CacheKind::Listing, diff_id.digest())
    }

    fn slot(&self, diff_id: &DiffId) -> Arc<Slot> {
        // A thread that panicked cannot have left the map half changed.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(diff_id.clone()).or_default().clone()
    }

    async fn load(
        &self,
        source: &ImageSource,
        layer: &StackLayer,
    ) -> Result<(Listing, ListedFrom), ListingsError> {
        if let Some(listing) = self.cached(&layer.diff_id).await {
            return Ok((listing, ListedFrom::Cache));
        }
        let listing = stream_listing(source, layer).await?;
        self.keep(&listing).await;
        Ok((
            listing,
            ListedFrom::Layer {
                size: layer.descriptor.size,
            },
        ))
    }

    /// A listing that does not decode, or is another layer's, is as good as none.
    async fn cached(&self, diff_id: &DiffId) -> Option<Listing> {
        let (cache, diff_id) = (self.cache.clone(), diff_id.clone());
        let read = tokio::task::spawn_blocking(move || {
            let bytes = cache.get(CacheKind::Listing, diff_id.digest())?;
            Listing::decode(&bytes)
                .ok()
                .filter(|listing| listing.diff_id == diff_id)
        });
        read.await.ok().flatten()
    }

    /// A cache that cannot be written costs the next run time, not this run its success.
    async fn keep(&self, listing: &Listing) {
        let Ok(bytes) = listing.encode() else { return };
        let (cache, diff_id) = (self.cache.clone(), listing.diff_id.clone());
        let written =
            tokio::task::spawn_blocking(move || cache.put(CacheKind::Listing, diff_id.digest(), &bytes));
        if let Ok(Some(warning)) = written.await {
            tracing::warn!(%warning, "listing not kept");
        }
    }
}

async fn stream_listing(source: &ImageSource, layer: &StackLayer) -> Result<Listing, ListingsError> {
    if !matches!(layer.descriptor.media_type, MediaType::Layer(..)) {
        let media_type = layer.descriptor.media_type.to_string();
        return Err(ListingsError::MediaType {
            layer: Box::new(layer.clone()),
            media_type,
        });
    }
    let failed = |source: SourceError| ListingsError::Source {
        layer: Box::new(layer.clone()),
        source,
    };
    let reader = source.open_blob(&layer.descriptor).await.map_err(failed)?;
    let diff_id = layer.diff_id.clone();
    let read = tokio::task::spawn_blocking(move || read_listing(reader, &diff_id)).await;
    match read {
        Ok(Ok(listing)) => Ok(listing),
        Ok(Err(source)) => Err(ListingsError::Layer {
            layer: Box::new(layer.clone()),
            source,
        }),
        Err(_) => Err(failed(SourceError::Worker)),
    }
}

/// Why a layer could not be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListingsError {
    /// The layer is not to be had.
    #[error("failed to read layer {layer}")]
    Source {
        /// The layer.
        layer: Box<StackLayer>,
        /// What happened.
        source: SourceError,
    },
    /// The layer is not what the image's documents say, or no tar.
    #[error("layer {layer} cannot be used")]
    Layer {
        /// The layer.
        layer: Box<StackLayer>,
        /// What is wrong with it.
        source: LayerReadError,
    },
    /// The layer is not a tar that may be read: a foreign, encrypted or unknown one.
    #[error("layer {layer} has media type `{media_type}`, whose files cannot be listed")]
    MediaType {
        /// The layer.
        layer: Box<StackLayer>,
        /// Its media type.
        media_type: String,
    },
}
