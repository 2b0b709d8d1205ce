use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use onlay_registry::{BlobBody, Client, RegistryError, RepositoryClient};
use onlay_store::{Blob, Destination, GrowingBlob, Location};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Uploads of layers that are still made: compression and upload overlap. Cloning gives another handle.
///
/// Whether a layer is there already shows only when its digest is known, so this is for large ones, where waiting would
/// cost more than sending one that is there. Uploads end when the last handle is dropped.
#[derive(Clone)]
pub struct GrowingUploads(Arc<Shared>);

struct Shared {
    repositories: Vec<RepositoryClient>,
    uploads: Mutex<Vec<Upload>>,
    runtime: Handle,
}

/// One layer on its way to one repository.
struct Upload {
    repository: RepositoryClient,
    blob: GrowingBlob,
    task: JoinHandle<Result<(), RegistryError>>,
}

impl GrowingUploads {
    /// Sends nothing yet. Layouts and archives among the destinations get their layers when those are finished.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(client: &Client, destinations: &[Destination]) -> Self {
        let mut repositories: Vec<RepositoryClient> = Vec::new();
        for destination in destinations {
            let Location::Registry(reference) = destination.location() else {
                continue;
            };
            let repository = client.repository(reference.registry(), reference.repository());
            if !repositories
                .iter()
                .any(|known| known.is_same_repository(&repository))
            {
                repositories.push(repository);
            }
        }
        Self(Arc::new(Shared {
            repositories,
            uploads: Mutex::default(),
            runtime: Handle::current(),
        }))
    }

    /// Begins to send a layer to every repository, as it grows. Does not block.
    pub fn begin(&self, blob: &GrowingBlob) {
        let started = self.0.repositories.iter().map(|repository| Upload {
            repository: repository.clone(),
            blob: blob.clone(),
            task: self.0.runtime.spawn(send(repository.clone(), blob.clone())),
        });
        let mut uploads = self.0.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.extend(started);
    }

    /// Waits for the upload of a layer that is finished by now. Tells whether the repository has it; one that failed is
    /// as good as one that was never begun.
    pub(crate) async fn arrived(&self, repository: &RepositoryClient, blob: &Blob) -> bool {
        let Some(upload) = self.take(repository, blob) else {
            return false;
        };
        matches!(upload.await, Ok(Ok(())))
    }

    fn take(
        &self,
        repository: &RepositoryClient,
        blob: &Blob,
    ) -> Option<JoinHandle<Result<(), RegistryError>>> {
        let mut uploads = self.0.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted =
            |upload: &Upload| upload.repository.is_same_repository(repository) && upload.blob.became(blob);
        let place = uploads.iter().position(wanted)?;
        Some(uploads.swap_remove(place).task)
    }
}

impl fmt::Debug for GrowingUploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrowingUploads")
            .field("repositories", &self.0.repositories)
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let uploads = self.uploads.get_mut().unwrap_or_else(PoisonError::into_inner);
        uploads.iter().for_each(|upload| upload.task.abort());
    }
}

async fn send(repository: RepositoryClient, blob: GrowingBlob) -> Result<(), RegistryError> {
    repository.ensure_exists().await?;
    let source = blob.clone();
    let body = BlobBody::from_offset(move |offset| {
        let source = source.clone();
        async move { Ok(onlay_stream::stream(move || Ok(source.reader_at(offset)))) }
    });
    let end = async move {
        let waited = tokio::task::spawn_blocking(move || blob.wait_for_end()).await;
        waited.ok().flatten()
    };
    repository.upload_growing(&body, end).await.map(drop)
}
