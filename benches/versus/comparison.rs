//! The measurement: every row once in each round, so that a busy moment of the machine hits all of them alike.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use onlay_testkit::{LargeBase, Strictness, check_registry};

use crate::contender::{Contender, Role};
use crate::options::Options;
use crate::site::{Site, Target};
use onlay_benches::measure::{Usage, measure};
use onlay_benches::statistics::Sample;

/// How many layers the base has: the data layers and the root filesystem below them.
const BASE_LAYERS: usize = LargeBase::DATA_LAYERS + 1;

/// What was found out about a row.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The row's name.
    pub(crate) name: String,
    /// The builder's version.
    pub(crate) version: String,
    /// What the row is for.
    pub(crate) role: Role,
    /// The wall time of each run, without anything between builder and registry.
    pub(crate) wall: Sample,
    /// The largest process in any run, in bytes.
    pub(crate) peak_memory: u64,
    /// What went over the network in one more run.
    pub(crate) traffic: Traffic,
    /// The sizes of the layers on top of the base, in bytes as stored.
    pub(crate) added_layers: Vec<u64>,
}

/// Requests to the registry and the bytes of their bodies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: usize,
    pub(crate) downloaded: u64,
    pub(crate) uploaded: u64,
}

/// Measures all rows. One that fails ends the comparison: half a table would compare nothing.
pub(crate) fn compare(
    contenders: &[Box<dyn Contender>],
    site: &Site,
    options: &Options,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for (row, contender) in contenders.iter().enumerate() {
        let name = contender.name();
        eprintln!("{name}: counting");
        outcomes.push(count(&**contender, row, site, &options.out).context(name)?);
    }
    for run in 1..=options.runs {
        eprintln!("round {run} of {}", options.runs);
        for (row, (contender, outcome)) in contenders.iter().zip(&mut outcomes).enumerate() {
            let target = site.direct(&format!("row-{row}/run-{run}"));
            let usage = build(&**contender, &target, &log(&options.out, row)).context(contender.name())?;
            outcome.wall.push(usage.wall);
            outcome.peak_memory = outcome.peak_memory.max(usage.peak_memory);
        }
    }
    Ok(outcomes)
}

fn log(out: &Path, row: usize) -> PathBuf {
    out.join(format!("row-{row}.log"))
}

/// One run through the front, which counts but also costs time; its image is looked at.
fn count(contender: &dyn Contender, row: usize, site: &Site, out: &Path) -> Result<Outcome> {
    let target = site.counted(&format!("row-{row}/counted"));
    contender.prepare(&target)?;
    site.front().clear_requests();
    execute(contender, &target, &log(out, row))?;
    let traffic = traffic(site);
    Ok(Outcome {
        name: contender.name(),
        version: contender.version().to_owned(),
        role: contender.role(),
        wall: Sample::default(),
        peak_memory: 0,
        traffic,
        added_layers: added_layers(contender.role(), site, &target)?,
    })
}

fn traffic(site: &Site) -> Traffic {
    let requests = site.front().requests();
    Traffic {
        requests: requests.len(),
        downloaded: requests.iter().map(|request| request.response_bytes).sum(),
        uploaded: requests.iter().map(|request| request.request_bytes).sum(),
    }
}

fn build(contender: &dyn Contender, target: &Target, log: &Path) -> Result<Usage> {
    contender.prepare(target)?;
    // Otherwise the disk would still be busy with what earlier rows wrote.
    nix::unistd::sync();
    let Some(daemon) = contender.daemon() else {
        return execute(contender, target, log);
    };
    daemon.reset_peak_memory()?;
    let usage = execute(contender, target, log)?;
    Ok(Usage {
        peak_memory: usage.peak_memory.max(daemon.peak_memory()?),
        ..usage
    })
}

fn execute(contender: &dyn Contender, target: &Target, log: &Path) -> Result<Usage> {
    contender
        .commands(target)
        .iter()
        .try_fold(Usage::default(), |usage, command| {
            Ok(usage.then(measure(command, log)?))
        })
}

/// Checks that the row made the image it is compared for.
fn added_layers(role: Role, site: &Site, target: &Target) -> Result<Vec<u64>> {
    let host = site.registry().host();
    let report = check_registry(host, &target.repository, "1", None, Strictness::NoLayer)
        .map_err(|problems| anyhow!("the image is not valid: {}", problems.join("; ")))?;
    let image = report.images.first().context("the image is an empty index")?;
    let added = image
        .layers
        .get(BASE_LAYERS..)
        .context("the base's layers are gone")?;
    let vault = |name: &String| name.trim_start_matches("./").trim_end_matches('/') == "etc/vault";
    let has_directory = added.iter().any(|layer| layer.names.iter().any(vault));
    ensure!(
        has_directory || role == Role::OnlayConfigOnly,
        "the image has no /etc/vault"
    );
    let has_volume = !image.config["config"]["Volumes"]["/etc/vault"].is_null();
    ensure!(has_volume || role == Role::Append, "the image has no volume");
    Ok(added.iter().map(|layer| layer.size).collect())
}
