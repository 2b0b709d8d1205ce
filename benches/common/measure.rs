//! Wall time and peak memory of one command.
//!
//! The kernel counts the memory of the process that calls `exec` towards the peak of what it becomes, so a program that
//! holds a large image would find its own size in every measurement. Commands are therefore started by a small helper:
//! this program once more, which has only them for children.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fs_err as fs;
use nix::sys::resource::{UsageWho, getrusage};

/// What the helper is called by.
const SUBCOMMAND: &str = "measure-one-command";

/// What a command took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// From before its start to after its end.
    pub wall: Duration,
    /// Of the largest process among it and its descendants, in bytes, resident.
    pub peak_memory: u64,
}

impl Usage {
    /// What this and then `next` took.
    pub fn then(self, next: Self) -> Self {
        Self {
            wall: self.wall + next.wall,
            peak_memory: self.peak_memory.max(next.peak_memory),
        }
    }
}

/// Runs a command through the helper, its output appended to `log`.
pub fn measure(command: &Command, log: &Path) -> Result<Usage> {
    let mut helper = Command::new(env::current_exe()?);
    helper.arg(SUBCOMMAND).arg(log);
    helper.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => helper.env(name, value),
            None => helper.env_remove(name),
        };
    }
    let output = helper.output()?;
    let answer = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("{}; its output is in `{}`", reason.trim(), log.display());
    }
    parse(&answer).with_context(|| format!("the helper answered `{answer}`"))
}

fn parse(answer: &str) -> Option<Usage> {
    let (nanoseconds, bytes) = answer.trim().split_once(' ')?;
    Some(Usage {
        wall: Duration::from_nanos(nanoseconds.parse().ok()?),
        peak_memory: bytes.parse().ok()?,
    })
}

/// Is the helper if this process was started as one, and says how that ended. To be called first in `main` of every
/// program that calls [`measure`].
pub fn helper() -> Option<Result<()>> {
    let mut arguments = env::args_os().skip(1);
    let is_helper = arguments.next().is_some_and(|first| first == SUBCOMMAND);
    is_helper.then(|| run_as_helper(arguments))
}

/// The helper: runs the command, prints nanoseconds and bytes.
fn run_as_helper(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let log = arguments.next().context("no log")?;
    let program = arguments.next().context("no program")?;
    let mut log = fs::OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::null());
    writeln!(log, "$ {command:?}")?;
    let (log, _) = log.into_parts();
    command.stdout(log.try_clone()?).stderr(log);

    let start = Instant::now();
    let status = command.status().with_context(|| program.display().to_string())?;
    let wall = start.elapsed();
    ensure!(status.success(), "{}: {status}", program.display());
    // Linux counts in KiB.
    let peak_memory = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() * 1024;
    writeln!(io::stdout(), "{} {peak_memory}", wall.as_nanos())?;
    Ok(())
}

/// Runs a command that is not measured and gives its standard output.
pub fn succeed(command: &mut Command) -> Result<String> {
    let program = command.get_program().display().to_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| program.clone())?;
    let reason = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program}: {}: {}",
        output.status,
        reason.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
