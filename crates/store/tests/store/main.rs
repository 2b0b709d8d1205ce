//! Stores on a real disk, read back by themselves and by skopeo.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod archives;
mod cache;
mod docker;
mod layouts;
mod regressions;
mod skopeo;
mod support;
