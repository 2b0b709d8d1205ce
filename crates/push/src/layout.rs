use std::path::Path;

use onlay_oci::{Descriptor, Document, Tag};
use onlay_store::{Destination, Layout, StoreError};

use crate::plan::{Plan, PlannedBlob, Step};
use crate::push::{PushFailure, Pushed, Transfer, Transfers};
use crate::sources::Sources;
use crate::{BlobOrigin, Publication, PublishedBlob};

/// Finds out what is missing in a layout, or in an archive, which is always written anew.
pub(crate) async fn plan(
    publication: &Publication,
    destination: &Destination,
    directory: Option<&Path>,
) -> Result<Plan, PushFailure> {
    let layout = match directory.map(Path::to_owned) {
        Some(directory) if directory.join("oci-layout").is_file() => {
            Some(blocking(move || Layout::open(&directory)).await?)
        }
        _ => None,
    };
    let mut blobs = Vec::new();
    for blob in publication.transfers() {
        let is_present = match &layout {
            Some(layout) => has_blob(layout, &blob.descriptor).await?,
            None => false,
        };
        blobs.push(PlannedBlob {
            descriptor: blob.descriptor.clone(),
            step: step(blob, is_present),
        });
    }
    Ok(Plan::new(destination.clone(), publication, blobs))
}

fn step(blob: &PublishedBlob, is_present: bool) -> Step {
    match &blob.origin {
        BlobOrigin::Foreign => Step::Foreign,
        _ if is_present => Step::Present,
        BlobOrigin::Made(_) => Step::Upload,
        BlobOrigin::Store(_) => Step::Stream {
            from: "a layout or archive".to_owned(),
        },
        BlobOrigin::Registry(origin) => Step::Stream {
            from: format!("{}/{}", origin.registry(), origin.repository()),
        },
    }
}

pub(crate) async fn push(
    publication: &Publication,
    sources: &Sources,
    directory: &Path,
    tag: Option<&Tag>,
) -> Result<Pushed, PushFailure> {
    let layout = create(directory).await?;
    let transfers = bring_all(publication, sources, &layout).await?;
    let root = publication.root.descriptor();
    let tag = tag.cloned().unwrap_or_else(Tag::latest);
    let unchanged = tag_layout(&layout, &root, tag).await?;
    Ok(Pushed {
        digest: root.digest,
        transfers,
        unchanged,
    })
}

pub(crate) async fn create(directory: &Path) -> Result<Layout, PushFailure> {
    let directory = directory.to_owned();
    blocking(move || Layout::create(&directory)).await
}

/// Brings an image without giving it a tag.
pub(crate) async fn bring_all(
    publication: &Publication,
    sources: &Sources,
    layout: &Layout,
) -> Result<Transfers, PushFailure> {
    let mut transfers = Transfers::default();
    for blob in publication.transfers() {
        let transfer = bring(layout, blob, sources).await?;
        transfers.count(transfer, blob.descriptor.size);
    }
    for document in publication.manifests.iter().chain([&publication.root]) {
        write(layout, document).await?;
    }
    Ok(transfers)
}

async fn bring(layout: &Layout, blob: &PublishedBlob, sources: &Sources) -> Result<Transfer, PushFailure> {
    if matches!(blob.origin, BlobOrigin::Foreign) {
        return Ok(Transfer::Foreign);
    }
    if has_blob(layout, &blob.descriptor).await? {
        return Ok(Transfer::Present);
    }
    let reader = sources.reader(blob).await?;
    let (target, descriptor) = (layout.clone(), blob.descriptor.clone());
    blocking(move || target.write_blob(&descriptor, reader)).await?;
    Ok(blob.transfer())
}

async fn has_blob(layout: &Layout, descriptor: &Descriptor) -> Result<bool, PushFailure> {
    let (layout, descriptor) = (layout.clone(), descriptor.clone());
    blocking(move || Ok(layout.has_blob(&descriptor))).await
}

pub(crate) async fn write(layout: &Layout, document: &Document) -> Result<(), PushFailure> {
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
