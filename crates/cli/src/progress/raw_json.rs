//! `--progress=rawjson`: what buildx prints for programs, BuildKit's `SolveStatus` an object a line.
//!
//! Lines of the Dockerfile are reported when they are done, so a vertex comes once, its start and its end the same. What
//! a line printed is a log of its vertex; nothing is cached, so no vertex says so.
//!
//! Source: github.com/moby/buildkit, client/graph.go.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onlay_build::BuildEvent;
use onlay_oci::Digest;
use serde_json::{Value, json};

use super::{Notice, first_line, lines};

/// What stderr is called there.
const STDERR: u8 = 2;

/// The status that says it at a time (RFC 3339), if it is something to say.
pub(super) fn render(notice: &Notice<'_>, now: &str) -> Option<Value> {
    match notice {
        Notice::Warning(text) | Notice::Build(BuildEvent::Warning(text)) => Some(warning(text)),
        Notice::Build(BuildEvent::Step(report)) => {
            let id = format!("{}\n{}\n{}", report.platform, report.place, report.text);
            let name = format!(
                "[{} {}] {}",
                report.platform,
                report.place,
                first_line(&report.text)
            );
            let mut status = vertex(&id, &name, now);
            if !report.output.is_empty() {
                status["logs"] = json!([{
                    "vertex": Digest::of(id.as_bytes()).to_string(),
                    "stream": STDERR,
                    "data": STANDARD.encode(&report.output),
                    "timestamp": now,
                }]);
            }
            Some(status)
        }
        other => {
            let text = lines::render(other).join("; ");
            (!text.is_empty()).then(|| vertex(&text, &text, now))
        }
    }
}

/// Something that was done; `id` is what makes it different from others.
fn vertex(id: &str, name: &str, now: &str) -> Value {
    json!({
        "vertexes": [{
            "digest": Digest::of(id.as_bytes()).to_string(),
            "name": name,
            "started": now,
            "completed": now,
        }],
    })
}

fn warning(text: &str) -> Value {
    json!({ "warnings": [{ "level": 1, "short": STANDARD.encode(text) }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_buildkits() {
        let warning = Notice::Warning("so".to_owned());
        let found = render(&warning, "").unwrap();
        assert_eq!(found, json!({ "warnings": [{ "level": 1, "short": "c28=" }] }));
        let created = Notice::Created {
            time: "1970-01-01T00:00:00Z".to_owned(),
            from: "the base",
        };
        let found = render(&created, "2026-01-01T00:00:00Z").unwrap();
        let vertex = &found["vertexes"][0];
        assert_eq!(vertex["name"], "created 1970-01-01T00:00:00Z, from the base");
        assert_eq!(vertex["completed"], "2026-01-01T00:00:00Z");
    }
}
