//! The client against a real registry, straight and behind a front that misbehaves. Assertions read the front's log.
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, with the reason"
)]

mod case;
mod credentials;
mod debug;
mod patience;
mod reading;
mod realms;
mod referrers;
mod sweep;
mod tags;
mod throttling;
mod tokens;
mod uploading;
mod waiting;
mod writing;
