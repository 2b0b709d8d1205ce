//! Downloads that ADD and build contexts ask for.
//!
//! A [`Fetcher`] gets what an `http` or `https` URL names, on to disk where it is large, with its digest, its
//! modification time and the name that ADD gives it: a [`Download`].
//!
//! - A transfer that is cut is taken up where it broke off, if the server tells by a strong entity tag that the rest
//!   belongs to the beginning; else it starts over.
//! - A server that is busy is asked again, one that says no is not.
//! - Redirects are followed, but not out of TLS and not to link-local addresses, where clouds hand out credentials.
//! - What comes compressed as `Content-Encoding: gzip` is kept uncompressed, as BuildKit keeps it.
//!
//! It deliberately does not unpack anything, keep anything between runs or know of registries and git.

mod ask;
mod credential;
mod download;
mod error;
mod fault;
mod fetcher;
mod name;
mod partial;
mod place;
mod retry;
mod sink;
mod transfer;

pub use download::Download;
pub use error::FetchError;
pub use fetcher::{FetchOptions, Fetcher};
pub use name::file_name;
