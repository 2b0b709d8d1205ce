use std::io::Read;
use std::sync::Arc;

use futures_util::TryStreamExt;
use onlay_oci::{Descriptor, Document};
use onlay_registry::{RegistryError, RepositoryClient};
use onlay_store::{Store, StoreError};

/// Where the documents and blobs of an image are read from.
#[derive(Clone)]
pub enum ImageSource {
    /// A repository of a registry.
    Registry(RepositoryClient),
    /// A layout or archive on disk.
    Store(Arc<Store>),
}

/// The largest configuration that is read, in bytes; real ones have some kilobytes.
const MAX_CONFIGURATION_SIZE: u64 = 8 * 1024 * 1024;

impl ImageSource {
    /// Reads a manifest or index that another document names.
    ///
    /// # Errors
    /// It is not there, or its bytes are not those that were named.
    pub async fn document(&self, descriptor: &Descriptor) -> Result<Document, SourceError> {
        match self {
            Self::Registry(repository) => {
                Ok(repository.pull_manifest(&descriptor.digest.to_string()).await?.0)
            }
            Self::Store(store) => {
                let descriptor = descriptor.clone();
                blocking(store, move |store| store.document(&descriptor)).await
            }
        }
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// It is not there, larger than a configuration can be, or its bytes are not those that were named.
    pub async fn configuration(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        if descriptor.size > MAX_CONFIGURATION_SIZE {
            return Err(SourceError::ConfigurationSize {
                size: descriptor.size,
            });
        }
        match self {
            Self::Registry(repository) => Ok(repository
                .pull_blob_bytes(descriptor, MAX_CONFIGURATION_SIZE)
                .await?
                .to_vec()),
            Self::Store(store) => {
                let descriptor = descriptor.clone();
                blocking(store, move |store| store.read_blob(&descriptor)).await
            }
        }
    }

    /// Opens a blob for a thread that may block; digest and size are checked when its end is read.
    ///
    /// # Errors
    /// It is not there.
    pub async fn open_blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, SourceError> {
        match self {
            Self::Registry(repository) => {
                let stream = repository.pull_blob(descriptor).await?;
                Ok(Box::new(onlay_stream::reader(
                    stream.map_err(std::io::Error::other),
                )))
            }
            Self::Store(store) => {
                let descriptor = descriptor.clone();
                blocking(store, move |store| store.open_blob(&descriptor)).await
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, SourceError> {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || work(&store)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(SourceError::Worker),
    }
}

/// Why a document or blob of a base could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The registry did not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It is not in the store, or damaged there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A configuration beyond reason.
    #[error("image configuration is {size} bytes long, expected at most {MAX_CONFIGURATION_SIZE}")]
    ConfigurationSize {
        /// What its descriptor says, in bytes.
        size: u64,
    },
    /// A thread that read from disk ended without an answer.
    #[error("reading from disk was interrupted")]
    Worker,
}
