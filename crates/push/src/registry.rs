use futures_util::{StreamExt, TryStreamExt, stream};
use onlay_oci::{Digest, Document, Reference};
use onlay_registry::{Client, Mount, Presence, RegistryError, RepositoryClient};
use onlay_store::Destination;

use crate::plan::{Depth, Plan, PlannedBlob, Step};
use crate::push::{PushFailure, Pushed, Transfer, Transfers};
use crate::sources::Sources;
use crate::{BlobOrigin, GrowingUploads, Publication, PublishedBlob, TagsInFlight};

/// How many blobs move at a time; the client bounds requests per host besides.
const PARALLEL_BLOBS: usize = 8;

/// How many requests that only ask are under way at a time, and how many manifests of an index.
const PARALLEL_QUESTIONS: usize = 8;

/// Up to this size in bytes, a blob that was made in this run is sent without asking whether it is there: asking costs
/// one request, sending two, and what was made is rarely there unless the whole image is.
const NOT_WORTH_ASKING: u64 = 64 * 1024;

/// A repository that is pushed to under one tag.
pub(crate) struct Target {
    repository: RepositoryClient,
    tag: String,
    in_flight: TagsInFlight,
}

impl Target {
    pub(crate) fn new(client: &Client, reference: &Reference, in_flight: &TagsInFlight) -> Self {
        let reference = reference.clone().with_default_tag();
        Self {
            repository: client.repository(reference.registry(), reference.repository()),
            tag: reference.identifier(),
            in_flight: in_flight.clone(),
        }
    }

    /// Finds out what is missing.
    pub(crate) async fn plan(
        &self,
        publication: &Publication,
        destination: &Destination,
        depth: Depth,
    ) -> Result<Plan, PushFailure> {
        let there = self.repository.head_manifest(&self.tag).await?;
        if there.is_some_and(|there| there.digest == publication.root.descriptor().digest) {
            return Ok(Plan::unchanged(destination.clone(), publication));
        }
        self.plan_of_absent(publication, destination, depth).await
    }

    /// The same where it is known that the tag does not name the image.
    pub(crate) async fn plan_of_absent(
        &self,
        publication: &Publication,
        destination: &Destination,
        depth: Depth,
    ) -> Result<Plan, PushFailure> {
        let mut blobs: Vec<PlannedBlob> = Vec::new();
        for blob in publication.transfers() {
            blobs.push(PlannedBlob {
                descriptor: blob.descriptor.clone(),
                step: self.intended(blob).await,
            });
        }
        self.leave_out_present(&mut blobs, depth).await?;
        Ok(Plan::new(destination.clone(), publication, blobs))
    }

    /// How a blob gets here if it is not here already.
    async fn intended(&self, blob: &PublishedBlob) -> Step {
        match &blob.origin {
            BlobOrigin::Foreign => Step::Foreign,
            BlobOrigin::Made(_) => Step::Upload,
            BlobOrigin::Store(_) => Step::Stream {
                from: "a layout or archive".to_owned(),
            },
            BlobOrigin::Registry(origin) if origin.is_same_repository(&self.repository) => Step::Present,
            BlobOrigin::Registry(origin)
                if origin.registry() == self.repository.registry() && self.repository.profile().mounts =>
            {
                Step::Mount {
                    from: origin.repository().clone(),
                }
            }
            BlobOrigin::Registry(origin) => Step::Stream {
                from: format!("{}/{}", origin.registry(), origin.repository()),
            },
        }
    }

