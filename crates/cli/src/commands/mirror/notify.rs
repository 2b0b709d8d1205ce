//! Somebody is told what has changed, or failed.

use anyhow::{Context, bail};
use onlay_ecr::AwsServices;
use onlay_http::{ConnectionOptions, Connections, Reach};
use onlay_mirror::{Report, Status};
use serde_json::json;
use url::Url;

/// Whom.
pub(super) struct Listeners {
    /// Addresses that a document is posted to.
    pub webhooks: Vec<Url>,
    /// Topics of SNS, by their ARNs.
    pub topics: Vec<String>,
}

/// How long a message to SNS is, in bytes.
///
/// Source: SNS API reference, Publish.
const LONGEST_MESSAGE: usize = 256 * 1024;

impl Listeners {
    /// Tells everybody, if there is something to tell; gives what went wrong with that.
    pub(super) async fn tell(
        &self,
        report: &Report,
        connections: &ConnectionOptions,
        aws: &AwsServices,
    ) -> Vec<anyhow::Error> {
        let mut troubles = Vec::new();
        if !is_news(report) {
            return troubles;
        }
        let summary = summary(report);
        for webhook in &self.webhooks {
            let told = post(webhook, &summary, report, connections).await;
            // The rest of the address is what lets it in.
            let name = format!("`{}`", webhook.host_str().unwrap_or_default());
            troubles.extend(told.with_context(|| format!("{name} was not told")).err());
        }
        for topic in &self.topics {
            let told = aws
                .publish(topic, "onlay mirror", &message(&summary, report))
                .await;
            troubles.extend(told.with_context(|| format!("`{topic}` was not told")).err());
        }
        troubles
    }
}

/// Whether something was written, or should have been.
fn is_news(report: &Report) -> bool {
    let quiet = report.count(Status::Unchanged) + report.count(Status::Postponed);
    report.images.len() > quiet
}

/// `2 copied, 1 failed`.
pub(super) fn summary(report: &Report) -> String {
    let counts = Status::ALL
        .iter()
        .map(|status| (status, report.count(*status)))
        .filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    match counts.is_empty() {
        true => "no images".to_owned(),
        false => counts.join(", "),
    }
}

/// The images that are news, a line each, as many as there is room for.
fn message(summary: &str, report: &Report) -> String {
    let mut text = format!("{summary}\n");
    for outcome in &report.images {
        if matches!(outcome.status, Status::Unchanged | Status::Postponed) {
            continue;
        }
        let reason = outcome.reason.as_deref().unwrap_or_default();
        let line = format!("{}: {} {reason}\n", outcome.status, outcome.source);
        if text.len() + line.len() > LONGEST_MESSAGE {
            break;
        }
        text.push_str(&line);
    }
    text
}

/// A document with the report in it, and `text`, which is what chats show.
async fn post(
    webhook: &Url,
    summary: &str,
    report: &Report,
    connections: &ConnectionOptions,
) -> anyhow::Result<()> {
    let document = json!({"text": format!("onlay mirror: {summary}"), "report": report});
    let connections = Connections::new(connections)?;
    let request = connections
        .to(webhook, Reach::Anywhere)
        .post(webhook.clone())
        .header("content-type", "application/json")
        .body(document.to_string());
    let answer = request.send().await.map_err(|error| error.without_url())?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => bail!("it answered with {status}"),
    }
}

#[cfg(test)]
mod tests {
    use onlay_mirror::Outcome;

    use super::*;

    fn report(statuses: &[Status]) -> Report {
        let outcome = |status: &Status| Outcome {
            source: "docker.io/library/redis:latest".to_owned(),
            target: "registry.example/redis:latest".to_owned(),
            status: *status,
            reason: None,
            digest: None,
            bytes: 0,
            mounted: 0,
        };
        Report {
            images: statuses.iter().map(outcome).collect(),
            pulls: Vec::new(),
        }
    }

    #[test]
    fn what_changed_or_failed_is_news() {
        assert!(!is_news(&report(&[Status::Unchanged, Status::Postponed])));
        assert!(is_news(&report(&[Status::Unchanged, Status::Failed])));
        assert!(is_news(&report(&[Status::Copied])));
        let text = message("1 copied", &report(&[Status::Unchanged, Status::Copied]));
        assert_eq!(text, "1 copied\ncopied: docker.io/library/redis:latest \n");
    }

    #[test]
    fn a_message_has_an_end() {
        let many = report(&[Status::Failed; 10_000]);
        assert!(message("", &many).len() <= LONGEST_MESSAGE);
    }
}
