use std::collections::BTreeMap;
use std::path::PathBuf;

use onlay_oci::{Descriptor, Digest, Document, Family, Index, Reference, Tag};
use onlay_registry::{Client, RepositoryClient};
use onlay_store::{Destination, Layout, Location, OciArchive};
use tempfile::TempDir;

use super::CopyFailure;
use super::source::Source;
use crate::layout::{self, blocking};
use crate::push::{PushFailure, Pushed};
use crate::registry::Target;
use crate::sources::Sources;
use crate::{Depth, Publication, TagsInFlight, archive};

/// Where an image is copied to.
pub(super) enum Place {
    Registry(Remote),
    /// A layout, or an archive that is put together in one.
    Layout(Local),
    DockerArchive {
        file: PathBuf,
        name: Option<Reference>,
    },
}

/// A repository, and the tag in it.
pub(super) struct Remote {
    client: Client,
    reference: Reference,
    repository: RepositoryClient,
    destination: Destination,
    in_flight: TagsInFlight,
}

/// A layout, and the tag in it.
pub(super) struct Local {
    directory: PathBuf,
    tag: Tag,
    /// The archive that it becomes.
    archive: Option<(TempDir, PathBuf)>,
}

impl Place {
    pub(super) fn open(
        client: &Client,
        destination: &Destination,
        in_flight: &TagsInFlight,
    ) -> Result<Self, CopyFailure> {
        let local = |directory, tag: &Option<Tag>, archive| {
            Self::Layout(Local {
                directory,
                tag: tag.clone().unwrap_or_else(Tag::latest),
                archive,
            })
        };
        Ok(match destination.location() {
            Location::Registry(reference) => Self::Registry(Remote {
                client: client.clone(),
                repository: client.repository(reference.registry(), reference.repository()),
                reference: reference.clone().with_default_tag(),
                destination: destination.clone(),
                in_flight: in_flight.clone(),
            }),
            Location::Layout { directory, tag } => local(directory.clone(), tag, None),
            Location::OciArchive { file, tag } => {
                let workshop = archive::workshop(file)?;
                local(workshop.path().to_owned(), tag, Some((workshop, file.clone())))
            }
            Location::DockerArchive { file, name } => Self::DockerArchive {
                file: file.clone(),
                name: name.clone(),
            },
        })
    }

    /// Tells whether there is room for what belongs to an image.
    pub(super) fn holds_belongings(&self) -> bool {
        !matches!(self, Self::DockerArchive { .. })
    }

    /// What the tag names in a registry by now: one HEAD. Files are looked through anew each time, and mended.
    pub(super) async fn current(&self) -> Result<Option<Descriptor>, CopyFailure> {
        match self {
            Self::Registry(Remote {
                repository,
                reference,
                ..
            }) => Ok(repository.head_manifest(&reference.identifier()).await?),
            Self::Layout(_) | Self::DockerArchive { .. } => Ok(None),
        }
    }

    /// The same place to read from, where that can save reading from the source.
    pub(super) fn as_source(&self) -> Option<Source> {
        match self {
            Self::Registry(Remote {
                repository,
                reference,
                ..
            }) => Some(Source::Registry {
                repository: repository.clone(),
                identifier: reference.identifier(),
            }),
            Self::Layout(_) | Self::DockerArchive { .. } => None,
        }
    }

    /// Brings an image to its tag, which does not name it yet.
    pub(super) async fn publish(&self, publication: &Publication) -> Result<Pushed, PushFailure> {
        match self {
            Self::Registry(remote) => remote.push_absent(publication, &remote.reference).await,
            Self::Layout(Local { directory, tag, .. }) => {
                layout::push(publication, &Sources::default(), directory, Some(tag)).await
            }
            Self::DockerArchive { file, name } => {
                archive::push_docker(publication, &Sources::default(), file, name.as_ref()).await
            }
        }
    }

    /// Brings an image that gets its tag later, unless it is there.
    pub(super) async fn bring_image(&self, publication: &Publication) -> Result<Pushed, PushFailure> {
        match self {
            Self::Registry(remote) => {
                let target = Target::new(&remote.client, &remote.by_digest(publication), &remote.in_flight);
                let plan = target
                    .plan(publication, &remote.destination, Depth::Needed)
                    .await?;
                target
                    .carry_out(&plan, publication, &Sources::default(), None)
                    .await
            }
            Self::Layout(_) | Self::DockerArchive { .. } => self.bring(publication).await,
        }
    }

    /// Brings what is not there by its digest.
    pub(super) async fn bring(&self, publication: &Publication) -> Result<Pushed, PushFailure> {
        let digest = publication.root.descriptor().digest;
        match self {
            Self::Registry(remote) => {
                remote
                    .push_absent(publication, &remote.by_digest(publication))
                    .await
            }
            Self::Layout(local) => {
                let layout = layout::create(&local.directory).await?;
                let transfers = layout::bring_all(publication, &Sources::default(), &layout).await?;
                Ok(Pushed {
                    digest,
                    transfers,
                    unchanged: false,
                })
            }
            Self::DockerArchive { .. } => Ok(Pushed {
                digest,
                transfers: Default::default(),
                unchanged: false,
            }),
        }
    }

