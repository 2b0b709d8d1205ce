//! `onlay`: lay new layers on container images. No daemon, no root, no pull.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line is what prints"
)]
#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_rust_codeblocks,
    reason = "the comments of arguments are their help texts, which are not Markdown"
)]

mod arguments;
mod commands;
mod context;
mod ecr;
mod environment;
mod exit_code;
mod explain;
mod failure;
mod load;
mod options;
mod output;
mod progress;
mod publish;
mod session;
mod shutdown;
mod time;

use std::process::ExitCode;

use clap::Parser;

use arguments::Onlay;

fn main() -> ExitCode {
    let arguments = Onlay::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&anyhow::Error::new(error).context("failed to start")),
    };
    let code = runtime.block_on(async {
        tokio::select! {
            result = commands::run(arguments) => match result {
                Ok(()) => ExitCode::from(exit_code::DONE),
                Err(error) => failure::report(&error),
            },
            signal = shutdown::requested() => signal.exit(),
        }
    });
    // What still runs in the background only reads, or writes what nothing points to yet.
    runtime.shutdown_background();
    code
}