    /// Asks for many blobs at once where that is possible, else for each that is worth a request.
    async fn leave_out_present(&self, blobs: &mut [PlannedBlob], depth: Depth) -> Result<(), PushFailure> {
        let mut open: Vec<&mut PlannedBlob> = blobs
            .iter_mut()
            .filter(|blob| !matches!(blob.step, Step::Present | Step::Foreign))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let digests: Vec<Digest> = open.iter().map(|blob| blob.descriptor.digest.clone()).collect();
        if let Some(found) = self.repository.present(&digests).await? {
            for (blob, presence) in open.into_iter().zip(found) {
                match presence {
                    Presence::Present => blob.step = Step::Present,
                    Presence::Absent => {}
                    Presence::Archived => {
                        return Err(PushFailure::Archived {
                            digest: blob.descriptor.digest.clone(),
                        });
                    }
                }
            }
            return Ok(());
        }
        open.retain(|blob| depth == Depth::All || is_worth_asking(blob));
        stream::iter(open.into_iter().map(Ok))
            .try_for_each_concurrent(PARALLEL_QUESTIONS, |blob| async move {
                if self
                    .repository
                    .head_blob(&blob.descriptor.digest)
                    .await?
                    .is_some()
                {
                    blob.step = Step::Present;
                }
                Ok::<_, PushFailure>(())
            })
            .await
    }

    /// Does what was planned: blobs, manifests by digest, indexes, the tag last.
    pub(crate) async fn carry_out(
        &self,
        plan: &Plan,
        publication: &Publication,
        sources: &Sources,
        growing: Option<&GrowingUploads>,
    ) -> Result<Pushed, PushFailure> {
        if plan.unchanged {
            return Ok(Pushed::unchanged(plan.digest.clone()));
        }
        self.repository.ensure_exists().await?;
        let blobs = publication.transfers().into_iter().zip(&plan.blobs);
        let moves = blobs.map(|(blob, planned)| async move {
            let arrival = sources.arrivals.at(&self.repository, &blob.descriptor.digest);
            let mut has_arrived = arrival.lock().await;
            let transfer = if *has_arrived {
                Transfer::Present
            } else if self.has_arrived(blob, growing).await {
                Transfer::Uploaded
            } else {
                self.bring(blob, &planned.step, sources).await?
            };
            *has_arrived = true;
            Ok::<_, PushFailure>((transfer, blob.descriptor.size))
        });
        let moved: Vec<(Transfer, u64)> = stream::iter(moves)
            .buffer_unordered(PARALLEL_BLOBS)
            .try_collect()
            .await?;
        let mut transfers = Transfers::default();
        moved
            .into_iter()
            .for_each(|(transfer, size)| transfers.count(transfer, size));
        self.put_manifests(publication, sources).await?;
        self.put_tag(publication, sources).await?;
        Ok(Pushed {
            digest: plan.digest.clone(),
            transfers,
            unchanged: false,
        })
    }

    /// Tells whether a blob was sent while it was made.
    async fn has_arrived(&self, blob: &PublishedBlob, growing: Option<&GrowingUploads>) -> bool {
        match (&blob.origin, growing) {
            (BlobOrigin::Made(made), Some(growing)) => growing.arrived(&self.repository, made).await,
            _ => false,
        }
    }

    /// Images first, several at a time; then indexes, in their order, since one may name another.
    async fn put_manifests(&self, publication: &Publication, sources: &Sources) -> Result<(), PushFailure> {
        let is_image = |document: &&Document| matches!(document, Document::Manifest(_));
        let (images, indexes): (Vec<_>, Vec<_>) = publication.manifests.iter().partition(is_image);
        stream::iter(images.into_iter().map(Ok))
            .try_for_each_concurrent(PARALLEL_QUESTIONS, |manifest| async move {
                self.put_once(publication, manifest, sources).await
            })
            .await?;
        for index in indexes {
            self.put_once(publication, index, sources).await?;
        }
        Ok(())
    }

    /// Puts a manifest by its digest, unless another tag of the repository has.
    async fn put_once(
        &self,
        publication: &Publication,
        document: &Document,
        sources: &Sources,
    ) -> Result<(), PushFailure> {
        let digest = document.descriptor().digest;
        let arrival = sources.arrivals.at(&self.repository, &digest);
        let mut has_arrived = arrival.lock().await;
        if !*has_arrived {
            self.put(publication, &digest.to_string(), document, sources)
                .await?;
            *has_arrived = true;
        }
        Ok(())
    }

