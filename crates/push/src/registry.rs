use futures_util::{StreamExt, TryStreamExt, stream};
use onlay_oci::{Document, Reference};
use onlay_registry::{Client, Mount, RepositoryClient};

use crate::push::{PushFailure, Pushed, Transfer, Transfers};
use crate::{BlobOrigin, Publication, PublishedBlob};

/// How many blobs move at a time; the client bounds requests per host besides.
const PARALLEL_BLOBS: usize = 6;

pub(crate) async fn push(
    client: &Client,
    publication: &Publication,
    reference: &Reference,
) -> Result<Pushed, PushFailure> {
    let reference = reference.clone().with_default_tag();
    let repository = client.repository(reference.registry(), reference.repository());
    let root = publication.root.descriptor();
    let tag = reference.identifier();
    let there = repository.head_manifest(&tag).await?;
    if there.is_some_and(|there| there.digest == root.digest) {
        return Ok(Pushed {
            digest: root.digest,
            transfers: Transfers::default(),
            unchanged: true,
        });
    }
    repository.ensure_exists().await?;
    let moves = publication.transfers().into_iter().map(|blob| {
        let repository = &repository;
        async move { Ok((bring(repository, blob).await?, blob.descriptor.size)) }
    });
    let moved: Vec<(Transfer, u64)> = stream::iter(moves)
        .buffer_unordered(PARALLEL_BLOBS)
        .try_collect()
        .await
        .map_err(|error: PushFailure| error)?;
    let mut transfers = Transfers::default();
    moved
        .into_iter()
        .for_each(|(transfer, size)| transfers.count(transfer, size));
    for manifest in &publication.manifests {
        let name = manifest.descriptor().digest.to_string();
        put(&repository, publication, &name, manifest).await?;
    }
    put(&repository, publication, &tag, &publication.root).await?;
    Ok(Pushed {
        digest: root.digest,
        transfers,
        unchanged: false,
    })
}

/// Puts a manifest; where the registry has lost one of its blobs meanwhile, as some do when the same blob is pushed by
/// several at a time, brings all of them once more first.
async fn put(
    repository: &RepositoryClient,
    publication: &Publication,
    name: &str,
    document: &Document,
) -> Result<(), PushFailure> {
    let descriptor = document.descriptor();
    match repository.put_manifest(name, &descriptor, document.bytes()).await {
        Err(error) if error.misses_a_blob() => {
            for blob in publication.transfers() {
                bring(repository, blob).await?;
            }
            Ok(repository
                .put_manifest(name, &descriptor, document.bytes())
                .await?)
        }
        put => Ok(put?),
    }
}

async fn bring(repository: &RepositoryClient, blob: &PublishedBlob) -> Result<Transfer, PushFailure> {
    match &blob.origin {
        BlobOrigin::Foreign => Ok(Transfer::Foreign),
        BlobOrigin::Registry(origin) if origin.is_same_repository(repository) => Ok(Transfer::Present),
        BlobOrigin::Registry(origin) if origin.registry() == repository.registry() => {
            mount(repository, origin, blob).await
        }
        BlobOrigin::Registry(_) | BlobOrigin::Store(_) | BlobOrigin::Made(_) => {
            upload(repository, blob).await
        }
    }
}

/// Asks for the mount at once: where registries mount, that is one request less than looking first.
async fn mount(
    repository: &RepositoryClient,
    origin: &RepositoryClient,
    blob: &PublishedBlob,
) -> Result<Transfer, PushFailure> {
    let digest = &blob.descriptor.digest;
    match repository.mount_blob(digest, origin.repository()).await? {
        Mount::Mounted => Ok(Transfer::Mounted),
        Mount::Session(session) => {
            if repository.head_blob(digest).await?.is_some() {
                session.cancel().await;
                return Ok(Transfer::Present);
            }
            session.put(&blob.descriptor, blob.body()).await?;
            Ok(blob.transfer())
        }
    }
}

async fn upload(repository: &RepositoryClient, blob: &PublishedBlob) -> Result<Transfer, PushFailure> {
    if repository.head_blob(&blob.descriptor.digest).await?.is_some() {
        return Ok(Transfer::Present);
    }
    let session = repository.start_upload().await?;
    match session.put(&blob.descriptor, blob.body()).await {
        Ok(()) => Ok(blob.transfer()),
        // Somebody else pushed it at the same time, and this registry took only one of the two for good.
        Err(error) if error.is_refusal() => match repository.head_blob(&blob.descriptor.digest).await? {
            Some(_) => Ok(Transfer::Present),
            None => {
                let again = repository.start_upload().await?;
                again.put(&blob.descriptor, blob.body()).await?;
                Ok(blob.transfer())
            }
        },
        Err(error) => Err(error.into()),
    }
}
