use onlay_oci::Digest;
use onlay_registry::{Client, RegistryError};
use onlay_store::{Destination, Location, StoreError};

use crate::{Publication, archive, layout, registry};

/// What a push has brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of what the destination's tag now names.
    pub digest: Digest,
    /// What became of the blobs; empty if the destination had the image already.
    pub transfers: Transfers,
    /// Whether the tag already named this image, so that nothing was sent.
    pub unchanged: bool,
}

/// How one blob got to its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// It was there.
    Present,
    /// The registry took it from another of its repositories.
    Mounted,
    /// Its bytes were copied from where they were.
    Copied,
    /// Its bytes were made in this run, and sent.
    Uploaded,
    /// It is a foreign layer, which is left with its URLs.
    Foreign,
}

/// How the blobs of a push got to their destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// Blobs that were there.
    pub present: usize,
    /// Blobs that the registry mounted.
    pub mounted: usize,
    /// Blobs whose bytes were copied, and how many bytes.
    pub copied: (usize, u64),
    /// Blobs made in this run, and how many bytes.
    pub uploaded: (usize, u64),
    /// Foreign layers.
    pub foreign: usize,
}

impl Transfers {
    pub(crate) fn count(&mut self, transfer: Transfer, size: u64) {
        let add = |counted: &mut (usize, u64)| *counted = (counted.0 + 1, counted.1 + size);
        match transfer {
            Transfer::Present => self.present += 1,
            Transfer::Mounted => self.mounted += 1,
            Transfer::Copied => add(&mut self.copied),
            Transfer::Uploaded => add(&mut self.uploaded),
            Transfer::Foreign => self.foreign += 1,
        }
    }
}

/// Publishes an image at one destination.
///
/// Pushing what is there already changes nothing and sends nothing. Several pushes may run at a time.
///
/// # Errors
/// The destination or a blob's origin failed; the tag then still names what it named before.
///
/// # Cancel safety
/// Dropping the future leaves blobs at most, never a tag on something incomplete.
pub async fn push(
    client: &Client,
    publication: &Publication,
    destination: &Destination,
) -> Result<Pushed, PushError> {
    let pushed = match destination.location() {
        Location::Registry(reference) => registry::push(client, publication, reference).await,
        Location::Layout { directory, tag } => layout::push(publication, directory, tag.as_ref()).await,
        Location::OciArchive { file, tag } => archive::push_oci(publication, file, tag.as_ref()).await,
        Location::DockerArchive { file, name } => {
            archive::push_docker(publication, file, name.as_ref()).await
        }
    };
    pushed.map_err(|source| PushError {
        destination: destination.to_string(),
        source,
    })
}

/// A push that failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to push `{destination}`")]
pub struct PushError {
    /// Where to.
    pub destination: String,
    /// What happened.
    pub source: PushFailure,
}

/// Why a push failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushFailure {
    /// The registry at the destination, or at a blob's origin, did not do it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The layout or archive at the destination, or at a blob's origin, failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An archive of Docker's holds one platform.
    #[error("an archive of Docker's holds one platform, but the image has {platforms}")]
    SeveralPlatforms {
        /// How many.
        platforms: usize,
    },
    /// A thread that wrote to disk ended without an answer.
    #[error("writing to disk was interrupted")]
    Worker,
}
