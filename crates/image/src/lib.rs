//! The config mutator: an image as a value, of which each edit gives a new value.
//!
//! ```
//! use onlay_image::{CommandForm, Image};
//! use onlay_oci::Platform;
//!
//! let image = Image::scratch(&Platform::new("linux", "amd64"), None)?
//!     .with_env(&[("MODE".to_owned(), "fast".to_owned())])?
//!     .with_volumes(&["/data".to_owned()])?
//!     .with_cmd(&CommandForm::Shell("serve --all".to_owned()))?;
//!
//! let texts: Vec<_> = image.configuration().history().filter_map(|entry| entry.created_by.as_deref()).collect();
//! assert_eq!(texts, ["ENV MODE=fast", "VOLUME [/data]", r#"CMD ["/bin/sh" "-c" "serve --all"]"#]);
//!
//! let finished = image.finish(None, &Default::default())?;
//! assert!(finished.layers().is_empty());
//! # Ok::<(), onlay_image::ImageError>(())
//! ```
//!
//! Three rules hold everywhere in this crate:
//!
//! - What an instruction does to the configuration, and what the history says of it, is what BuildKit does and says,
//!   character for character ([`history`]).
//! - An image that nobody edited keeps the bytes of its configuration and manifest, and with them its digest.
//! - Base history, base layers and members that no instruction names come out as they went in.
//!
//! It deliberately does not parse Dockerfiles or expand variables (its inputs are values), make layers (it is told
//! their descriptors), or know the time (it is told that too).

mod command;
mod environment;
mod finish;
mod go;
mod healthcheck;
pub mod history;
mod image;
mod index;
mod instruction;
mod object;

pub use command::CommandForm;
pub use finish::{ConversionReason, FinishedImage};
pub use healthcheck::{Healthcheck, Probe};
pub use image::{Image, ImageError, MAX_LAYERS, NewLayer};
pub use index::{IndexError, assemble_index, common_family};
