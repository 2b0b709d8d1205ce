//! End to end: the binary against real registries, engines and readers.
//!
//! Each test starts what it needs on loopback and ends it. A program that is missing fails the test; `scripts/test`
//! installs them all. Every image that is published is validated by `onlay_testkit::validate`, which recomputes
//! everything from the bytes and shares no code with onlay.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests may look at the machine they run on"
)]

mod bad_input;
mod budgets;
mod build_flags;
mod config_only;
mod copy;
mod copying;
mod destinations;
mod docker_hub;
mod dockerd;
mod dockerfiles;
mod doctor;
mod ecr;
mod ecr_credentials;
mod ecr_front;
mod ecr_options;
mod engine;
mod executed;
mod hostile_registry;
mod interrupted;
mod large_copy;
mod login;
mod look;
mod memory_group;
mod mirroring;
mod mounts;
mod network;
mod onbuild;
mod onlay;
mod profiles;
mod readers;
mod robust;
mod same_digest;
mod second_registry;
mod secrets;
mod several_destinations;
mod throttling;
mod vault;
