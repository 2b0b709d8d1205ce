//! `--progress=json`: one object a line. `docs/progress.md` tells the fields; they are only ever added to.

use onlay_base::ListedFrom;
use onlay_build::{BuildEvent, Need, StepReport};
use onlay_oci::Registry;
use onlay_registry::PullLimit;
use serde_json::{Value, json};

use super::{Notice, lines};
use crate::output;

/// The object that says it, if it is something to say.
pub(super) fn render(notice: &Notice<'_>) -> Option<Value> {
    let value = match notice {
        Notice::Build(event) => return event_object(event),
        Notice::Created { time, from } => json!({ "event": "created", "time": time, "from": from }),
        Notice::Warning(text) => json!({ "event": "warning", "message": text }),
        Notice::Published(published) => {
            let mut value = json!({ "event": "published" });
            merge(&mut value, output::destination(published));
            value
        }
        Notice::Belongings {
            destination,
            present,
            copied,
        } => json!({ "event": "referrers", "name": destination, "present": present, "copied": copied }),
        Notice::LeftOut(left_out) => {
            let mut value = json!({ "event": "left-out" });
            merge(&mut value, output::left_out(left_out));
            value
        }
        Notice::Retry(retry) => json!({
            "event": "retry",
            "host": retry.host,
            "why": retry.why,
            "attempt": retry.attempt,
            "of": retry.of,
            "waitSeconds": retry.wait.map(|wait| wait.as_secs_f64()),
        }),
        Notice::Network(network) => json!({
            "event": "network",
            "requests": network.traffic.requests,
            "receivedBytes": network.traffic.received,
            "sentBytes": network.traffic.sent,
            "pullLimits": network.pull_limits.iter().map(pull_limit).collect::<Vec<_>>(),
        }),
    };
    Some(value)
}

fn pull_limit((registry, limit): (&Registry, &PullLimit)) -> Value {
    json!({
        "registry": registry.to_string(),
        "limit": limit.limit,
        "remaining": limit.remaining,
        "windowSeconds": limit.window.map(|window| window.as_secs()),
        "source": limit.source,
    })
}

fn event_object(event: &BuildEvent) -> Option<Value> {
    match event {
        BuildEvent::Base {
            name,
            digest,
            platforms,
        } => Some(json!({
            "event": "base",
            "name": name,
            "digest": digest.to_string(),
            "platforms": platforms.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })),
        BuildEvent::Sandbox { description } => Some(json!({ "event": "sandbox", "sandbox": description })),
        BuildEvent::Output {
            platform,
            place,
            line,
        } => Some(json!({
            "event": "output",
            "platform": platform.to_string(),
            "place": place,
            "line": String::from_utf8_lossy(line),
        })),
        BuildEvent::Step(report) => Some(step(report)),
        BuildEvent::Warning(warning) => Some(json!({ "event": "warning", "message": warning })),
        _ => None,
    }
}

fn step(report: &StepReport) -> Value {
    let streamed = |from: ListedFrom| match from {
        ListedFrom::Layer { size } => Some(size),
        ListedFrom::Memory | ListedFrom::Cache => None,
    };
    let layers = report.layers.iter().map(|read| {
        json!({
            "digest": read.layer.descriptor.digest.to_string(),
            "streamedBytes": streamed(read.from),
        })
    });
    let layer = report.layer.as_ref().map(
        |layer| json!({ "digest": layer.digest.to_string(), "size": layer.size, "entries": layer.entries }),
    );
    json!({
        "event": "step",
        "platform": report.platform.to_string(),
        "place": report.place,
        "text": report.text,
        "how": lines::how(report.how),
        "needed": needed(report.need),
        "listings": layers.collect::<Vec<_>>(),
        "copiedUp": { "files": report.copied_up.0, "bytes": report.copied_up.1 },
        "layer": layer,
        "output": String::from_utf8_lossy(&report.output),
    })
}

fn needed(need: Need) -> &'static str {
    match need {
        Need::Configuration => "configuration",
        Need::Listings => "listings",
        Need::Files => "files",
        Need::RootFilesystem => "root filesystem",
    }
}

/// Adds the fields of one object to another.
fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
