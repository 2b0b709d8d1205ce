//! The vocabulary of container images, without I/O, clock or environment.
//!
//! ```
//! use onlay_oci::{Digest, Reference};
//!
//! let vault: Reference = "hashicorp/vault:1.14".parse()?;
//! assert_eq!(vault.to_string(), "docker.io/hashicorp/vault:1.14");
//! assert_eq!(vault.familiar().to_string(), "hashicorp/vault:1.14");
//!
//! let digest = Digest::of(b"{}");
//! assert!(digest.to_string().starts_with("sha256:44136fa355b3"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Three rules hold everywhere in this crate:
//!
//! - A digest is over bytes, so every document ([`Manifest`], [`Index`], [`ImageConfiguration`]) keeps the bytes it
//!   was parsed from, and an edit re-serialises only what it touched ([`RawObject`]).
//! - What is not known is carried, not dropped: unknown members of any object come out as they went in.
//! - Docker's and OCI's media types never meet in one image ([`Family`]).
//!
//! It deliberately does not read or write anything, talk to registries, or know what an instruction means.

mod config;
mod descriptor;
mod digest;
mod digest_tag;
mod index;
mod json;
mod manifest;
mod media_type;
mod platform;
mod reference;
mod timestamp;

pub use config::{ConfigError, History, ImageConfiguration};
pub use descriptor::Descriptor;
pub use digest::{Algorithm, ChainId, DiffId, Digest, DigestError, Digester, ImageId};
pub use index::{Index, IndexEntryKind};
pub use json::{JsonError, RawObject};
pub use manifest::{Document, DocumentError, MAX_MANIFEST_SIZE, Manifest};
pub use media_type::{Compression, Family, MediaType};
pub use platform::{Platform, PlatformError, PlatformSelection};
pub use reference::{Familiar, Reference, ReferenceError, Registry, Repository, Tag};
pub use timestamp::{Timestamp, TimestampError};
