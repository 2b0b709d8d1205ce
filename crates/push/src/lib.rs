//! The pusher: brings a finished image to its destinations, and nothing of it that is there already.
//!
//! A [`Publication`] is an image or index with all that it refers to, each blob with the place it comes from. A
//! [`Pusher`] finds out for each destination what is missing (a [`Plan`]), and brings it there:
//!
//! 1. blobs, several at a time, big ones first: already there, else mounted from a repository of the same registry, else
//!    streamed from where they are, else uploaded;
//! 2. manifests of an index, by digest;
//! 3. the image or index itself under its tag, once, last.
//!
//! So a reader never sees half an image, and a push that is cut off leaves nothing but blobs that the next one finds.
//! Destinations are registries, OCI layouts and archives; of several each goes at its own speed, and what they need from
//! elsewhere is read once.
//!
//! Large layers are sent while they are made ([`GrowingUploads`]).
//!
//! [`copy()`] brings an image from one place to another as it is, with the signatures and the like that belong to it.
//!
//! It deliberately makes no images and compresses nothing.

mod archive;
mod arrivals;
mod copy;
mod growing;
mod in_flight;
mod layout;
mod plan;
mod publication;
mod push;
mod registry;
mod sources;

pub use copy::{Copied, CopyError, CopyFailure, CopyOptions, LeftOut, OnRefused, Reason, copy};
pub use growing::GrowingUploads;
pub use in_flight::TagsInFlight;
pub use plan::{Depth, Plan, PlannedBlob, Step};
pub use publication::{BlobOrigin, Publication, PublishedBlob};
pub use push::{PushError, PushFailure, Pushed, Pusher, Transfer, Transfers};
