//! What is to be done: both sides looked at, nothing fetched.

use std::collections::{BTreeMap, BTreeSet};

use onlay_oci::{Descriptor, Digest, MediaType, PlatformSelection, Reference, Registry, Repository, Tag};
use onlay_registry::{PullLimit, RegistryError};
use tokio::task::JoinSet;

use crate::budget::pulls_needed;
use crate::identity::identity;
use crate::item::{Entry, Item};
use crate::report::{Outcome, Status};
use crate::run::{Mirror, chain};

/// What is to be done with all images.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the configuration's order.
    pub images: Vec<Planned>,
    /// What registries say of the pulls that are left.
    pub limits: BTreeMap<Registry, PullLimit>,
}

/// What is to be done with an image.
#[derive(Debug)]
pub struct Planned {
    /// Where it comes from.
    pub source: String,
    /// Where it is kept.
    pub target: String,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// Nothing.
    Unchanged(Digest),
    /// To bring it there.
    Bring(Box<Bring>),
    /// Nothing can be.
    Ended(Status, String),
}

/// An image to be brought.
#[derive(Clone, Debug)]
pub struct Bring {
    pub(crate) item: Item,
    /// What it is upstream.
    pub(crate) base: Descriptor,
    /// The tag that says what it was made from, where that is not its own digest.
    pub(crate) identity: Option<Tag>,
    /// How many pulls it needs, as far as that can be told.
    pub pulls: u64,
    /// What is there already, and is replaced.
    pub replaces: Option<Digest>,
}

impl Plan {
    /// How many pulls are needed of each registry.
    pub fn pulls(&self) -> BTreeMap<&Registry, u64> {
        let mut pulls = BTreeMap::new();
        for planned in &self.images {
            if let Action::Bring(bring) = &planned.action {
                *pulls.entry(bring.item.source.registry()).or_default() += bring.pulls;
            }
        }
        pulls
    }
}

impl Bring {
    /// Whether lines are added.
    pub fn is_patched(&self) -> bool {
        !self.item.lines.is_empty()
    }

    /// The tag that what is replaced is to have, and its digest.
    pub(crate) fn previous(&self) -> Option<(&Tag, &Digest)> {
        self.item.previous.as_ref().zip(self.replaces.as_ref())
    }
}

impl Planned {
    pub(crate) fn outcome(&self, status: Status, reason: Option<String>, digest: Option<Digest>) -> Outcome {
        Outcome {
            source: self.source.clone(),
            target: self.target.clone(),
            status,
            reason,
            digest,
            bytes: 0,
            mounted: 0,
        }
    }
}

/// What a repository of the destination holds.
type Held = Result<Option<BTreeMap<Tag, Digest>>, String>;

impl Mirror {
    /// Looks at both sides: tags upstream where patterns name them, a HEAD for each image, and what the destination's
    /// repositories hold.
    pub async fn plan(&self, entries: &[Entry]) -> Plan {
        let ours = |entry: &&Entry| self.shard.has(entry.target.1.as_str());
        let entries: Vec<&Entry> = entries.iter().filter(ours).collect();
        let mut images: Vec<Result<Item, Planned>> = Vec::new();
        for (entry, tags) in entries.iter().zip(self.tags(&entries).await) {
            match tags {
                Ok(tags) => images.extend(entry.items(&tags).into_iter().map(|item| {
                    item.map_err(|(source, reason)| ended(&source.to_string(), "-", Status::Refused, reason))
                })),
                Err(reason) => images.push(Err(ended(&entry.name, "-", Status::Failed, reason))),
            }
        }
        self.leave_out(&mut images);
        let held = self.held(&images).await;
        let mut looks = JoinSet::new();
        let mut planned: Vec<Option<Planned>> = Vec::new();
        let mut waiting = images.into_iter().enumerate();
        loop {
            while looks.len() < self.concurrency.saturating_mul(LOOKS_PER_TRANSFER) {
                let Some((index, image)) = waiting.next() else {
                    break;
                };
                planned.push(None);
                match image {
                    Err(ended) => planned[index] = Some(ended),
                    Ok(item) => {
                        let place = (item.target.registry().clone(), item.target.repository().clone());
                        let held = held.get(&place).cloned().unwrap_or(Ok(None));
                        let mirror = self.clone();
                        looks.spawn(async move { (index, mirror.look(item, held).await) });
                    }
                }
            }
            match looks.join_next().await {
                Some(Ok((index, found))) => planned[index] = Some(found),
                // A task that panicked has said so.
                Some(Err(_)) => {}
                None => break,
            }
        }
        Plan {
            images: planned.into_iter().flatten().collect(),
            limits: self.client.pull_limits(),
        }
    }

    /// Leaves out what `--only` does not name, and refuses what would take the place of another.
    fn leave_out(&self, images: &mut Vec<Result<Item, Planned>>) {
        if let Some(only) = &self.only {
            images.retain(|image| match image {
                Ok(item) => only.matches(&item.source.to_string()) || only.matches(&item.target.to_string()),
                Err(ended) => only.matches(&ended.source),
            });
        }
        let mut places = BTreeMap::new();
        for image in images {
            let Ok(item) = image else { continue };
            let (source, target) = (item.source.to_string(), item.target.to_string());
            if let Some(other) = places.insert(target.clone(), source.clone()) {
                let reason = format!("`{other}` is kept there, too");
                *image = Err(ended(&source, &target, Status::Refused, reason));
            }
        }
    }

