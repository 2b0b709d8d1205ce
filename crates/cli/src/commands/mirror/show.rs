//! Plans and reports, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use onlay_mirror::{Action, Outcome, Plan, Report, Status};
use serde_json::json;

use super::notify::summary;
use crate::options::OutputFormat;
use crate::terminal;
use crate::time::now;

/// Prints a text that ends with a line.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    terminal::print(text.trim_end_matches('\n'))
}

/// Prints what would be done.
pub(super) fn plan(plan: &Plan, format: OutputFormat) -> anyhow::Result<()> {
    let rows: Vec<Row<'_>> = plan.images.iter().map(row).collect();
    let pulls = pulls(plan);
    match format {
        OutputFormat::Text => {
            let mut text = String::new();
            for Row {
                action,
                pulls,
                source,
                target,
                reason,
            } in &rows
            {
                let pulls = pulls.map_or_else(String::new, |pulls| format!("about {pulls} pulls"));
                let reason = reason.map_or_else(String::new, |reason| format!("  ({reason})"));
                let line = format!("{action:<9}  {source}  {target}  {pulls}{reason}");
                let _ = writeln!(text, "{}", line.trim_end());
            }
            for (registry, (needed, left)) in &pulls {
                let left = left.map_or_else(|| "not told".to_owned(), |left| left.to_string());
                let _ = writeln!(text, "{registry}: about {needed} pulls needed, left: {left}");
            }
            print(&text)
        }
        OutputFormat::Json => {
            let images: Vec<_> = rows
                .iter()
                .map(|row| {
                    json!({"action": row.action, "source": row.source, "target": row.target, "pulls": row.pulls, "reason": row.reason})
                })
                .collect();
            let pulls: BTreeMap<_, _> = pulls
                .iter()
                .map(|(registry, (needed, left))| (registry, json!({"needed": needed, "left": left})))
                .collect();
            print(&serde_json::to_string_pretty(
                &json!({"images": images, "pulls": pulls}),
            )?)
        }
    }
}

struct Row<'a> {
    action: &'a str,
    pulls: Option<u64>,
    source: &'a str,
    target: &'a str,
    reason: Option<&'a str>,
}

fn row(planned: &onlay_mirror::Planned) -> Row<'_> {
    let (action, pulls, reason) = match &planned.action {
        Action::Unchanged(_) => ("unchanged", None, None),
        Action::Bring(bring) => {
            let action = if bring.is_patched() { "patch" } else { "copy" };
            let reason = bring.replaces.is_some().then_some("replaces what is there");
            (action, Some(bring.pulls), reason)
        }
        Action::Ended(Status::Refused, reason) => ("refuse", None, Some(reason.as_str())),
        Action::Ended(Status::Postponed, reason) => ("postpone", None, Some(reason.as_str())),
        Action::Ended(_, reason) => ("fail", None, Some(reason.as_str())),
    };
    Row {
        action,
        pulls,
        source: &planned.source,
        target: &planned.target,
        reason,
    }
}

/// For each registry what is needed, and what is left if it says.
fn pulls(plan: &Plan) -> BTreeMap<String, (u64, Option<u64>)> {
    let left = |registry: &onlay_oci::Registry| plan.limits.get(registry).and_then(|limit| limit.remaining);
    let pulls = plan.pulls().into_iter();
    pulls
        .map(|(registry, needed)| (registry.to_string(), (needed, left(registry))))
        .collect()
}

/// Prints what became of all.
pub(super) fn report(report: &Report, format: OutputFormat) -> anyhow::Result<()> {
    match format {
        OutputFormat::Text => print(&table(report)),
        OutputFormat::Json => print(&json(report)?),
    }
}

/// What became of all, as JSON.
pub(super) fn json(report: &Report) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    let width = report
        .images
        .iter()
        .map(|outcome| outcome.source.len())
        .max()
        .unwrap_or_default();
    for outcome in &report.images {
        let Outcome {
            source,
            target,
            status,
            reason,
            digest,
            bytes,
            mounted,
        } = outcome;
        let digest = digest
            .as_ref()
            .map_or_else(String::new, |digest| format!("@{digest}"));
        let _ = write!(text, "{status:<9}  {source:<width$}  {target}{digest}");
        if *bytes > 0 || *mounted > 0 {
            let _ = write!(text, "  {bytes} bytes, {mounted} layers mounted");
        }
        if let Some(reason) = reason {
            let _ = write!(text, "  ({reason})");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}", summary(report));
    for pulls in &report.pulls {
        let _ = writeln!(text, "{pulls}");
    }
    text
}

/// Figures in CloudWatch's embedded metric format, as one line.
///
/// Source: CloudWatch user guide, "Specification: Embedded metric format".
pub(super) fn emf(report: &Report, namespace: &str) -> anyhow::Result<String> {
    let milliseconds = now()?.seconds().saturating_mul(1000);
    let figures = Status::ALL
        .iter()
        .map(|status| (status.to_string(), report.count(*status) as u64));
    let bytes: u64 = report.images.iter().map(|outcome| outcome.bytes).sum();
    let figures: BTreeMap<String, u64> = figures.chain([("bytes".to_owned(), bytes)]).collect();
    let unit = |name: &str| if name == "bytes" { "Bytes" } else { "Count" };
    let metrics: Vec<_> = figures
        .keys()
        .map(|name| json!({"Name": name, "Unit": unit(name)}))
        .collect();
    let mut line = json!({"_aws": {
        "Timestamp": milliseconds,
        "CloudWatchMetrics": [{"Namespace": namespace, "Dimensions": [[]], "Metrics": metrics}],
    }});
    for (name, figure) in figures {
        line[name] = json!(figure);
    }
    Ok(line.to_string())
}

/// Writes figures as Prometheus's textfile collector reads them: under another name first, since it may read at any time.
pub(super) fn write_metrics(report: &Report, file: &Path) -> anyhow::Result<()> {
    let mut text = String::from(
        "# HELP onlay_mirror_images Images by what became of them in the last run.\n# TYPE onlay_mirror_images gauge\n",
    );
    for status in Status::ALL {
        let _ = writeln!(
            text,
            "onlay_mirror_images{{status=\"{status}\"}} {}",
            report.count(status)
        );
    }
    let bytes: u64 = report.images.iter().map(|outcome| outcome.bytes).sum();
    let _ = writeln!(
        text,
        "# HELP onlay_mirror_bytes Bytes that were sent in the last run.\n# TYPE onlay_mirror_bytes gauge\nonlay_mirror_bytes {bytes}"
    );
    let unfinished = file.with_extension("unfinished");
    fs_err::write(&unfinished, text)?;
    Ok(fs_err::rename(&unfinished, file)?)
}
