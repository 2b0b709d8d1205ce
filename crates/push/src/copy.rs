//! Copies: an image or index as it is, with what belongs to it.
//!
//! Documents keep their bytes, so digests stay. The order is blobs, children by digest, indexes, what refers to them,
//! and last the tag; so whoever sees the tag sees all of it, and a copy that was cut off is finished by the next one.

mod belongings;
mod carriage;
mod choice;
mod failure;
mod left_out;
mod place;
mod source;
mod tree;

use std::collections::VecDeque;

use onlay_oci::{Descriptor, Digest, Document, Index, IndexEntryKind, PlatformSelection};
use onlay_registry::Client;
use onlay_store::{Destination, Location};

use self::belongings::Belonging;
use self::carriage::{Carried, forget};
use self::failure::refusal;
use self::place::Place;
use self::source::Source;
use crate::push::Pushed;
use crate::{Publication, PushFailure, TagsInFlight};

pub use failure::{CopyError, CopyFailure};
pub use left_out::{LeftOut, Reason};

/// What is copied, and what is done when something cannot be.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// All platforms, as they are; or some, which gives a new index, or one image by itself.
    pub platforms: PlatformSelection,
    /// Whether what refers to the image is copied too.
    pub referrers: bool,
    /// What is done when the destination takes no manifest like one of these.
    pub on_refused: OnRefused,
    /// Where it is said which tags are being moved.
    pub in_flight: TagsInFlight,
}

/// What is done when a registry refuses a manifest for what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefused {
    /// Nothing gets the tag.
    Fail,
    /// It is left out, if it is no image: a signature, an SBOM, a statement in an index, which is then a new one.
    Skip,
}

/// What a copy has brought about.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    /// What is at the destination's tag, and what became of all blobs.
    pub pushed: Pushed,
    /// What the tag names: as it was, or made new for fewer platforms.
    pub root: Descriptor,
    /// How many entries of the source's index were not copied because of the platforms that were chosen.
    pub unchosen: usize,
    /// How many manifests that belong to the image are at the destination: such as were there, and such as were copied.
    pub belongings: (usize, usize),
    /// What was not copied although it belongs there.
    pub left_out: Vec<LeftOut>,
}

/// Copies an image or index from one place to another, with what belongs to it: signatures, SBOMs and whatever else refers
/// to it or to its parts, as the source lists it, and what cosign keeps under tags of its own. Those tags name at the
/// destination what they name at the source then, whatever they named before; lists of referrers only get longer.
///
/// Where the destination's tag names the image already, nothing but that is asked; unless what belongs to it is wanted
/// too, which may be younger than the image.
///
/// # Errors
/// The source or the destination failed, or refused something; the tag then still names what it named before.
///
/// # Cancel safety
/// Dropping the future leaves blobs and manifests without the tag at most.
pub async fn copy(
    client: &Client,
    source: &Location,
    destination: &Destination,
    options: &CopyOptions,
) -> Result<Copied, CopyError> {
    let copied = async {
        let copy = Copy {
            source: Source::open(client, source).await?,
            place: Place::open(client, destination, &options.in_flight)?,
            options,
        };
        copy.run().await
    };
    copied.await.map_err(|failure| CopyError {
        origin: source.to_string(),
        destination: destination.to_string(),
        source: failure,
    })
}

/// A copy under way.
struct Copy<'a> {
    source: Source,
    place: Place,
    options: &'a CopyOptions,
}

