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

/// Each rung, and what one more command may take on it, in milliseconds.
const RUNGS: [(&str, &str, f64); 3] = [
    ("namespaces", "namespaces: one more `RUN true`, ms", 40.0),
    ("chroot", "chroot: one more `RUN true`, ms", 40.0),
    ("ptrace", "ptrace: one more `RUN true`, ms", 60.0),
];

/// How many lines are interpreted.
const LINES: usize = 50;

/// How many commands are measured in a root filesystem that is ready.
const COMMANDS: usize = 10;

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
    println!("{}; medians of {} runs.\n", machine::describe(), options.runs);
    println!("| what | wall time |\n|---|--:|");
    let interpreted = interpret(&site, options)?;
    let mut targets = vec![Target::at_most("50 interpreted lines, ms", 50.0, interpreted)];
    let mut packages = Vec::new();
    for (rung, target, limit) in RUNGS {
        eprintln!("{rung}");
        let (one, package) = execute(&site, options, rung)?;
        targets.push(Target::at_most(target, limit, milliseconds(one)));
        packages.push(package);
    }
    targets.push(Target::at_most(
        "dpkg: ptrace ÷ namespaces",
        3.0,
        ratio(packages[2], packages[0]),
    ));
    println!("\n| target | required | found | |\n|---|--:|--:|---|");
    targets.iter().for_each(|target| println!("{target}"));
    Ok(())
}

/// Interprets lines; gives how long the whole program takes, in milliseconds.
fn interpret(site: &Site, options: &Options) -> Result<f64> {
    let lines: Vec<String> = (0..LINES)
        .map(|number| format!("RUN mkdir -m 750 /srv/{number}"))
        .collect();
    let mut sample = Sample::default();
    for _ in 0..options.runs {
        sample.push(site.time("interpret", &lines)?);
    }
    let median = sample.median();
    println!(
        "| {LINES} interpreted RUN lines on a base whose listing is cached, the whole program | {} |",
        seconds(median)
    );
    Ok(milliseconds(median))
}

/// Executes lines on a rung; gives how long one more command takes, and a package.
fn execute(site: &Site, options: &Options, rung: &str) -> Result<(Duration, Duration)> {
    let mut lines = vec!["RUN true".to_owned(); 1 + COMMANDS];
    lines.push("RUN dpkg -i /package.deb".to_owned());
    let (mut first, mut further, mut install) = (Sample::default(), Sample::default(), Sample::default());
    for _ in 0..options.runs {
        let steps = site.steps(rung, &lines)?;
        first.push(steps[0]);
        steps[1..=COMMANDS].iter().for_each(|step| further.push(*step));
        install.push(steps[1 + COMMANDS]);
    }
    let (first, one, package) = (first.median(), further.median(), install.median());
    println!(
        "| {rung}: the first `RUN true`, with everything unpacked | {} |",
        seconds(first)
    );
    println!("| {rung}: one more `RUN true` | {} |", seconds(one));
    println!(
        "| {rung}: `dpkg -i` of a package of {} files | {} |",
        site::FILES,
        seconds(package)
    );
    Ok((one, package))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