    /// Gives what was brought its own tag, where that is not the one that the user named.
    pub(super) async fn tag(&self, document: &Document, tag: &Tag) -> Result<(), PushFailure> {
        let descriptor = document.descriptor();
        match self {
            Self::Registry(Remote {
                repository,
                in_flight,
                ..
            }) => {
                let _in_flight = in_flight.begin();
                let put = repository.put_manifest(tag.as_str(), &descriptor, document.bytes());
                Ok(put.await?)
            }
            Self::Layout(local) => {
                let layout = layout::create(&local.directory).await?;
                let tag = tag.clone();
                blocking(move || layout.tag(&descriptor, &tag)).await?;
                Ok(())
            }
            Self::DockerArchive { .. } => Ok(()),
        }
    }

    /// Gives what was brought the tag that the user named.
    pub(super) async fn tag_as_named(&self, document: &Document) -> Result<(), PushFailure> {
        let tag = match self {
            Self::Registry(Remote { reference, .. }) => reference.tag(),
            Self::Layout(local) => Some(&local.tag),
            Self::DockerArchive { .. } => None,
        };
        match tag {
            Some(tag) => self.tag(document, tag).await,
            None => Ok(()),
        }
    }

    /// Tells whether a manifest is there, under a tag if one is named.
    pub(super) async fn has(&self, descriptor: &Descriptor, tag: Option<&Tag>) -> Result<bool, PushFailure> {
        let name = tag.map_or_else(|| descriptor.digest.to_string(), Tag::to_string);
        match self {
            Self::Registry(Remote { repository, .. }) => {
                let found = repository.head_manifest(&name).await?;
                Ok(found.is_some_and(|found| found.digest == descriptor.digest))
            }
            // Cheap enough to do again, and mended by that.
            Self::Layout(_) | Self::DockerArchive { .. } => Ok(false),
        }
    }

    /// Sees to it that what was brought is listed with what it refers to.
    pub(super) async fn list(&self, subject: &Digest, referrers: Vec<Descriptor>) -> Result<(), PushFailure> {
        match self {
            Self::Registry(Remote { repository, .. }) => {
                Ok(repository.add_referrers(subject, &referrers).await?)
            }
            Self::Layout(local) => local.list(subject.referrers_tag(), referrers).await,
            Self::DockerArchive { .. } => Ok(()),
        }
    }

    /// Puts an archive in its place.
    pub(super) async fn finish(self) -> Result<(), PushFailure> {
        let Self::Layout(Local {
            archive: Some((workshop, file)),
            ..
        }) = self
        else {
            return Ok(());
        };
        blocking(move || OciArchive::write(&Layout::open(workshop.path())?, &file)).await
    }
}

impl Remote {
    fn by_digest(&self, publication: &Publication) -> Reference {
        let digest = publication.root.descriptor().digest;
        self.reference.clone().with_digest(digest)
    }

    /// Brings all of it in the order that a push has, to a tag or digest that does not name it yet.
    async fn push_absent(
        &self,
        publication: &Publication,
        reference: &Reference,
    ) -> Result<Pushed, PushFailure> {
        let target = Target::new(&self.client, reference, &self.in_flight);
        let plan = target.plan_of_absent(publication, &self.destination, Depth::Needed);
        target
            .carry_out(&plan.await?, publication, &Sources::default(), None)
            .await
    }
}

impl Local {
    /// Adds to the list under a tag. A layout keeps it as a registry does that knows no such lists.
    async fn list(&self, tag: Tag, referrers: Vec<Descriptor>) -> Result<(), PushFailure> {
        let layout = layout::create(&self.directory).await?;
        let index = match current_list(&layout, &tag).await? {
            Some(index) => index,
            None => Index::assemble(Family::Oci, Vec::new(), &BTreeMap::new())?,
        };
        let Some(merged) = index.with_entries(&referrers)? else {
            return Ok(());
        };
        let document = Document::Index(merged);
        layout::write(&layout, &document).await?;
        blocking(move || layout.tag(&document.descriptor(), &tag)).await?;
        Ok(())
    }
}

async fn current_list(layout: &Layout, tag: &Tag) -> Result<Option<Index>, PushFailure> {
    let (layout, tag) = (layout.clone(), tag.clone());
    blocking(move || {
        let store = onlay_store::Store::Layout(layout);
        let Some(list) = store.tagged(&tag)? else {
            return Ok(None);
        };
        match store.document(&list)? {
            Document::Index(index) => Ok(Some(index)),
            Document::Manifest(_) => Ok(None),
        }
    })
    .await
}
