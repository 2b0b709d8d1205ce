use onlay_oci::{Descriptor, Digest, Repository};
use onlay_store::Destination;

use crate::Publication;

/// What a push to one destination is going to do, found out before a byte moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Where to.
    pub destination: Destination,
    /// The digest of what gets the tag.
    pub digest: Digest,
    /// Whether the tag names that already, so that nothing is to be done.
    pub unchanged: bool,
    /// What becomes of each blob, the largest first; empty if nothing is to be done.
    pub blobs: Vec<PlannedBlob>,
    /// The manifests that are put before what gets the tag.
    pub manifests: Vec<Descriptor>,
}

/// A blob, and how it gets to the destination.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedBlob {
    /// What it is.
    pub descriptor: Descriptor,
    /// How it gets there.
    pub step: Step,
}

/// How a blob is going to get to its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is there.
    Present,
    /// The registry is asked to take it from another of its repositories, and sent it if it does not.
    Mount {
        /// The other repository.
        from: Repository,
    },
    /// Its bytes go straight through from where they are.
    Stream {
        /// The repository, layout or archive that has them.
        from: String,
    },
    /// Its bytes were made in this run.
    Upload,
    /// It is a foreign layer, which is left with its URLs.
    Foreign,
}

/// How much is found out before anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// As much as saves work: what costs as much to ask as to do is left to the doing.
    Needed,
    /// All of it, for somebody to read.
    All,
}

impl Plan {
    /// A destination that has it all.
    pub(crate) fn unchanged(destination: Destination, publication: &Publication) -> Self {
        Self {
            destination,
            digest: publication.root.descriptor().digest,
            unchanged: true,
            blobs: Vec::new(),
            manifests: Vec::new(),
        }
    }

    pub(crate) fn new(destination: Destination, publication: &Publication, blobs: Vec<PlannedBlob>) -> Self {
        Self {
            destination,
            digest: publication.root.descriptor().digest,
            unchanged: false,
            blobs,
            manifests: publication
                .manifests
                .iter()
                .map(|manifest| manifest.descriptor())
                .collect(),
        }
    }

    /// The bytes of blobs that are going to be sent, if every mount succeeds.
    pub fn bytes(&self) -> u64 {
        let sent = self
            .blobs
            .iter()
            .filter(|blob| matches!(blob.step, Step::Stream { .. } | Step::Upload));
        sent.map(|blob| blob.descriptor.size).sum()
    }
}
