//! `--progress=plain`: lines for people, on terminals above the status.

use onlay_build::{BuildEvent, How, StepReport};
use onlay_registry::Retry;

use super::{Network, Notice, first_line};
use crate::output::Published;

/// The lines that say it; none for what only programs want to know.
pub(super) fn render(notice: &Notice<'_>) -> Vec<String> {
    match notice {
        Notice::Build(event) => event_lines(event),
        Notice::Created { time, from } => vec![format!("created {time}, from {from}")],
        Notice::Warning(text) => vec![format!("warning: {text}")],
        Notice::Published(published) => vec![publication(published)],
        Notice::Belongings {
            destination,
            present,
            copied,
        } => vec![format!(
            "{destination}: of what refers to it, {present} manifests there, {copied} copied"
        )],
        Notice::LeftOut(left_out) => vec![format!(
            "warning: left out {} ({}): {}",
            left_out.descriptor.digest,
            left_out.kind(),
            left_out.reason
        )],
        Notice::Retry(retry) => vec![repetition(retry)],
        Notice::Network(network) => network_lines(network),
    }
}

fn repetition(retry: &Retry) -> String {
    let Retry {
        host,
        attempt,
        of,
        why,
        ..
    } = retry;
    let when = match retry.wait {
        Some(wait) => format!(" in {:.1} s", wait.as_secs_f64()),
        None => String::new(),
    };
    format!("{host}: {why}, trying again{when} ({attempt} of {of})")
}

fn network_lines(network: &Network) -> Vec<String> {
    let Network { traffic, pull_limits } = network;
    let first = format!(
        "network: {} requests, {} bytes received, {} bytes sent",
        traffic.requests, traffic.received, traffic.sent
    );
    let limits = pull_limits
        .iter()
        .map(|(registry, limit)| format!("{registry}: {limit}"));
    [first].into_iter().chain(limits).collect()
}

fn event_lines(event: &BuildEvent) -> Vec<String> {
    match event {
        BuildEvent::Base {
            name,
            digest,
            platforms,
        } => {
            let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
            vec![format!("base {name}@{digest} for {}", platforms.join(", "))]
        }
        BuildEvent::Sandbox { description } => vec![format!("sandbox: {description}")],
        BuildEvent::Output { platform, line, .. } => {
            vec![format!("[{platform}]   | {}", String::from_utf8_lossy(line))]
        }
        BuildEvent::Step(report) => step(report),
        BuildEvent::Warning(warning) => vec![format!("warning: {warning}")],
        _ => Vec::new(),
    }
}

fn step(report: &StepReport) -> Vec<String> {
    let StepReport { platform, place, .. } = report;
    let layer = match &report.layer {
        Some(layer) => format!(", layer of {} bytes", layer.size),
        None => String::new(),
    };
    let text = first_line(&report.text);
    let first = format!("[{platform}] {place} {text}: {}{layer}", how(report.how));
    let output = String::from_utf8_lossy(&report.output);
    let output = output.lines().map(|line| format!("[{platform}]   | {line}"));
    [first].into_iter().chain(output).collect()
}

/// How an instruction was carried out, in one word.
pub(super) fn how(how: How) -> &'static str {
    match how {
        How::Configured => "configured",
        How::Copied => "copied",
        How::Interpreted => "interpreted",
        How::Executed(_) => "executed",
    }
}

fn publication(published: &Published) -> String {
    let destination = &published.destination;
    let transfers = &published.pushed.transfers;
    if published.pushed.unchanged {
        return format!("{destination} has it already");
    }
    format!(
        "{destination}: {} blobs there, {} mounted, {} copied ({} bytes), {} uploaded ({} bytes)",
        transfers.present,
        transfers.mounted,
        transfers.copied.0,
        transfers.copied.1,
        transfers.uploaded.0,
        transfers.uploaded.1
    )
}
