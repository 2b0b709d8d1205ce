use std::collections::HashMap;

use onlay_oci::{Descriptor, Digest, Document};
use onlay_registry::RegistryError;
use onlay_store::StoreError;

use super::belongings::{Belonging, Bond};
use super::failure::refusal;
use super::{Copied, Copy, CopyFailure, LeftOut, OnRefused, Reason, tree};
use crate::PushFailure;
use crate::push::{Pushed, Transfers};

/// What became of what belongs to an image.
#[derive(Default)]
pub(super) struct Carried {
    present: usize,
    copied: usize,
    transfers: Transfers,
    pub(super) left_out: Vec<LeftOut>,
}

impl Copy<'_> {
    /// Brings what belongs to an image that is there.
    pub(super) async fn carry(&self, belongings: Vec<Belonging>) -> Result<Carried, CopyFailure> {
        let mut carried = Carried::default();
        let mut lists: Vec<(Digest, Vec<Descriptor>)> = Vec::new();
        let mut positions: HashMap<Digest, usize> = HashMap::new();
        for belonging in belongings {
            let Some(descriptor) = self.carry_one(&belonging, &mut carried).await? else {
                continue;
            };
            if let Bond::Subject(subject) = belonging.by {
                let position = *positions.entry(subject.clone()).or_insert(lists.len());
                if position == lists.len() {
                    lists.push((subject, Vec::new()));
                }
                lists[position].1.push(descriptor);
            }
        }
        for (subject, referrers) in lists {
            self.place.list(&subject, referrers).await?;
        }
        Ok(carried)
    }

    /// Gives what a list of referrers says of it, if it is there now.
    async fn carry_one(
        &self,
        belonging: &Belonging,
        carried: &mut Carried,
    ) -> Result<Option<Descriptor>, CopyFailure> {
        let tag = belonging.tag();
        if self.place.has(&belonging.descriptor, tag).await? {
            carried.present += 1;
            return Ok(Some(belonging.descriptor.clone()));
        }
        let brought = match self.read(belonging).await? {
            Ok((document, listed)) => {
                let publication = tree::publication(&self.source, document).await?;
                match self.place.bring(&publication).await {
                    Ok(pushed) => {
                        carried.transfers.add(&pushed.transfers);
                        Ok((publication.root, listed))
                    }
                    Err(failure) => Err(self.refused(&publication.root, failure)?),
                }
            }
            Err(left_out) => Err(left_out),
        };
        match brought {
            Ok((document, listed)) => {
                if let Some(tag) = tag {
                    self.place.tag(&document, tag).await?;
                }
                carried.copied += 1;
                Ok(Some(listed))
            }
            Err(left_out) => {
                carried.left_out.push(left_out);
                Ok(None)
            }
        }
    }

    /// Reads something that belongs to the image, and what a list of referrers says of it; or tells why it is left out.
    async fn read(
        &self,
        belonging: &Belonging,
    ) -> Result<Result<(Document, Descriptor), LeftOut>, CopyFailure> {
        let document = match self.source.document(&belonging.descriptor).await {
            Ok(document) => document,
            Err(failure) => {
                let reason = match failure.is_missing() {
                    true => Reason::Missing,
                    false => self.unreadable(failure)?,
                };
                let descriptor = belonging.descriptor.clone();
                return Ok(Err(LeftOut { descriptor, reason }));
            }
        };
        let listed = match &belonging.by {
            Bond::Tag(_) => Some(document.descriptor()),
            Bond::Subject(subject) => document
                .as_referrer()?
                .filter(|(own, _)| own == subject)
                .map(|(_, listed)| listed),
        };
        Ok(match listed {
            Some(listed) => Ok((document, listed)),
            None => Err(LeftOut::document(&document, Reason::OtherSubject)),
        })
    }

    /// Why something is left out that is no manifest, if it may be.
    fn unreadable(&self, failure: CopyFailure) -> Result<Reason, CopyFailure> {
        match (&failure, self.options.on_refused) {
            (CopyFailure::Registry(RegistryError::Document { source, .. }), OnRefused::Skip)
            | (CopyFailure::Store(StoreError::Document { source, .. }), OnRefused::Skip) => {
                Ok(Reason::Unreadable {
                    problem: source.to_string(),
                })
            }
            _ => Err(failure),
        }
    }

    /// What is left out, if it was refused for what it is and may be left out.
    fn refused(&self, document: &Document, failure: PushFailure) -> Result<LeftOut, CopyFailure> {
        let Some((_, words)) = refusal(&failure) else {
            return Err(failure.into());
        };
        let reason = Reason::Refused {
            words: words.to_owned(),
        };
        let left_out = LeftOut::document(document, reason);
        match self.options.on_refused {
            OnRefused::Skip => Ok(left_out),
            OnRefused::Fail => Err(CopyFailure::Refused {
                digest: left_out.descriptor.digest.clone(),
                kind: left_out.kind(),
                source: failure,
            }),
        }
    }
}

impl Carried {
    pub(super) fn with(self, pushed: Pushed, root: Descriptor) -> Copied {
        let mut transfers = pushed.transfers;
        transfers.add(&self.transfers);
        Copied {
            pushed: Pushed { transfers, ..pushed },
            root,
            unchosen: 0,
            belongings: (self.present, self.copied),
            left_out: self.left_out,
        }
    }
}

/// Takes away what belongs to manifests that are not copied after all.
pub(super) fn forget(belongings: &mut Vec<Belonging>, gone: &[Digest]) -> Vec<LeftOut> {
    let speaks_of = |belonging: &Belonging, digest: &Digest| match &belonging.by {
        Bond::Subject(subject) => subject == digest,
        Bond::Tag(tag) => digest.cosign_tags().contains(tag),
    };
    let mut gone: Vec<Digest> = gone.to_vec();
    let mut forgotten = Vec::new();
    // What belongs to something stands behind it, so one pass finds what belongs to what was forgotten.
    belongings.retain(|belonging| {
        let is_gone = gone.iter().any(|digest| speaks_of(belonging, digest));
        if is_gone {
            gone.push(belonging.descriptor.digest.clone());
            forgotten.push(LeftOut {
                descriptor: belonging.descriptor.clone(),
                reason: Reason::OldIndex,
            });
        }
        !is_gone
    });
    forgotten
}