    /// Puts the tag. Where it is refused although it names this image by now, that is as good; where it may not move, both
    /// digests are told.
    async fn put_tag(&self, publication: &Publication, sources: &Sources) -> Result<(), PushFailure> {
        let _in_flight = self.in_flight.begin();
        let refused = match self.put(publication, &self.tag, &publication.root, sources).await {
            Err(PushFailure::Registry(error)) if error.is_refusal() || error.is_immutable_tag() => error,
            put => return put,
        };
        let there = self.repository.head_manifest(&self.tag).await.ok().flatten();
        let ours = publication.root.descriptor().digest;
        match there {
            Some(there) if there.digest == ours => Ok(()),
            Some(there) if refused.is_immutable_tag() => Err(PushFailure::ImmutableTag {
                tag: self.tag.clone(),
                there: there.digest,
                ours,
            }),
            _ => Err(refused.into()),
        }
    }

    /// Puts a manifest; where the registry has lost one of its blobs meanwhile, as some do when the same blob is pushed
    /// by several at a time, brings all of them once more first.
    async fn put(
        &self,
        publication: &Publication,
        name: &str,
        document: &Document,
        sources: &Sources,
    ) -> Result<(), PushFailure> {
        let descriptor = document.descriptor();
        let put = || self.repository.put_manifest(name, &descriptor, document.bytes());
        match put().await {
            Err(error) if error.misses_a_blob() => {
                for blob in publication.transfers() {
                    let is_absent = self
                        .repository
                        .head_blob(&blob.descriptor.digest)
                        .await?
                        .is_none();
                    if is_absent {
                        self.bring(blob, &self.intended(blob).await, sources).await?;
                    }
                }
                Ok(put().await?)
            }
            put => Ok(put?),
        }
    }

    async fn bring(
        &self,
        blob: &PublishedBlob,
        step: &Step,
        sources: &Sources,
    ) -> Result<Transfer, PushFailure> {
        match step {
            Step::Present => Ok(Transfer::Present),
            Step::Foreign => Ok(Transfer::Foreign),
            Step::Mount { from } => match self.repository.mount_blob(&blob.descriptor.digest, from).await? {
                Mount::Mounted => Ok(Transfer::Mounted),
                Mount::Session(session) => {
                    if self
                        .repository
                        .head_blob(&blob.descriptor.digest)
                        .await?
                        .is_some()
                    {
                        session.cancel().await;
                        return Ok(Transfer::Present);
                    }
                    session.put(&blob.descriptor, sources.body(blob).await?).await?;
                    Ok(blob.transfer())
                }
            },
            Step::Stream { .. } | Step::Upload => self.send(blob, sources).await,
        }
    }

    async fn send(&self, blob: &PublishedBlob, sources: &Sources) -> Result<Transfer, PushFailure> {
        let sent = self.send_once(blob, sources).await;
        match sent {
            // Somebody else pushed it at the same time, and this registry took only one of the two for good.
            Err(PushFailure::Registry(error)) if error.is_refusal() => {
                self.send_unless_present(blob, sources, error).await
            }
            sent => sent.map(|()| blob.transfer()),
        }
    }

    async fn send_unless_present(
        &self,
        blob: &PublishedBlob,
        sources: &Sources,
        refused: RegistryError,
    ) -> Result<Transfer, PushFailure> {
        match self.repository.head_blob(&blob.descriptor.digest).await {
            Ok(Some(_)) => Ok(Transfer::Present),
            Ok(None) => {
                self.send_once(blob, sources).await?;
                Ok(blob.transfer())
            }
            Err(_) => Err(refused.into()),
        }
    }

    async fn send_once(&self, blob: &PublishedBlob, sources: &Sources) -> Result<(), PushFailure> {
        let session = self.repository.start_upload().await?;
        Ok(session.put(&blob.descriptor, sources.body(blob).await?).await?)
    }
}

/// Tells whether a request that asks for a blob saves more than it costs. A mount is asked for at once: where registries
/// mount, that is one request less than looking first.
fn is_worth_asking(blob: &PlannedBlob) -> bool {
    match blob.step {
        Step::Stream { .. } => true,
        Step::Upload => blob.descriptor.size > NOT_WORTH_ASKING,
        Step::Mount { .. } | Step::Present | Step::Foreign => false,
    }
}
