//! Times RUN lines: interpreted ones, and executed ones on each rung, on a Debian.
//!
//! `cargo run --release -p onlay-benches --bin runs -- --debian FILE` prints a Markdown table. FILE is what
//! `scripts/debian-base` makes. Root is needed, for the first two rungs.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program: the report is standard output, progress is standard error"
)]

mod options;
mod site;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser as _;
use onlay_benches::machine;
use onlay_benches::measure;
use onlay_benches::statistics::{Sample, ratio, seconds};
use onlay_benches::target::Target;

use options::Options;
use site::Site;

const RUNGS: [&str; 3] = ["namespaces", "chroot", "ptrace"];

/// How many lines are interpreted.
const LINES: usize = 50;

/// How many commands one more command is measured by.
const COMMANDS: u32 = 10;

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
    eprintln!("making an image of {}", options.debian.display());
    let site = Site::new(options)?;
    let interpreted: Vec<String> = (0..LINES)
        .map(|number| format!("RUN mkdir -m 750 /srv/{number}"))
        .collect();
    let all = median(options, "50 interpreted lines", || {
        site.time("interpret", &interpreted)
    })?;
    println!("{}; medians of {} runs.\n", machine::describe(), options.runs);
    println!("| what | wall time |\n|---|--:|");
    println!(
        "| {LINES} interpreted RUN lines on a base whose listing is cached, the whole program | {} |",
        seconds(all)
    );
    let mut one_more = Vec::new();
    let mut packages = Vec::new();
    for rung in RUNGS {
        let ready = vec!["RUN true".to_owned()];
        let many = vec!["RUN true".to_owned(); 1 + COMMANDS as usize];
        let install = vec!["RUN true".to_owned(), "RUN dpkg -i /package.deb".to_owned()];
        let unpacked = median(options, rung, || site.time(rung, &ready))?;
        let with_many = median(options, rung, || site.time(rung, &many))?;
        let with_package = median(options, rung, || site.time(rung, &install))?;
        let one = with_many.saturating_sub(unpacked) / COMMANDS;
        let package = with_package.saturating_sub(unpacked);
        println!(
            "| {rung}: the first `RUN true`, with everything unpacked | {} |",
            seconds(unpacked)
        );
        println!("| {rung}: one more `RUN true` | {} |", seconds(one));
        println!(
            "| {rung}: `dpkg -i` of a package of {} files | {} |",
            site::FILES,
            seconds(package)
        );
        one_more.push(one);
        packages.push(package);
    }
    println!("\n| target | required | found | |\n|---|--:|--:|---|");
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let mut targets = vec![Target::at_most(
        "50 interpreted lines, ms",
        50.0,
        milliseconds(all),
    )];
    for ((rung, one), limit) in RUNGS.iter().zip(&one_more).zip([40.0, 40.0, 60.0]) {
        eprintln!("{rung}: {}", seconds(*one));
        targets.push(Target::at_most(
            "one more `RUN true`, ms",
            limit,
            milliseconds(*one),
        ));
    }
    targets.push(Target::at_most(
        "dpkg: ptrace ÷ namespaces",
        3.0,
        ratio(packages[2], packages[0]),
    ));
    for target in targets {
        println!("{target}");
    }
    Ok(())
}

fn median(options: &Options, name: &str, mut once: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    eprintln!("{name}");
    let mut sample = Sample::default();
    for _ in 0..options.runs {
        sample.push(once()?);
    }
    Ok(sample.median())
}
