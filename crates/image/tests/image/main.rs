//! Images as their users see them: edit, finish, read the JSON.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set up its case has failed"
)]

mod base;
mod families;
mod instructions;
mod properties;
mod repairs;
mod stages;
