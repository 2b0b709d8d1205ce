use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt;
use onlay_oci::{Descriptor, Digest};
use onlay_registry::{BlobBody, RepositoryClient};
use onlay_store::{Destination, GrowingBlob, GrowingWriter, Location};
use tokio::sync::OnceCell;

use crate::arrivals::Arrivals;
use crate::plan::{Plan, Step};
use crate::push::PushFailure;
use crate::{BlobOrigin, PublishedBlob};

/// Where a destination keeps its blobs: of a registry, the repository.
fn place(destination: &Destination) -> String {
    match destination.location() {
        Location::Registry(reference) => format!("{}/{}", reference.registry(), reference.repository()),
        _ => destination.to_string(),
    }
}

/// Where the bytes of blobs come from for all destinations of a push, so that a registry gives each blob once.
///
/// What only one destination needs goes straight through. What several need is written to a file, which each reads at
/// its own speed; it goes when the last of them has what it needs.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    directory: Option<PathBuf>,
    shared: Mutex<HashMap<Digest, Shared>>,
    /// What does not have to come from anywhere any more.
    pub(crate) arrivals: Arrivals,
}

/// A blob that several destinations read.
#[derive(Debug, Default)]
struct Shared {
    /// How many destinations have not asked for it yet.
    waiting: usize,
    spool: Arc<OnceCell<GrowingBlob>>,
}

impl Sources {
    /// Finds what several plans need.
    pub(crate) fn of_plans<'a>(plans: impl Iterator<Item = &'a Plan>, directory: Option<PathBuf>) -> Self {
        let mut shared: HashMap<Digest, Shared> = HashMap::new();
        let mut readers = HashSet::new();
        for plan in plans {
            let place = place(&plan.destination);
            let streamed = plan
                .blobs
                .iter()
                .filter(|blob| matches!(blob.step, Step::Stream { .. }));
            for blob in streamed {
                // Several tags of one repository are one reader.
                let digest = &blob.descriptor.digest;
                if readers.insert((place.clone(), digest.clone())) {
                    shared.entry(digest.clone()).or_default().waiting += 1;
                }
            }
        }
        shared.retain(|_, shared| shared.waiting > 1);
        Self {
            // Without a place for files each destination reads the registry by itself.
            shared: Mutex::new(if directory.is_some() {
                shared
            } else {
                HashMap::new()
            }),
            directory,
            arrivals: Arrivals::default(),
        }
    }

    /// The bytes of a blob as a request body that can be sent again from the start.
    pub(crate) async fn body(&self, blob: &PublishedBlob) -> Result<BlobBody, PushFailure> {
        match &blob.origin {
            BlobOrigin::Made(made) => {
                let made = made.clone();
                Ok(from_reader(move || Ok(made.reader())))
            }
            BlobOrigin::Registry(repository) => match self.shared(repository, &blob.descriptor).await? {
                Some(spool) => Ok(from_reader(move || Ok(spool.reader_at(0)))),
                None => Ok(straight_through(repository, &blob.descriptor)),
            },
            BlobOrigin::Store(store) => {
                let (store, descriptor) = (store.clone(), blob.descriptor.clone());
                Ok(from_reader(move || {
                    store.open_blob(&descriptor).map_err(io::Error::other)
                }))
            }
            BlobOrigin::Foreign => Ok(BlobBody::from_bytes(Bytes::new())),
        }
    }

    /// The bytes of a blob for a thread that may block.
    pub(crate) async fn reader(&self, blob: &PublishedBlob) -> Result<Box<dyn Read + Send>, PushFailure> {
        match &blob.origin {
            BlobOrigin::Made(made) => Ok(Box::new(made.reader())),
            BlobOrigin::Registry(repository) => match self.shared(repository, &blob.descriptor).await? {
                Some(spool) => Ok(Box::new(spool.reader_at(0))),
                None => {
                    let stream = repository.pull_blob(&blob.descriptor).await?;
                    Ok(Box::new(onlay_stream::reader(stream.map_err(io::Error::other))))
                }
            },
            BlobOrigin::Store(store) => {
                let (store, descriptor) = (store.clone(), blob.descriptor.clone());
                let opened = tokio::task::spawn_blocking(move || store.open_blob(&descriptor)).await;
                Ok(opened.map_err(|_| PushFailure::Worker)??)
            }
            BlobOrigin::Foreign => Ok(Box::new(io::empty())),
        }
    }

    /// The file of a blob that several destinations read; the first that asks starts the transfer.
    async fn shared(
        &self,
        repository: &RepositoryClient,
        descriptor: &Descriptor,
    ) -> Result<Option<GrowingBlob>, PushFailure> {
        let (Some(directory), Some(spool)) = (self.directory.clone(), self.take_turn(descriptor)) else {
            return Ok(None);
        };
        let started = spool.get_or_try_init(|| async {
            let created = tokio::task::spawn_blocking(move || GrowingBlob::create(&directory)).await;
            let writer = created
                .map_err(|_| PushFailure::Worker)?
                .map_err(|source| PushFailure::Spool { source })?;
            let blob = writer.blob();
            let (repository, descriptor) = (repository.clone(), descriptor.clone());
            tokio::spawn(async move { fill(&repository, &descriptor, writer).await });
            Ok::<_, PushFailure>(blob)
        });
        Ok(Some(started.await?.clone()))
    }

    /// The last destination takes the entry with it, so that the file goes when its own transfer ends.
    fn take_turn(&self, descriptor: &Descriptor) -> Option<Arc<OnceCell<GrowingBlob>>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = shared.get_mut(&descriptor.digest)?;
        entry.waiting = entry.waiting.saturating_sub(1);
        let spool = entry.spool.clone();
        if entry.waiting == 0 {
            shared.remove(&descriptor.digest);
        }
        Some(spool)
    }
}

/// Brings a blob into a file that others read meanwhile. They learn from the file what went wrong.
async fn fill(repository: &RepositoryClient, descriptor: &Descriptor, mut writer: GrowingWriter) {
    let stream = match repository.pull_blob(descriptor).await {
        Ok(stream) => stream,
        Err(error) => return writer.abandon(&chain(&error)),
    };
    let digest = descriptor.digest.clone();
    let mut reader = onlay_stream::reader(stream.map_err(io::Error::other));
    let filling = tokio::task::spawn_blocking(move || match io::copy(&mut reader, &mut writer) {
        Ok(_) => drop(writer.finish(Some(digest))),
        Err(error) => writer.abandon(&chain(&error)),
    });
    // If the thread is gone, so is the writer, and its readers know.
    let _ = filling.await;
}

/// An error with all its causes, for where only text can pass.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

fn straight_through(repository: &RepositoryClient, descriptor: &Descriptor) -> BlobBody {
    let (repository, descriptor) = (repository.clone(), descriptor.clone());
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

/// A body of what a blocking reader gives, opened anew for every attempt.
fn from_reader<R: Read + 'static>(
    open: impl Fn() -> io::Result<R> + Clone + Send + Sync + 'static,
) -> BlobBody {
    BlobBody::from_stream(move || {
        let open = open.clone();
        async move { Ok(onlay_stream::stream(open)) }
    })
}
