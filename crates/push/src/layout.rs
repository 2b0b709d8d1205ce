use std::path::Path;

use onlay_oci::{Descriptor, Document, Tag};
use onlay_store::{Layout, StoreError};

use crate::push::{PushFailure, Pushed, Transfer, Transfers};
use crate::{BlobOrigin, Publication, PublishedBlob};

pub(crate) async fn push(
    publication: &Publication,
    directory: &Path,
    tag: Option<&Tag>,
) -> Result<Pushed, PushFailure> {
    let path = directory.to_owned();
    let layout = blocking(move || Layout::create(&path)).await?;
    let mut transfers = Transfers::default();
    for blob in publication.transfers() {
        let transfer = bring(&layout, blob).await?;
        transfers.count(transfer, blob.descriptor.size);
    }
    for document in publication.manifests.iter().chain([&publication.root]) {
        write(&layout, document).await?;
    }
    let root = publication.root.descriptor();
    let tag = tag.cloned().unwrap_or_else(Tag::latest);
    let unchanged = tag_layout(&layout, &root, tag).await?;
    Ok(Pushed {
        digest: root.digest,
        transfers,
        unchanged,
    })
}

async fn bring(layout: &Layout, blob: &PublishedBlob) -> Result<Transfer, PushFailure> {
    if matches!(blob.origin, BlobOrigin::Foreign) {
        return Ok(Transfer::Foreign);
    }
    let (target, descriptor) = (layout.clone(), blob.descriptor.clone());
    if blocking(move || Ok(target.has_blob(&descriptor))).await? {
        return Ok(Transfer::Present);
    }
    let reader = blob.reader().await?;
    let (target, descriptor) = (layout.clone(), blob.descriptor.clone());
    blocking(move || target.write_blob(&descriptor, reader)).await?;
    Ok(blob.transfer())
}

async fn write(layout: &Layout, document: &Document) -> Result<(), PushFailure> {
    let (target, descriptor, bytes) = (layout.clone(), document.descriptor(), document.bytes().clone());
    blocking(move || target.write_blob(&descriptor, &bytes[..])).await
}

/// Tells whether the tag named this image already.
async fn tag_layout(layout: &Layout, root: &Descriptor, tag: Tag) -> Result<bool, PushFailure> {
    let (target, root) = (layout.clone(), root.clone());
    blocking(move || target.tag(&root, &tag)).await
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, PushFailure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(PushFailure::Worker),
    }
}
