//! One image brought to its place: copied as it is, or with its lines.

use std::collections::BTreeMap;
use std::error::Error;

use onlay_build::{BuildOptions, Exceptions, Platforms, Recipe};
use onlay_oci::{Digest, Reference};
use onlay_push::{CopyOptions, OnRefused, Pushed, copy};
use onlay_registry::RegistryError;
use onlay_store::{Destination, Location};

use crate::CannotRun;
use crate::identity::{RECIPE, normalised};
use crate::plan::{Bring, status_of};
use crate::report::Status;
use crate::run::{Mirror, chain};

impl Mirror {
    /// Brings it from where its digest is to be had.
    pub(crate) async fn bring(&self, bring: &Bring, source: &Reference) -> Result<Brought, Unable> {
        self.keep_previous(bring).await?;
        match bring.is_patched() {
            true => self.patch(bring, source).await,
            false => self.copy(bring, source).await,
        }
    }

    /// Gives what is about to be replaced its other tag.
    async fn keep_previous(&self, bring: &Bring) -> Result<(), Unable> {
        let (item, Some((tag, digest))) = (&bring.item, bring.previous()) else {
            return Ok(());
        };
        let target = &item.target;
        let repository = self.client.repository(target.registry(), target.repository());
        let (document, _) = repository.pull_manifest(&digest.to_string()).await?;
        let described = document.descriptor();
        repository
            .put_manifest(tag.as_str(), &described, document.bytes())
            .await?;
        Ok(())
    }

    /// Copies it as it is: exactly what was found upstream, whatever its tag names by now.
    async fn copy(&self, bring: &Bring, source: &Reference) -> Result<Brought, Unable> {
        let item = &bring.item;
        let source = Location::Registry(by_digest(source, &bring.base.digest));
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
    async fn patch(&self, bring: &Bring, source: &Reference) -> Result<Brought, Unable> {
        let item = &bring.item;
        let base = by_digest(source, &bring.base.digest);
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
            return self.copy(bring, source).await;
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
pub(crate) struct Brought {
    pub(crate) status: Status,
    pub(crate) pushed: Pushed,
    /// What is to be said of it.
    pub(crate) reason: Option<String>,
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

pub(crate) fn by_digest(source: &Reference, digest: &Digest) -> Reference {
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
pub(crate) struct Unable {
    pub(crate) status: Status,
    pub(crate) reason: String,
}

impl Unable {
    /// What lies at the bottom decides: a limit leaves it for the next run.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
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
