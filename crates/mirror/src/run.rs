//! What the plan says, done: several images at a time, none of which stops the others.

use std::collections::BTreeMap;
use std::error::Error;

use futures_util::{StreamExt, stream};
use onlay_build::{BuildOptions, Builder, Built};
use onlay_oci::Reference;
use onlay_push::{Publication, Pusher, TagsInFlight};
use onlay_registry::Client;

use crate::bring::{Brought, Unable};
use crate::budget::Budget;
use crate::plan::{Action, Bring, Plan, Planned};
use crate::report::{Outcome, Report, Status};
use crate::select::Pattern;
use crate::{Shard, Stop};

/// What keeps images in sync. Cloning is cheap.
#[derive(Clone)]
pub struct Mirror {
    /// Registries.
    pub client: Client,
    /// What adds lines.
    pub builder: Builder,
    /// What decides their result beside the base; platforms and annotations are set for each image.
    pub build_options: BuildOptions,
    /// What publishes.
    pub pusher: Pusher,
    /// A built image as something to publish.
    pub publication: fn(&Built) -> Publication,
    /// Where it is said which tags are being moved.
    pub in_flight: TagsInFlight,
    /// How many images are brought at a time.
    pub concurrency: usize,
    /// Which part of the work is done here.
    pub shard: Shard,
    /// Only images of which source or target match.
    pub only: Option<Pattern>,
    /// Whether the run is asked to end.
    pub stop: Stop,
}

/// Told of each image that has ended.
pub type Progress<'a> = &'a (dyn Fn(&Outcome) + Sync);

impl Mirror {
    /// Brings what is to be brought, those of higher priority first.
    pub async fn carry_out(&self, plan: Plan, progress: Progress<'_>) -> Report {
        let budget = Budget::new(&plan.limits, self.shard.count());
        let mut order: Vec<(usize, Planned)> = plan.images.into_iter().enumerate().collect();
        order.sort_by_key(|(index, planned)| (std::cmp::Reverse(priority(planned)), *index));
        // They begin in this order, so that those in front take from the budget first.
        let ends = order.into_iter().map(|(index, planned)| {
            let (budget, progress) = (&budget, &progress);
            async move {
                let outcome = self.end(planned, budget).await;
                progress(&outcome);
                (index, outcome)
            }
        });
        let ended = stream::iter(ends).buffer_unordered(self.concurrency.max(1));
        let outcomes: BTreeMap<usize, Outcome> = ended.collect().await;
        let limits = self.client.pull_limits();
        Report {
            images: outcomes.into_values().collect(),
            pulls: limits
                .iter()
                .map(|(registry, limit)| format!("{registry}: {limit}"))
                .collect(),
        }
    }

    async fn end(&self, planned: Planned, budget: &Budget) -> Outcome {
        let bring = match &planned.action {
            Action::Unchanged(digest) => {
                return planned.outcome(Status::Unchanged, None, Some(digest.clone()));
            }
            Action::Ended(status, reason) => return planned.outcome(*status, Some(reason.clone()), None),
            Action::Bring(bring) => bring,
        };
        if self.stop.is_asked() {
            let reason = "the run was asked to end".to_owned();
            return planned.outcome(Status::Postponed, Some(reason), None);
        }
        let brought = tokio::select! {
            brought = self.bring_within(bring, budget) => brought,
            () = self.out_of_time() => Err(Unable {
                status: Status::Postponed,
                reason: "the run was asked to end before it was there".to_owned(),
            }),
        };
        match brought {
            Ok(Brought {
                status,
                pushed,
                reason,
            }) => {
                let transfers = pushed.transfers;
                Outcome {
                    bytes: transfers.copied.1 + transfers.uploaded.1,
                    mounted: transfers.mounted,
                    ..planned.outcome(status, reason, Some(pushed.digest))
                }
            }
            Err(Unable { status, reason }) => planned.outcome(status, Some(reason), None),
        }
    }

    /// Brings it from upstream while pulls are left there, else from where the same image is, too.
    async fn bring_within(&self, bring: &Bring, budget: &Budget) -> Result<Brought, Unable> {
        let upstream = &bring.item.source;
        let postponed = match budget.take(upstream.registry(), bring.pulls) {
            Ok(()) => match self.bring(bring, upstream).await {
                Err(unable) if unable.status == Status::Postponed => unable,
                ended => return ended,
            },
            Err(left) => {
                let (registry, needed) = (upstream.registry(), bring.pulls);
                Unable {
                    status: Status::Postponed,
                    reason: format!("{registry} allows {left} more pulls, and about {needed} are needed"),
                }
            }
        };
        let Some(other) = self.other_source(bring).await else {
            return Err(postponed);
        };
        let brought = self.bring(bring, &other).await?;
        let from = format!("from {}: {}", other.registry(), postponed.reason);
        let reason = brought
            .reason
            .map_or(from.clone(), |reason| format!("{reason}; {from}"));
        Ok(Brought {
            reason: Some(reason),
            ..brought
        })
    }

    /// Where an image of Docker's official ones is, too, if it is the same there.
    ///
    /// Source: AWS, "Docker Official Images now available on Amazon ECR Public" (2021).
    async fn other_source(&self, bring: &Bring) -> Option<Reference> {
        let (item, digest) = (&bring.item, &bring.base.digest);
        let name = item.source.repository().as_str();
        if !item.fall_back || !item.source.registry().is_docker_hub() || !name.starts_with("library/") {
            return None;
        }
        let other: Reference = format!("public.ecr.aws/docker/{name}@{digest}").parse().ok()?;
        let repository = self.client.source(&other).ok()?;
        // Whatever goes wrong there, what went wrong upstream is what is said.
        let there = repository.head_manifest(&digest.to_string()).await.ok()??;
        (there.digest == *digest).then_some(other)
    }

    /// Waits until what is under way has to be left, but for tags that are being moved.
    async fn out_of_time(&self) {
        self.stop.out_of_time().await;
        self.in_flight.settled().await;
    }
}

fn priority(planned: &Planned) -> i64 {
    match &planned.action {
        Action::Bring(bring) => bring.item.priority,
        Action::Unchanged(_) | Action::Ended(..) => i64::MAX,
    }
}

/// An error with what it comes from, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
