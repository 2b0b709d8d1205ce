//! `onlay`: lay new layers on container images. No daemon, no root, no pull.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_rust_codeblocks,
    reason = "the comments of arguments are their help texts, which are not Markdown"
)]

mod arguments;
mod auth_file;
mod commands;
mod context;
mod credentials;
mod delivery;
mod ecr;
mod environment;
mod exit_code;
mod explain;
mod failure;
mod lending;
mod load;
mod look;
mod mirrors;
mod network;
mod options;
mod output;
mod progress;
mod prompt;
mod publish;
mod session;
mod shutdown;
mod terminal;
mod time;

use std::pin::pin;
use std::process::ExitCode;

use clap::Parser;
use onlay_push::TagsInFlight;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use arguments::Onlay;
use shutdown::{Drain, Signals};

fn main() -> ExitCode {
    // The other side of the sandbox, before anything is read or started.
    if let Some(code) = onlay_sandbox::supervise_if_asked() {
        return code;
    }
    // No other process of the same user, a RUN's command least of all, is to look into one that holds credentials. Where
    // that is refused, it is no worse than before.
    _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let arguments = Onlay::parse();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&anyhow::Error::new(error).context("failed to start threads")),
    };
    let code = runtime.block_on(async {
        let mut signals = Signals::listen();
        let in_flight = TagsInFlight::none();
        let drain = Drain::new();
        let mut command = pin!(commands::run(arguments, &in_flight, &drain));
        let mut signal = tokio::select! {
            result = &mut command => return ended(result),
            signal = shutdown::requested(&mut signals) => signal,
        };
        if drain.begin() {
            tokio::select! {
                result = &mut command => return ended(result),
                again = shutdown::requested(&mut signals) => signal = again,
                () = tokio::time::sleep(shutdown::DRAIN) => {}
            }
        }
        // A tag that is being moved gets there or does not; then it is known which.
        tokio::select! {
            result = &mut command => ended(result),
            () = in_flight.settled() => signal.exit(),
            () = tokio::time::sleep(shutdown::PATIENCE) => signal.exit(),
        }
    });
    // What still runs in the background only reads, or writes what nothing points to yet.
    runtime.shutdown_background();
    code
}

fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

/// The runtime, after a look whether threads can be had at all: it panics where limits of processes or memory forbid it.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let probe = std::thread::Builder::new().spawn(|| ())?;
    // It does nothing that could fail.
    let _ = probe.join();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
