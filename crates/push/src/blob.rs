use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use onlay_oci::Descriptor;
use onlay_registry::BlobBody;

use crate::push::{PushFailure, Transfer};
use crate::{BlobOrigin, PublishedBlob};

impl PublishedBlob {
    /// What it is called when its bytes have to move.
    pub(crate) fn transfer(&self) -> Transfer {
        match self.origin {
            BlobOrigin::Made(_) => Transfer::Uploaded,
            BlobOrigin::Registry(_) | BlobOrigin::Store(_) => Transfer::Copied,
            BlobOrigin::Foreign => Transfer::Foreign,
        }
    }

    /// Its bytes as a request body that can be sent again from the start.
    pub(crate) fn body(&self) -> BlobBody {
        match &self.origin {
            BlobOrigin::Made(blob) => {
                let blob = blob.clone();
                from_reader(move || Ok(blob.reader()))
            }
            BlobOrigin::Registry(repository) => {
                let (repository, descriptor) = (repository.clone(), self.descriptor.clone());
                BlobBody::from_stream(move || {
                    let (repository, descriptor) = (repository.clone(), descriptor.clone());
                    async move {
                        let stream = repository
                            .pull_blob(&descriptor)
                            .await
                            .map_err(io::Error::other)?;
                        Ok(stream.map_err(io::Error::other))
                    }
                })
            }
            BlobOrigin::Store(store) => {
                let (store, descriptor) = (store.clone(), self.descriptor.clone());
                from_reader(move || store.open_blob(&descriptor).map_err(io::Error::other))
            }
            BlobOrigin::Foreign => BlobBody::from_bytes(Bytes::new()),
        }
    }

    /// Its bytes for a thread that may block.
    pub(crate) async fn reader(&self) -> Result<Box<dyn Read + Send>, PushFailure> {
        match &self.origin {
            BlobOrigin::Made(blob) => Ok(Box::new(blob.reader())),
            BlobOrigin::Registry(repository) => {
                let stream = repository.pull_blob(&self.descriptor).await?;
                Ok(Box::new(onlay_stream::reader(stream.map_err(io::Error::other))))
            }
            BlobOrigin::Store(store) => {
                let (store, descriptor): (Arc<_>, Descriptor) = (store.clone(), self.descriptor.clone());
                let opened = tokio::task::spawn_blocking(move || store.open_blob(&descriptor)).await;
                Ok(opened.map_err(|_| PushFailure::Worker)??)
            }
            BlobOrigin::Foreign => Ok(Box::new(io::empty())),
        }
    }
}

/// A body of what a blocking reader gives, opened anew for every attempt.
fn from_reader<R: Read + 'static>(
    open: impl Fn() -> io::Result<R> + Clone + Send + Sync + 'static,
) -> BlobBody {
    BlobBody::from_stream(move || {
        let open = open.clone();
        async move { Ok(onlay_stream::stream(open)) }
    })
}
