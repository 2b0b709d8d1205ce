//! The one bridge between async byte streams and blocking readers, both ways, through bounded channels.
//!
//! - [`reader()`] makes a blocking [`Read`](std::io::Read) of an async stream.
//! - [`stream()`] makes an async stream of a blocking reader.
//!
//! Neither side runs ahead of the other by more than a few pieces, so memory stays bounded whatever is copied. When one
//! end is dropped the other ends too; the end of the data is told apart from a worker that failed.
//!
//! It deliberately knows nothing of blobs, digests or registries.

mod reader;
mod stream;

pub use reader::{BlockingReader, reader};
pub use stream::stream;

/// How many pieces may wait between the two ends: enough to keep both busy, few enough to bound memory (pieces have at
/// most some hundred kilobytes).
const PIECES: usize = 8;
