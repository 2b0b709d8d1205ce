//! What is known of a base image, read only as far as somebody asks.
//!
//! - [`ImageSource`] is where a base's documents and blobs come from: a repository of a registry, or a store on disk.
//! - [`Bases`] finds a [`Base`] there, an image or index, once in a run; [`Base::platforms`] gives the images that are wanted, each a
//!   [`BaseImage`] of manifest and configuration. Instructions that only change the configuration need no more. What a
//!   digest names is kept in the local cache, so that the next run asks for no more than what the tag names.
//! - [`LayerStack`] reads listings of a base image's layers, topmost first, until a question about its files is
//!   answered. Listings are kept in the local cache by diff id, and read once however many platforms ask.
//! - [`BaseFiles`] holds the contents of the few files that a change copies up.
//!
//! It deliberately never unpacks a layer and never reads a byte that was not asked for.

mod base;
mod bases;
mod documents;
mod files;
mod image;
mod listings;
mod source;
mod stack;

pub use base::{Base, BaseError};
pub use bases::Bases;
pub use files::{BaseFiles, FilesError};
pub use image::BaseImage;
pub use listings::{ListedFrom, Listings, ListingsError};
pub use source::{ImageSource, SourceError};
pub use stack::{LayerStack, ReadLayer, StackLayer};
