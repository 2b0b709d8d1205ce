//! Archives: the image is put together in a layout beside the file, which then takes its place in one step.

use std::path::Path;

use onlay_oci::{Document, Manifest, Reference, Tag};
use onlay_store::{DockerArchive, OciArchive, StoreError};

use crate::Publication;
use crate::layout::{self, blocking};
use crate::push::{PushFailure, Pushed};
use crate::sources::Sources;

pub(crate) async fn push_oci(
    publication: &Publication,
    sources: &Sources,
    file: &Path,
    tag: Option<&Tag>,
) -> Result<Pushed, PushFailure> {
    let workshop = workshop(file)?;
    let pushed = layout::push(publication, sources, workshop.path(), tag).await?;
    let file = file.to_owned();
    blocking(move || {
        let layout = onlay_store::Layout::open(workshop.path())?;
        OciArchive::write(&layout, &file)
    })
    .await?;
    Ok(pushed)
}

pub(crate) async fn push_docker(
    publication: &Publication,
    sources: &Sources,
    file: &Path,
    name: Option<&Reference>,
) -> Result<Pushed, PushFailure> {
    let image = refuse_several_platforms(publication)?;
    let workshop = workshop(file)?;
    let pushed = layout::push(publication, sources, workshop.path(), None).await?;
    let (file, image, name) = (file.to_owned(), image.clone(), name.cloned());
    blocking(move || {
        let layout = onlay_store::Layout::open(workshop.path())?;
        DockerArchive::write(&layout, &image, name.as_ref(), &file)
    })
    .await?;
    Ok(pushed)
}

/// The one image, where there is one.
pub(crate) fn refuse_several_platforms(publication: &Publication) -> Result<&Manifest, PushFailure> {
    match &publication.root {
        Document::Manifest(image) => Ok(image),
        Document::Index(_) => Err(PushFailure::SeveralPlatforms {
            platforms: publication.manifests.len(),
        }),
    }
}

/// A directory beside the file, so that nothing has to move between file systems; it goes when the push ends.
pub(crate) fn workshop(file: &Path) -> Result<tempfile::TempDir, StoreError> {
    let directory = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".onlay-")
        .tempdir_in(directory)
        .map_err(|source| StoreError::Temporary {
            directory: directory.to_owned(),
            source,
        })
}
