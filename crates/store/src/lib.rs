//! Content-addressed blobs on disk.
//!
//! - A [`Location`] says where an image is, a [`Destination`] where one is to be published.
//! - A [`Store`] is a place on disk that images are read from: a [`Layout`], an [`OciArchive`] or a [`DockerArchive`].
//!   Every blob is verified while it is read.
//! - [`Layout`], [`OciArchive::write`] and [`DockerArchive::write`] are what images are written to; a reader never sees
//!   anything half.
//! - The [`Cache`] keeps what was found out between runs, a [`Spool`] the bytes of a layer until it is published; a
//!   [`GrowingBlob`] is one that is read while it is still written.
//!
//! Everything here blocks. It deliberately does not talk to registries or know what is in a layer.

mod cache;
mod docker_archive;
mod error;
mod growing;
mod layout;
mod location;
mod member;
mod oci_archive;
mod spool;
mod store;
mod verify;

pub use cache::{Cache, CacheKind};
pub use docker_archive::DockerArchive;
pub use error::StoreError;
pub use growing::{GrowingBlob, GrowingReader, GrowingWriter};
pub use layout::Layout;
pub use location::{Destination, Location, LocationError};
pub use oci_archive::OciArchive;
pub use spool::{Blob, BlobReader, Spool};
pub use store::Store;
pub use verify::Mismatch;
