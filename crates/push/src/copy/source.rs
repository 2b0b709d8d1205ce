use std::sync::Arc;

use onlay_oci::{Descriptor, Digest, Document, Tag};
use onlay_registry::{Client, DigestTags, RepositoryClient};
use onlay_store::{Location, Store, StoreError};

use super::CopyFailure;
use crate::BlobOrigin;

/// Where an image is copied from.
pub(super) enum Source {
    Registry {
        repository: RepositoryClient,
        /// The tag or digest.
        identifier: String,
    },
    Store {
        store: Arc<Store>,
        root: Descriptor,
    },
}

/// The largest configuration that is read to learn an image's platform, in bytes; real ones have some kilobytes.
const MAX_CONFIGURATION_SIZE: u64 = 8 * 1024 * 1024;

impl Source {
    /// Opens it; a registry is not asked yet.
    pub(super) async fn open(client: &Client, location: &Location) -> Result<Self, CopyFailure> {
        if let Location::Registry(reference) = location {
            return Ok(Self::Registry {
                repository: client.source(reference)?,
                identifier: reference.clone().with_default_tag().identifier(),
            });
        }
        let location = location.clone();
        let opened = tokio::task::spawn_blocking(move || Store::open(&location)).await;
        let (store, root) = opened.map_err(|_| CopyFailure::Worker)??;
        Ok(Self::Store {
            store: Arc::new(store),
            root,
        })
    }

    /// The digest of what is meant: one HEAD, or nothing at all where it is known.
    pub(super) async fn digest(&self) -> Result<Digest, CopyFailure> {
        let (repository, identifier) = match self {
            Self::Store { root, .. } => return Ok(root.digest.clone()),
            Self::Registry {
                repository,
                identifier,
            } => (repository, identifier),
        };
        if let Ok(digest) = identifier.parse() {
            return Ok(digest);
        }
        match repository.head_manifest(identifier).await? {
            Some(found) => Ok(found.digest),
            // The registry says why when it is asked properly.
            None => Ok(repository.pull_manifest(identifier).await?.1.digest),
        }
    }

    /// Reads what is meant, which has this digest.
    pub(super) async fn root(&self, digest: &Digest) -> Result<Document, CopyFailure> {
        match self {
            Self::Registry { repository, .. } => Ok(repository.pull_manifest(&digest.to_string()).await?.0),
            Self::Store { root, .. } => self.document(root).await,
        }
    }

    /// Reads a manifest or index that something names.
    pub(super) async fn document(&self, descriptor: &Descriptor) -> Result<Document, CopyFailure> {
        match self {
            Self::Registry { repository, .. } => {
                Ok(repository.pull_manifest(&descriptor.digest.to_string()).await?.0)
            }
            Self::Store { store, .. } => {
                let descriptor = descriptor.clone();
                blocking(store, move |store| store.document(&descriptor)).await
            }
        }
    }

    /// Reads a configuration.
    pub(super) async fn configuration(&self, descriptor: &Descriptor) -> Result<Vec<u8>, CopyFailure> {
        match self {
            Self::Registry { repository, .. } => {
                let bytes = repository
                    .pull_blob_bytes(descriptor, MAX_CONFIGURATION_SIZE)
                    .await;
                Ok(bytes?.to_vec())
            }
            Self::Store { store, .. } => {
                let descriptor = descriptor.clone();
                blocking(store, move |store| store.read_blob(&descriptor)).await
            }
        }
    }

    /// Finds what has a tag: one HEAD.
    pub(super) async fn tagged(&self, tag: &Tag) -> Result<Option<Descriptor>, CopyFailure> {
        match self {
            Self::Registry { repository, .. } => Ok(repository.head_manifest(tag.as_str()).await?),
            Self::Store { store, .. } => {
                let tag = tag.clone();
                blocking(store, move |store| store.tagged(&tag)).await
            }
        }
    }

    /// The tags that are made of digests: one request, or several where there are many tags.
    pub(super) async fn digest_tags(&self) -> Result<DigestTags, CopyFailure> {
        match self {
            Self::Registry { repository, .. } => Ok(repository.digest_tags().await?),
            Self::Store { store, .. } => {
                let images = blocking(store, |store| store.images()).await?;
                Ok(DigestTags::known(images.iter().filter_map(Descriptor::tag)))
            }
        }
    }

    /// Lists what refers to a manifest; a layout keeps the list as a registry does that knows no such lists.
    pub(super) async fn referrers(
        &self,
        subject: &Digest,
        tags: &DigestTags,
    ) -> Result<Vec<Descriptor>, CopyFailure> {
        match self {
            Self::Registry { repository, .. } => Ok(repository.referrers_with(subject, None, tags).await?),
            Self::Store { .. } => match self.tagged(&subject.referrers_tag()).await? {
                Some(list) => match self.document(&list).await? {
                    Document::Index(index) => Ok(index.manifests().to_vec()),
                    Document::Manifest(_) => Ok(Vec::new()),
                },
                None => Ok(Vec::new()),
            },
        }
    }

    /// Tells whether it is known that only tags say what refers to something.
    pub(super) fn keeps_no_lists(&self) -> bool {
        match self {
            Self::Registry { repository, .. } => repository.keeps_no_referrers(),
            Self::Store { .. } => true,
        }
    }

    /// Where the bytes of its blobs are.
    pub(super) fn origin(&self) -> BlobOrigin {
        match self {
            Self::Registry { repository, .. } => BlobOrigin::Registry(repository.clone()),
            Self::Store { store, .. } => BlobOrigin::Store(store.clone()),
        }
    }
}

async fn blocking<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, CopyFailure> {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || work(&store)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(CopyFailure::Worker),
    }
}
