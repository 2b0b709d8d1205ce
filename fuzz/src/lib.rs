//! What must hold for any bytes: one function for each thing that is read from strangers. It panics where it does not.
//!
//! `scripts/fuzz` looks for such bytes; the test `fuzz-corpus` of the command line's package takes these files in as a
//! module and gives the functions every file under `corpus/`, so that what was once found stays found.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a check fails by panicking"
)]

mod dockerfile;
mod ignore;
mod listing;
mod tar;
mod tree;

pub use dockerfile::dockerfile;
pub use ignore::ignore;
pub use listing::listing;
pub use tar::tar;

/// Takes apart an input of two parts, the second behind the last NUL byte, so that inputs can be written by hand.
fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().rposition(|byte| *byte == 0) {
        Some(nul) => (&bytes[..nul], &bytes[nul + 1..]),
        None => (bytes, b""),
    }
}
