//! Times onlay's transfers beside those of curl and crane: a blob of 1 GiB, and an image of eight layers copied from
//! registry to registry.
//!
//! `cargo run --release -p onlay-benches --bin transfers -- --crane PATH --out DIR` prints a Markdown table and writes it
//! into DIR. All rows run in one go, in turns, between two registries on the loopback that it starts and ends.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program: the report is standard output, progress is standard error"
)]

mod options;
mod report;
mod row;
mod site;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use fs_err as fs;
use onlay_benches::measure::{self, measure, succeed};
use onlay_benches::statistics::Sample;

use options::Options;
use report::{Outcome, Report, Requests};
use row::Row;
use site::Site;

fn main() -> ExitCode {
    match measure::helper().unwrap_or_else(|| run(&Options::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    fs::create_dir_all(&options.out)?;
    eprintln!(
        "making a blob of {} MiB and an image of that size",
        options.size_mb
    );
    let site = Site::start(options.size_mb.into())?;
    let rows = Row::measurable(options);
    let mut outcomes = Vec::new();
    for &row in &rows {
        outcomes.push(count(row, &site, options).with_context(|| row.name())?);
    }
    for run in 1..=options.runs {
        eprintln!("round {run} of {}", options.runs);
        for outcome in &mut outcomes {
            time(outcome, run, &site, options).with_context(|| outcome.row.name())?;
        }
    }
    let report = Report {
        options,
        outcomes: &outcomes,
    }
    .to_string();
    println!("{report}");
    let table = options.out.join("transfers.md");
    fs::write(&table, report)?;
    eprintln!("wrote {}", table.display());
    Ok(())
}

/// One transfer through counting fronts, and the same once more; they cost time, so it is not taken.
fn count(row: Row, site: &Site, options: &Options) -> Result<Outcome> {
    eprintln!("{}: counting", row.name());
    let ends = site.counted(&format!("row-{}/counted", row as u8));
    let transfer = || {
        site.clear_requests();
        succeed(&mut row.command(&ends, options)?)?;
        anyhow::Ok(Requests::count(&site.requests()))
    };
    let (first, second) = (transfer()?, transfer()?);
    Ok(Outcome {
        row,
        wall: Sample::default(),
        peak_memory: 0,
        first,
        second,
    })
}

fn time(outcome: &mut Outcome, run: u32, site: &Site, options: &Options) -> Result<()> {
    let row = outcome.row;
    let ends = site.direct(&format!("row-{}/run-{run}", row as u8));
    let command = row.command(&ends, options)?;
    // Otherwise the disk would still be busy with what earlier rows wrote.
    nix::unistd::sync();
    let usage = measure(&command, &options.out.join(format!("row-{}.log", row as u8)))?;
    outcome.wall.push(usage.wall);
    outcome.peak_memory = outcome.peak_memory.max(usage.peak_memory);
    Ok(())
}
