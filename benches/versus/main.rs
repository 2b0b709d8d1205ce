//! Times onlay beside other builders on the vault case: a directory and a VOLUME on top of a large base.
//!
//! `cargo run --release -p onlay-benches --bin versus -- --out DIR` prints a Markdown table and writes it with an SVG
//! chart into DIR. All builders run in one go, in turns, against one local registry; what is not installed is named.
//! docker, buildah and kaniko need root; their storage is private and removed, and only what was started here is ended.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program: the report is standard output, progress is standard error"
)]

mod chart;
mod comparison;
mod contender;
mod options;
mod report;
mod site;
mod targets;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use fs_err as fs;
use onlay_benches::{machine, measure};

use comparison::compare;
use options::Options;
use report::Report;
use site::Site;

fn main() -> ExitCode {
    let result = measure::helper().unwrap_or_else(|| run(&Options::parse()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    fs::create_dir_all(&options.out)?;
    eprintln!("making a base of {} MB", options.size_mb);
    let site = Site::start(options.size_mb)?;
    let (contenders, missing) = contender::find(options, &site);
    let outcomes = compare(&contenders, &site, options)?;
    let report = Report {
        machine: machine::describe(),
        options,
        outcomes: &outcomes,
        missing: &missing,
    };
    let markdown = report.to_string();
    println!("{markdown}");
    let (table, svg) = (options.out.join("versus.md"), options.out.join("versus.svg"));
    fs::write(&table, markdown).context("the table")?;
    fs::write(&svg, chart::draw(&outcomes, &report.machine)).context("the chart")?;
    eprintln!("wrote {} and {}", table.display(), svg.display());
    Ok(())
}
