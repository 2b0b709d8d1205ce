//! What became of each image.

use std::fmt;

use onlay_oci::Digest;
use serde::Serialize;

/// How an image ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is as it was: nothing was fetched, nothing sent.
    Unchanged,
    /// It was copied as it is.
    Copied,
    /// Lines were added to what is new upstream, or new lines to what was there.
    Patched,
    /// It is left for the next run.
    Postponed,
    /// The configuration does not allow it.
    Refused,
    /// It could not be done.
    Failed,
}

/// What became of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Where it comes from.
    pub source: String,
    /// Where it is kept.
    pub target: String,
    /// How it ended.
    pub status: Status,
    /// Why, if it is not there as it should be, or what is to be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the target's tag names, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Bytes that were sent or copied.
    pub bytes: u64,
    /// Layers that the registry took from another of its repositories.
    pub mounted: usize,
}

/// What became of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the configuration's order.
    pub images: Vec<Outcome>,
    /// What registries say of the pulls that are left.
    pub pulls: Vec<String>,
}

impl Report {
    /// How many ended so.
    pub fn count(&self, status: Status) -> usize {
        self.images
            .iter()
            .filter(|outcome| outcome.status == status)
            .count()
    }

    /// Whether something failed or was refused.
    pub fn has_failures(&self) -> bool {
        self.count(Status::Failed) + self.count(Status::Refused) > 0
    }
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Copied,
        Self::Patched,
        Self::Unchanged,
        Self::Postponed,
        Self::Refused,
        Self::Failed,
    ];
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unchanged => "unchanged",
            Self::Copied => "copied",
            Self::Patched => "patched",
            Self::Postponed => "postponed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        })
    }
}