impl Copy<'_> {
    async fn run(self) -> Result<Copied, CopyFailure> {
        let digest = self.source.digest().await?;
        let current = self.place.current().await?;
        let named = |digest: &Digest| current.clone().filter(|current| current.digest == *digest);
        if let (PlatformSelection::All, Some(there)) = (&self.options.platforms, named(&digest)) {
            return self.catch_up(there).await;
        }
        let root = self.source.root(&digest).await?;
        let choice = choice::choose(&self.source, root, &self.options.platforms).await?;
        let copied = match named(&choice.root.descriptor().digest) {
            Some(there) => self.catch_up(there).await?,
            None => {
                let publication = tree::publication(&self.source, choice.root).await?;
                let belongings = self.belongings_of(&publication).await?;
                self.bring(publication, belongings.into()).await?
            }
        };
        self.place.finish().await?;
        let unchosen = choice.left_out;
        Ok(Copied { unchosen, ..copied })
    }

    /// Looks for what belongs to an image that is at the destination already. What the image consists of is read there,
    /// where reading is not counted against anybody, if at all.
    async fn catch_up(&self, root: Descriptor) -> Result<Copied, CopyFailure> {
        let mut carried = Carried::default();
        if self.options.referrers {
            let tags = self.source.digest_tags().await?;
            let own = [root.digest.clone()];
            let mut found = belongings::find(&self.source, &own, &tags).await?;
            let may_have_more = !(self.source.keeps_no_lists() && tags.is_none());
            if let (true, Some(place)) = (may_have_more, self.place.as_source()) {
                let digests = tree::digests(&place, &root).await?;
                found.extend(belongings::find(&self.source, &digests[1..], &tags).await?);
            }
            carried = self.carry(found.into()).await?;
        }
        Ok(carried.with(Pushed::unchanged(root.digest.clone()), root))
    }

    async fn belongings_of(&self, publication: &Publication) -> Result<Vec<Belonging>, CopyFailure> {
        if !self.options.referrers || !self.place.holds_belongings() {
            return Ok(Vec::new());
        }
        let documents = [&publication.root].into_iter().chain(&publication.manifests);
        let subjects: Vec<Digest> = documents.map(|document| document.descriptor().digest).collect();
        let tags = self.source.digest_tags().await?;
        belongings::find(&self.source, &subjects, &tags).await
    }

    /// Brings the image, then what belongs to it, then the tag.
    async fn bring(
        &self,
        mut publication: Publication,
        mut belongings: VecDeque<Belonging>,
    ) -> Result<Copied, CopyFailure> {
        let mut left_out = Vec::new();
        let pushed = loop {
            let pushed = match belongings.is_empty() {
                true => self.place.publish(&publication).await,
                false => self.place.bring_image(&publication).await,
            };
            match pushed {
                Ok(pushed) => break pushed,
                Err(failure) => {
                    let (smaller, refused) = self.without_refused(&publication, failure).await?;
                    let gone = [
                        publication.root.descriptor().digest,
                        refused.descriptor.digest.clone(),
                    ];
                    left_out.push(refused);
                    left_out.extend(forget(&mut belongings, &gone));
                    publication = smaller;
                }
            }
        };
        let root = publication.root.descriptor();
        let mut carried = Carried::default();
        let is_tagged = belongings.is_empty();
        if !is_tagged {
            carried = self.carry(belongings).await?;
            self.place.tag_as_named(&publication.root).await?;
        }
        carried.left_out.splice(0..0, left_out);
        let unchanged = pushed.unchanged && is_tagged;
        Ok(carried.with(Pushed { unchanged, ..pushed }, root))
    }

    /// The image without what the destination refused, if that may be.
    async fn without_refused(
        &self,
        publication: &Publication,
        failure: PushFailure,
    ) -> Result<(Publication, LeftOut), CopyFailure> {
        let Some((name, words)) = refusal(&failure) else {
            return Err(failure.into());
        };
        let documents = publication.manifests.iter();
        let mut named = documents.filter(|document| document.descriptor().digest.to_string() == name);
        let refused = named.next().unwrap_or(&publication.root);
        let reason = Reason::Refused {
            words: words.to_owned(),
        };
        let left_out = LeftOut::document(refused, reason);
        let digest = &left_out.descriptor.digest;
        if let (OnRefused::Skip, Document::Index(index)) = (self.options.on_refused, &publication.root)
            && is_dispensable(index, refused)
        {
            let root = Document::Index(index.keeping(|entry| entry.digest != *digest)?);
            return Ok((tree::publication(&self.source, root).await?, left_out));
        }
        Err(CopyFailure::Refused {
            digest: digest.clone(),
            kind: left_out.kind(),
            source: failure,
        })
    }
}

/// Tells whether an index is worth something without one of its documents: a statement about images, or an artifact.
fn is_dispensable(index: &Index, document: &Document) -> bool {
    let Document::Manifest(manifest) = document else {
        return false;
    };
    let digest = document.descriptor().digest;
    let mut entries = index.manifests().iter().filter(|entry| entry.digest == digest);
    entries.any(|entry| Index::kind(entry) == IndexEntryKind::Attestation || !manifest.is_image())
}
