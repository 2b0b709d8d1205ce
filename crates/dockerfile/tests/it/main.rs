//! The crate seen from outside: what is refused and how, what instructions mean, what holds for any text.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking too"
)]

mod lint;
mod meaning;
mod properties;
mod refusals;
