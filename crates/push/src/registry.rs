use futures_util::{StreamExt, TryStreamExt, stream};
use onlay_oci::Reference;
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
        let descriptor = manifest.descriptor();
        repository
            .put_manifest(&descriptor.digest.to_string(), &descriptor, manifest.bytes())
            .await?;
    }
    repository
        .put_manifest(&tag, &root, publication.root.bytes())
        .await?;
    Ok(Pushed {
        digest: root.digest,
        transfers,
        unchanged: false,
    })
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
    session.put(&blob.descriptor, blob.body()).await?;
    Ok(blob.transfer())
}
