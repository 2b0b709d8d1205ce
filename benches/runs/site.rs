//! The image that lines are added to, and where that is done.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use onlay_benches::measure::succeed;
use tempfile::TempDir;

use crate::options::Options;

/// How many files the package has that is installed.
pub(crate) const FILES: usize = 2000;

pub(crate) struct Site {
    directory: TempDir,
    onlay: std::path::PathBuf,
}

impl Site {
    /// Makes an image of the files of a Debian and a package to be installed, and fills the cache.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let directory = TempDir::new_in("target")?;
        let onlay = fs::canonicalize(&options.onlay)?;
        let site = Self { directory, onlay };
        let at = |name: &str| site.directory.path().join(name);
        fs::create_dir(at("context"))?;
        fs::copy(&options.debian, at("context/debian.tar"))?;
        package(&at("package"), &at("context/package.deb"))?;
        let dockerfile = "FROM scratch\nADD debian.tar /\nCOPY package.deb /\nCMD [\"bash\"]\n";
        fs::write(at("context/Dockerfile"), dockerfile)?;
        let mut build = site.command(&["build", "context", "-t", "oci:base:1"]);
        succeed(&mut build)?;
        site.time("interpret", &["RUN mkdir /filled".to_owned()])?;
        Ok(site)
    }

    /// How long it takes to add these lines.
    pub(crate) fn time(&self, run: &str, lines: &[String]) -> Result<Duration> {
        let mut arguments = vec!["apply", "oci:base:1"];
        arguments.extend(lines.iter().map(String::as_str));
        arguments.extend(["--run", run, "-t", "oci:out:1"]);
        let mut command = self.command(&arguments);
        // Otherwise the disk would still be busy with what earlier rows wrote.
        nix::unistd::sync();
        let start = Instant::now();
        succeed(&mut command)?;
        Ok(start.elapsed())
    }

    /// How long each of these lines takes, from the end of the one before; the first, from the start.
    pub(crate) fn steps(&self, rung: &str, lines: &[String]) -> Result<Vec<Duration>> {
        let mut arguments = vec!["apply", "oci:base:1"];
        arguments.extend(lines.iter().map(String::as_str));
        arguments.extend(["--run", rung, "--progress=plain", "-t", "oci:out:1"]);
        let mut command = self.command(&arguments);
        nix::unistd::sync();
        let mut last = Instant::now();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let said = child.stderr.take().context("standard error")?;
        let mut steps = Vec::new();
        for line in BufReader::new(said).lines() {
            if line?.contains(": executed, ") {
                steps.push(last.elapsed());
                last = Instant::now();
            }
        }
        ensure!(
            child.wait()?.success() && steps.len() == lines.len(),
            "{rung}: the lines failed"
        );
        Ok(steps)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.onlay);
        let directory = self.directory.path();
        command
            .args(arguments)
            .current_dir(directory)
            .env("HOME", directory);
        command
    }
}

/// A package of small files.
fn package(work: &Path, file: &Path) -> Result<()> {
    let files = work.join("usr/share/many");
    fs::create_dir_all(work.join("DEBIAN"))?;
    fs::create_dir_all(&files)?;
    let control = "Package: many\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: many files\n";
    fs::write(work.join("DEBIAN/control"), control)?;
    for number in 0..FILES {
        fs::write(files.join(format!("file-{number}")), format!("{number}\n"))?;
    }
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "-b"]).args([work, file]);
    succeed(&mut build).map(drop).context("building a package")
}
