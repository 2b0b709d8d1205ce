//! The layer builder: what is in the layers of a base, and how a new layer is written on top of them.
//!
//! ```
//! use onlay_layer::{Edit, Metadata, ModificationTime, Node, Tree, changes};
//!
//! // A real base comes from listings: `Tree::unread().over(&top).over(&next).completed()`.
//! let base = Tree::scratch();
//! let mut edit = Edit::new(&base);
//! let place = edit.tree().resolve(b"/etc", &Default::default(), onlay_layer::LastLink::Follow)?;
//! edit.put(&place.path, Node::directory(Metadata::root_owned(0o755), ModificationTime::Build))?;
//!
//! let changes = changes(&base, &edit.finish())?;
//! assert_eq!(changes.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - A [`Listing`] is what one layer's tar headers say; [`read_listing`] makes it by streaming the layer once.
//! - A [`Tree`] is the file system of a stack of listings, merged from the top down and only as far as needed.
//! - An [`Edit`] changes a tree; [`changes`] tells what differs, as entries of a layer.
//! - [`write_layer`] streams changes into tar, digests and compression, in one pass.
//!
//! It knows nothing of instructions, registries or where bytes come from ([`ContentSource`]), and never unpacks
//! anything.

mod change;
mod compress;
mod content;
mod decompress;
mod edit;
mod gzip;
mod header;
mod listing;
mod metadata;
mod node;
#[cfg(test)]
mod notation;
mod path;
mod read;
mod resolve;
mod tree;
mod write;

pub use change::{Change, ChangeError, ChangeKind, changes};
pub use compress::{CompressionOptions, Compressor};
pub use content::{BaseFile, Content, ContentSource, NoContent};
pub use decompress::{Decompressor, decompressor};
pub use edit::{Edit, EditError};
pub use listing::{Entry, EntryKind, Listing, ListingFormatError};
pub use metadata::{Metadata, ModificationTime};
pub use node::{Directory, Node, NodeKind};
pub use path::{ImagePath, PathError};
pub use read::{FileReadError, LayerReadError, read_archive, read_files, read_listing};
pub use resolve::{LastLink, ResolveError, Resolved};
pub use tree::{Lookup, Tree};
pub use write::{LayerOptions, LayerWriteError, RECIPE_VERSION, WrittenLayer, write_layer};
