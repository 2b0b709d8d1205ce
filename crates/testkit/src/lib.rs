//! Development only: what the tests and benches of this workspace stand on.
//!
//! - Image makers: [`entry`] → [`Layer`] → [`Image`] → [`Layout`], and the images that most tests start
//!   from: [`TestBase`], [`LargeBase`] and [`write_fixture_base`].
//! - A real registry: [`Registry`] runs Debian's `docker-registry`; a [`Front`] before it logs each request
//!   and misbehaves on request ([`Fault`]); [`upload_layout`] fills it through `skopeo`.
//! - Independent reading: [`validate_layout`] and [`validate_registry`] recompute everything an image claims
//!   from its bytes; [`flatten_layout`] and [`flatten_tar`] give the merged root filesystem as a value whose
//!   text listing two builders can be compared by.
//!
//! ```
//! use onlay_testkit::entry::{dir, file};
//! use onlay_testkit::{Image, Layer, Layout, Platform, Strictness, validate_layout};
//!
//! let scratch = tempfile::tempdir()?;
//! let layout = Layout::create(scratch.path());
//! let image = Image::new(Platform::amd64()).layer(Layer::new(&[dir("etc"), file("etc/motd", "hello\n")]));
//! let manifest = layout.write_image(&image);
//! layout.tag(&manifest, "1.0");
//!
//! let report = validate_layout(scratch.path(), "1.0", Strictness::AllLayers);
//! assert_eq!(report.digest, manifest.digest);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Everything blocks, and everything panics with a message that says what to do: a test has nobody to return
//! an error to. No crate of this workspace is used here: what validates must not share a bug with what is
//! validated. Nothing here is meant for input that is hostile to the test itself.
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a helper of tests fails by panicking, with the reason"
)]

mod base;
mod container_registry;
mod digest;
mod ecr_front;
pub mod entry;
mod fixture;
mod flatten;
mod front;
mod http;
mod hub_front;
mod image;
mod large;
mod layer;
mod layout;
mod member;
mod registry;
mod rootfs;
mod skopeo;
mod source;
mod uploads;
mod validate;

pub use base::TestBase;
pub use container_registry::ContainerRegistry;
pub use digest::sha256;
pub use ecr_front::{EcrAccount, EcrFront, EcrRepository};
pub use entry::Entry;
pub use fixture::{FIXTURE_TAG, write_fixture_base};
pub use flatten::{FileInfo, FileKind, RootFs, flatten_directory, flatten_layout, flatten_tar};
pub use front::{Fault, Front, FrontAuth, LoggedRequest, Misbehaviour, TokenManners};
pub use hub_front::{HubFront, HubManners};
pub use image::{Family, Image, Platform};
pub use large::{LargeBase, noise};
pub use layer::{Compression, Layer};
pub use layout::{Descriptor, Layout};
pub use registry::{Credential, Registry};
pub use skopeo::upload_layout;
pub use uploads::{UploadRequest, UploadRules, UploadServer};
pub use validate::{
    ImageReport, LayerReport, Report, Strictness, check_layout, check_registry, validate_layout,
    validate_registry,
};
