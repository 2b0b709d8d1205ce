//! What the plan says, done: several images at a time, none of which stops the others.

use std::collections::BTreeMap;
use std::error::Error;

use futures_util::{StreamExt, stream};
use onlay_build::{BuildOptions, Builder, Built, Exceptions, Platforms, Recipe};
use onlay_oci::{Digest, Reference};
use onlay_push::{CopyOptions, OnRefused, Publication, Pushed, Pusher, TagsInFlight, copy};
use onlay_registry::{Client, RegistryError};
use onlay_store::{Destination, Location};

use crate::budget::Budget;
use crate::identity::{RECIPE, normalised};
use crate::plan::{Action, Bring, Plan, Planned, status_of};
use crate::report::{Outcome, Report, Status};
use crate::select::Pattern;
use crate::{CannotRun, Shard};

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
        if let Err(left) = budget.take(bring.item.source.registry(), bring.pulls) {
            let (registry, needed) = (bring.item.source.registry(), bring.pulls);
            let reason = format!("{registry} allows {left} more pulls, and about {needed} are needed");
            return planned.outcome(Status::Postponed, Some(reason), None);
        }
        match self.bring(bring).await {
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

    async fn bring(&self, bring: &Bring) -> Result<Brought, Unable> {
        match bring.is_patched() {
            true => self.patch(bring).await,
            false => self.copy(bring).await,
        }
    }

    /// Copies it as it is: exactly what was found upstream, whatever its tag names by now.
    async fn copy(&self, bring: &Bring) -> Result<Brought, Unable> {
        let item = &bring.item;
        let source = Location::Registry(by_digest(&item.source, &bring.base.digest));
        let destination = destination(&item.target)?;
        let options = CopyOptions {
            platforms: item.platforms.clone(),
            referrers: item.referrers,
            on_refused: OnRefused::Skip,
            in_flight: self.in_flight.clone(),
        };
        let copied = copy(&self.client, &source, &destination, &options).await?;
        if let Some(identity) = &bring.identity {
            let repository = self
                .client
                .repository(item.target.registry(), item.target.repository());
            let digest = copied.pushed.digest.to_string();
            let (document, _) = repository.pull_manifest(&digest).await?;
            repository
                .put_manifest(identity.as_str(), &document.descriptor(), document.bytes())
                .await?;
        }
        let left_out = copied.left_out.len();
        let reason = (left_out > 0).then(|| {
            format!(
                "{left_out} manifests that are no images were left out, since the destination refuses them"
            )
        });
        Ok(Brought {
            status: Status::Copied,
            pushed: copied.pushed,
            reason,
        })
    }

    /// Adds the lines, and publishes under both tags.
    async fn patch(&self, bring: &Bring) -> Result<Brought, Unable> {
        let item = &bring.item;
        let base = by_digest(&item.source, &bring.base.digest);
        let recipe = Recipe::Lines {
            base: Location::Registry(base),
            lines: item.lines.clone(),
        };
        let annotations = annotations(bring);
        let options = BuildOptions {
            platforms: Platforms::Selected(item.platforms.clone()),
            manifest_annotations: annotations.clone(),
            index_annotations: annotations,
            exceptions: Exceptions {
                keep_other_systems: true,
                leave_out_foreign: item.cannot_run == CannotRun::Skip,
                index_annotations_need_no_index: true,
            },
            ..self.build_options.clone()
        };
        let built = self.builder.build(&recipe, &options).await?;
        if built.images.iter().all(|image| image.is_kept) {
            // It is for other systems only.
            return self.copy(bring).await;
        }
        let left_out: Vec<String> = built
            .left_out
            .iter()
            .map(|(platform, reason)| format!("without {platform}: {reason}"))
            .collect();
        let publication = (self.publication)(&built);
        let mut destinations = Vec::new();
        if let Some(identity) = &bring.identity {
            let (registry, repository) = (item.target.registry().clone(), item.target.repository().clone());
            destinations.push(destination(&Reference::new(
                registry,
                repository,
                Some(identity.clone()),
                None,
            ))?);
        }
        destinations.push(destination(&item.target)?);
        let mut pushed = None;
        let results = self.pusher.push(&publication, &destinations, |_, _| ()).await;
        for result in results {
            let result = result.map_err(|error| Unable::of(&error))?;
            pushed = Some(match pushed {
                None => result,
                Some(Pushed { transfers, .. }) => both(result, &transfers),
            });
        }
        match pushed {
            Some(pushed) => Ok(Brought {
                status: Status::Patched,
                pushed,
                reason: (!left_out.is_empty()).then(|| left_out.join("; ")),
            }),
            None => Err(Unable {
                status: Status::Failed,
                reason: "there is no place for it".to_owned(),
            }),
        }
    }
}

/// An image that was brought.
struct Brought {
    status: Status,
    pushed: Pushed,
    /// What is to be said of it.
    reason: Option<String>,
}

/// The same image was sent once, for two tags.
fn both(last: Pushed, first: &onlay_push::Transfers) -> Pushed {
    let transfers = if last.transfers.copied.1 + last.transfers.uploaded.1 > first.copied.1 + first.uploaded.1
    {
        last.transfers
    } else {
        *first
    };
    Pushed { transfers, ..last }
}

fn priority(planned: &Planned) -> i64 {
    match &planned.action {
        Action::Bring(bring) => bring.item.priority,
        Action::Unchanged(_) | Action::Ended(..) => i64::MAX,
    }
}

fn by_digest(source: &Reference, digest: &Digest) -> Reference {
    let (registry, repository) = (source.registry().clone(), source.repository().clone());
    Reference::new(registry, repository, source.tag().cloned(), Some(digest.clone()))
}

fn destination(target: &Reference) -> Result<Destination, Unable> {
    target
        .to_string()
        .parse()
        .map_err(|error: onlay_store::LocationError| Unable {
            status: Status::Failed,
            reason: error.to_string(),
        })
}

/// What people look for in an image that was made from another (image-spec annotations.md), and what onlay knows it by.
fn annotations(bring: &Bring) -> BTreeMap<String, String> {
    let lines: Vec<String> = bring.item.lines.iter().map(normalised).collect();
    BTreeMap::from([
        (
            "org.opencontainers.image.base.name".to_owned(),
            bring.item.source.to_string(),
        ),
        (
            "org.opencontainers.image.base.digest".to_owned(),
            bring.base.digest.to_string(),
        ),
        ("onlay.lines".to_owned(), lines.join("\n")),
        ("onlay.recipe".to_owned(), RECIPE.to_string()),
    ])
}

/// Why an image was not brought.
struct Unable {
    status: Status,
    reason: String,
}

impl Unable {
    /// What lies at the bottom decides: a limit leaves it for the next run.
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut status = Status::Failed;
        let mut current = Some(error);
        while let Some(error) = current {
            if let Some(error) = error.downcast_ref::<RegistryError>()
                && status_of(error) == Status::Postponed
            {
                status = Status::Postponed;
            }
            current = error.source();
        }
        Self {
            status,
            reason: chain(error),
        }
    }
}

impl<E: Error + 'static> From<E> for Unable {
    fn from(error: E) -> Self {
        Self::of(&error)
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
