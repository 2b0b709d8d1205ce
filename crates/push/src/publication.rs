use std::collections::HashSet;
use std::sync::Arc;

use onlay_oci::{Descriptor, Digest, Document, Platform};
use onlay_registry::RepositoryClient;
use onlay_store::{Blob, Store};

use crate::Transfer;

/// An image or index that is ready to be published.
#[derive(Clone)]
pub struct Publication {
    /// What gets the tag.
    pub root: Document,
    /// The manifests of an index, in its order; empty for one image.
    pub manifests: Vec<Document>,
    /// Configurations and layers of all images.
    pub blobs: Vec<PublishedBlob>,
    /// The platform of one image, which an archive of Docker's has nowhere else to show.
    pub platform: Option<Platform>,
}

/// A blob that the image refers to.
#[derive(Clone)]
pub struct PublishedBlob {
    /// What it is.
    pub descriptor: Descriptor,
    /// Where its bytes are.
    pub origin: BlobOrigin,
}

/// Where the bytes of a blob are, unless the destination has them.
#[derive(Clone)]
pub enum BlobOrigin {
    /// In memory or in a spool: made in this run.
    Made(Blob),
    /// In a repository of a registry, perhaps the destination's own.
    Registry(RepositoryClient),
    /// In a layout or archive.
    Store(Arc<Store>),
    /// Nowhere that may be copied from: a foreign layer stays with its URLs.
    Foreign,
}

impl Publication {
    /// Each blob once, the largest first, so that no long transfer starts last.
    pub(crate) fn transfers(&self) -> Vec<&PublishedBlob> {
        let mut seen: HashSet<&Digest> = HashSet::new();
        let mut blobs: Vec<&PublishedBlob> = self
            .blobs
            .iter()
            .filter(|blob| seen.insert(&blob.descriptor.digest))
            .collect();
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.descriptor.size));
        blobs
    }
}

impl PublishedBlob {
    /// What it is called when its bytes have moved.
    pub(crate) fn transfer(&self) -> Transfer {
        match self.origin {
            BlobOrigin::Made(_) => Transfer::Uploaded,
            BlobOrigin::Registry(_) | BlobOrigin::Store(_) => Transfer::Copied,
            BlobOrigin::Foreign => Transfer::Foreign,
        }
    }
}
