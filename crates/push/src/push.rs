use std::io;
use std::path::PathBuf;

use futures_util::future::join_all;
use onlay_oci::{Digest, JsonError};
use onlay_registry::{Client, RegistryError};
use onlay_store::{Destination, Location, StoreError};

use crate::plan::{Depth, Plan};
use crate::registry::Target;
use crate::sources::Sources;
use crate::{GrowingUploads, Publication, TagsInFlight, archive, layout};

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

impl Pushed {
    pub(crate) fn unchanged(digest: Digest) -> Self {
        Self {
            digest,
            transfers: Transfers::default(),
            unchanged: true,
        }
    }
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
    /// Adds those of another push.
    pub(crate) fn add(&mut self, other: &Self) {
        let sum = |one: (usize, u64), other: (usize, u64)| (one.0 + other.0, one.1 + other.1);
        self.present += other.present;
        self.mounted += other.mounted;
        self.copied = sum(self.copied, other.copied);
        self.uploaded = sum(self.uploaded, other.uploaded);
        self.foreign += other.foreign;
    }

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

/// Brings images to destinations.
#[derive(Clone, Debug)]
pub struct Pusher {
    /// Registries.
    pub client: Client,
    /// Where blobs go that several destinations read; without it each reads by itself.
    pub temporary_directory: Option<PathBuf>,
    /// Uploads that were begun before the image was finished.
    pub growing: Option<GrowingUploads>,
    /// Where it is said which tags are being moved.
    pub in_flight: TagsInFlight,
}

impl Pusher {
    /// Finds out what a push to each destination would do. Nothing is changed anywhere.
    ///
    /// # Errors
    /// For each destination its own: it could not be asked.
    pub async fn plan(
        &self,
        publication: &Publication,
        destinations: &[Destination],
        depth: Depth,
    ) -> Vec<Result<Plan, PushError>> {
        let plans = destinations.iter().map(|destination| async move {
            let plan = self.plan_one(publication, destination, depth).await;
            plan.map_err(failed_at(destination))
        });
        join_all(plans).await
    }

    /// Publishes an image at every destination, all at the same time; each blob is read once from where it is. `done` is
    /// told of each destination when it is through.
    ///
    /// Pushing what is there already changes nothing and sends nothing. Several pushes may run at a time.
    ///
    /// # Errors
    /// For each destination its own: it or a blob's origin failed, and its tag still names what it named before. The
    /// others go on.
    ///
    /// # Cancel safety
    /// Dropping the future leaves blobs at most, never a tag on something incomplete.
    pub async fn push(
        &self,
        publication: &Publication,
        destinations: &[Destination],
        done: impl Fn(&Destination, &Result<Pushed, PushError>),
    ) -> Vec<Result<Pushed, PushError>> {
        let plans = self.plan(publication, destinations, Depth::Needed).await;
        let known = plans.iter().filter_map(|plan| plan.as_ref().ok());
        let sources = &Sources::of_plans(known, self.temporary_directory.clone());
        let done = &done;
        let pushes = plans
            .into_iter()
            .zip(destinations)
            .map(|(plan, destination)| async move {
                let pushed = match plan {
                    Ok(plan) => {
                        let pushed = self.carry_out(&plan, publication, sources).await;
                        pushed.map_err(failed_at(destination))
                    }
                    Err(error) => Err(error),
                };
                done(destination, &pushed);
                pushed
            });
        join_all(pushes).await
    }

    async fn plan_one(
        &self,
        publication: &Publication,
        destination: &Destination,
        depth: Depth,
    ) -> Result<Plan, PushFailure> {
        match destination.location() {
            Location::Registry(reference) => {
                let target = Target::new(&self.client, reference, &self.in_flight);
                target.plan(publication, destination, depth).await
            }
            Location::Layout { directory, .. } => {
                layout::plan(publication, destination, Some(directory)).await
            }
            Location::OciArchive { .. } => layout::plan(publication, destination, None).await,
            Location::DockerArchive { .. } => {
                archive::refuse_several_platforms(publication)?;
                layout::plan(publication, destination, None).await
            }
        }
    }

    async fn carry_out(
        &self,
        plan: &Plan,
        publication: &Publication,
        sources: &Sources,
    ) -> Result<Pushed, PushFailure> {
        match plan.destination.location() {
            Location::Registry(reference) => {
                let target = Target::new(&self.client, reference, &self.in_flight);
                target
                    .carry_out(plan, publication, sources, self.growing.as_ref())
                    .await
            }
            Location::Layout { directory, tag } => {
                layout::push(publication, sources, directory, tag.as_ref()).await
            }
            Location::OciArchive { file, tag } => {
                archive::push_oci(publication, sources, file, tag.as_ref()).await
            }
            Location::DockerArchive { file, name } => {
                archive::push_docker(publication, sources, file, name.as_ref()).await
            }
        }
    }
}

fn failed_at(destination: &Destination) -> impl Fn(PushFailure) -> PushError + '_ {
    |source| PushError {
        destination: destination.to_string(),
        source,
    }
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
    /// The registry has a blob where it cannot be used.
    #[error("the registry has archived `{digest}`; it must be restored there before an image can use it")]
    Archived {
        /// The blob.
        digest: Digest,
    },
    /// The tag names another image and may not move.
    #[error("the tag `{tag}` is immutable: it names {there}, not {ours}")]
    ImmutableTag {
        /// The tag.
        tag: String,
        /// What it names.
        there: Digest,
        /// What was to be published.
        ours: Digest,
    },
    /// There is no room for a blob that several destinations read.
    #[error("a file for what several destinations need could not be made")]
    Spool {
        /// What happened.
        source: io::Error,
    },
    /// A list could not be written.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A thread that wrote to disk ended without an answer.
    #[error("writing to disk was interrupted")]
    Worker,
}
