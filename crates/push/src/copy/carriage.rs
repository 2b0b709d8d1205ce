use std::collections::VecDeque;

use onlay_oci::{Descriptor, Digest, Document, JsonError};
use onlay_registry::RegistryError;
use onlay_store::StoreError;

use super::belongings::Belonging;
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

/// What became of one of them.
enum Fate {
    Present,
    Copied {
        /// What a list of referrers says of it.
        listed: Descriptor,
        transfers: Transfers,
    },
    LeftOut(LeftOut),
}

impl Copy<'_> {
    /// Brings what belongs to an image that is there, but nothing that belongs to what is left out.
    pub(super) async fn carry(&self, mut belongings: VecDeque<Belonging>) -> Result<Carried, CopyFailure> {
        let mut carried = Carried::default();
        let mut lists: Vec<(Digest, Vec<Descriptor>)> = Vec::new();
        while let Some(belonging) = belongings.pop_front() {
            let listed = match self.carry_one(&belonging).await? {
                Fate::Present => {
                    carried.present += 1;
                    belonging.descriptor
                }
                Fate::Copied { listed, transfers } => {
                    carried.copied += 1;
                    carried.transfers.add(&transfers);
                    listed
                }
                Fate::LeftOut(left_out) => {
                    let gone = [left_out.descriptor.digest.clone()];
                    carried.left_out.push(left_out);
                    carried.left_out.extend(forget(&mut belongings, &gone));
                    continue;
                }
            };
            if belonging.tag.is_some() {
                continue;
            }
            match lists
                .iter_mut()
                .find(|(subject, _)| *subject == belonging.subject)
            {
                Some((_, referrers)) => referrers.push(listed),
                None => lists.push((belonging.subject, vec![listed])),
            }
        }
        for (subject, referrers) in lists {
            self.place.list(&subject, referrers).await?;
        }
        Ok(carried)
    }

    async fn carry_one(&self, belonging: &Belonging) -> Result<Fate, CopyFailure> {
        let Belonging { descriptor, tag, .. } = belonging;
        if self.place.has(descriptor, tag.as_ref()).await? {
            return Ok(Fate::Present);
        }
        let document = match self.source.document(descriptor).await {
            Ok(document) => document,
            Err(failure) => {
                let (descriptor, reason) = (descriptor.clone(), self.unreadable(failure)?);
                return Ok(Fate::LeftOut(LeftOut { descriptor, reason }));
            }
        };
        let Some(listed) = listed(belonging, &document)? else {
            let left_out = LeftOut::document(&document, Reason::OtherSubject);
            return Ok(Fate::LeftOut(left_out));
        };
        let publication = tree::publication(&self.source, document).await?;
        let transfers = match self.place.bring(&publication).await {
            Ok(pushed) => pushed.transfers,
            Err(failure) => return Ok(Fate::LeftOut(self.refused(&publication.root, failure)?)),
        };
        if let Some(tag) = tag {
            self.place.tag(&publication.root, tag).await?;
        }
        Ok(Fate::Copied { listed, transfers })
    }

    /// Why something is left out that cannot be read, if it may be.
    fn unreadable(&self, failure: CopyFailure) -> Result<Reason, CopyFailure> {
        match (&failure, self.options.on_refused) {
            _ if failure.is_missing() => Ok(Reason::Missing),
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

/// What a list of referrers says of a document; none if it speaks of something else.
fn listed(belonging: &Belonging, document: &Document) -> Result<Option<Descriptor>, JsonError> {
    if belonging.tag.is_some() {
        return Ok(Some(document.descriptor()));
    }
    let referrer = document.as_referrer()?;
    Ok(referrer
        .filter(|(subject, _)| *subject == belonging.subject)
        .map(|(_, listed)| listed))
}

/// Takes away what belongs to manifests that are not copied after all.
pub(super) fn forget(belongings: &mut VecDeque<Belonging>, gone: &[Digest]) -> Vec<LeftOut> {
    let mut gone: Vec<Digest> = gone.to_vec();
    let mut forgotten = Vec::new();
    // What belongs to something stands behind it, so one pass finds what belongs to what was forgotten.
    belongings.retain(
        |Belonging {
             descriptor, subject, ..
         }| {
            let is_gone = gone.contains(subject);
            if is_gone {
                gone.push(descriptor.digest.clone());
                forgotten.push(LeftOut {
                    descriptor: descriptor.clone(),
                    reason: Reason::Subject(subject.clone()),
                });
            }
            !is_gone
        },
    );
    forgotten
}