    /// The tags upstream of those images that need them.
    pub(crate) async fn tags(&self, entries: &[&Entry]) -> Vec<Result<Vec<Tag>, String>> {
        let mut lists = JoinSet::new();
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.needs_list()) {
            let (client, source) = (self.client.clone(), entry.source.clone());
            lists.spawn(async move {
                let listed = async { client.source(&source)?.tags().await };
                (index, listed.await.map_err(|error: RegistryError| chain(&error)))
            });
        }
        let mut tags: Vec<_> = entries.iter().map(|_| Ok(Vec::new())).collect();
        while let Some(listed) = lists.join_next().await {
            if let Ok((index, listed)) = listed {
                tags[index] = listed;
            }
        }
        tags
    }

    /// What the repositories of the destination hold, where that is known of all their tags at once.
    async fn held(&self, images: &[Result<Item, Planned>]) -> BTreeMap<(Registry, Repository), Held> {
        let places: BTreeSet<(Registry, Repository)> = images
            .iter()
            .flatten()
            .map(|item| (item.target.registry().clone(), item.target.repository().clone()))
            .collect();
        let mut looks = JoinSet::new();
        for place in places {
            let repository = self.client.repository(&place.0, &place.1);
            looks.spawn(async move { (place, repository.digests().await.map_err(|error| chain(&error))) });
        }
        let mut held = BTreeMap::new();
        while let Some(look) = looks.join_next().await {
            held.extend(look.ok());
        }
        held
    }

    async fn look(&self, item: Item, held: Held) -> Planned {
        let (source, target) = (item.source.to_string(), item.target.to_string());
        let action = match self.decide(item, held).await {
            Ok(action) => action,
            Err((status, reason)) => Action::Ended(status, reason),
        };
        Planned {
            source,
            target,
            action,
        }
    }

    async fn decide(&self, item: Item, held: Held) -> Result<Action, (Status, String)> {
        let failed = |error: RegistryError| (status_of(&error), chain(&error));
        let held = held.map_err(|reason| (Status::Failed, reason))?;
        let upstream = self.client.source(&item.source).map_err(failed)?;
        let found = upstream
            .head_manifest(&item.source.identifier())
            .await
            .map_err(failed)?;
        let base = found.ok_or_else(|| {
            let reason = "it is not there upstream; what is kept stays as it is".to_owned();
            (Status::Failed, reason)
        })?;
        if let Some(pinned) = item.pinned.as_ref().filter(|pinned| **pinned != base.digest) {
            let reason = format!(
                "the configuration wants {pinned}, and upstream it is {}",
                base.digest
            );
            return Err((Status::Refused, reason));
        }
        let is_as_it_is = item.lines.is_empty() && item.platforms == PlatformSelection::All;
        let identity = match is_as_it_is {
            true => None,
            false => identity(
                &item.source,
                &base.digest,
                &item.lines,
                &item.platforms,
                item.cannot_run,
            ),
        };
        let current = self
            .named(&item.target, item.target.tag(), &held)
            .await
            .map_err(failed)?;
        let expected = match &identity {
            None => Some(base.digest.clone()),
            Some(tag) => self.named(&item.target, Some(tag), &held).await.map_err(failed)?,
        };
        Ok(match current {
            Some(current) if Some(&current) == expected.as_ref() => Action::Unchanged(current),
            current => Action::Bring(Box::new(Bring {
                pulls: pulls_needed(matches!(base.media_type, MediaType::Index(_)), base.size),
                item,
                base,
                identity,
                replaces: current,
            })),
        })
    }

    /// What a tag of the destination names.
    async fn named(
        &self,
        target: &Reference,
        tag: Option<&Tag>,
        held: &Option<BTreeMap<Tag, Digest>>,
    ) -> Result<Option<Digest>, RegistryError> {
        let Some(tag) = tag else { return Ok(None) };
        if let Some(held) = held {
            return Ok(held.get(tag).cloned());
        }
        let repository = self.client.repository(target.registry(), target.repository());
        let found = repository.head_manifest(tag.as_str()).await?;
        Ok(found.map(|found| found.digest))
    }
}

/// A look costs a request or two, a transfer many.
const LOOKS_PER_TRANSFER: usize = 8;

/// A limit that was hit is never taken for an answer.
pub(crate) fn status_of(error: &RegistryError) -> Status {
    match error {
        RegistryError::PullLimit { .. } | RegistryError::ComeBackLater { .. } => Status::Postponed,
        _ => Status::Failed,
    }
}

fn ended(source: &str, target: &str, status: Status, reason: String) -> Planned {
    Planned {
        source: source.to_owned(),
        target: target.to_owned(),
        action: Action::Ended(status, reason),
    }
}
