//! Benches of what every run of onlay spends its time in, with inputs of the size that real bases have.
//!
//! `cargo bench -p onlay-benches`, or one of them: `cargo bench -p onlay-benches -- listing/read`.
//! All inputs are made here, the same on every machine.
#![allow(
    clippy::unwrap_used,
    reason = "a bench of inputs that are wrong has nothing to measure"
)]

mod build;
mod context;
mod digest;
mod dockerfile;
mod layer;
mod listing;
mod sample;
mod tree;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    digest::bench(&mut criterion);
    dockerfile::bench(&mut criterion);
    listing::bench(&mut criterion);
    tree::bench(&mut criterion);
    layer::bench(&mut criterion);
    context::bench(&mut criterion);
    build::bench(&mut criterion);
    criterion.final_summary();
}
