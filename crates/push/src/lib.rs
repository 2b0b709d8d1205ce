//! The pusher: brings a finished image to a destination, and nothing of it that is there already.
//!
//! A [`Publication`] is an image or index with all that it refers to, each blob with the place it comes from. [`push()`]
//! brings it to a registry, an OCI layout or an archive:
//!
//! 1. blobs, several at a time, big ones first: already there, else mounted from a repository of the same registry, else
//!    streamed from where they are, else uploaded;
//! 2. manifests of an index, by digest;
//! 3. the image or index itself under its tag, once, last.
//!
//! So a reader never sees half an image, and a push that is cut off leaves nothing but blobs that the next one finds.
//!
//! It deliberately makes no images and compresses nothing.

mod archive;
mod layout;
mod plan;
mod publication;
mod push;
mod registry;
mod sources;

pub use plan::{Depth, Plan, PlannedBlob, Step};
pub use publication::{BlobOrigin, Publication, PublishedBlob};
pub use push::{PushError, PushFailure, Pushed, Pusher, Transfer, Transfers};
