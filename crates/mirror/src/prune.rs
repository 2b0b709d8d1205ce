//! What is no longer wanted at the destination.
//!
//! Only images that onlay has made are looked at: those with a tag that says what they were made from. Of these, one is in use
//! if it has a tag that the configuration still wants, or one that somebody else gave it; the rest may go, but for the newest
//! few.

use std::collections::{BTreeMap, BTreeSet};

use onlay_oci::{Digest, Document, Reference, Registry, Repository, Tag};
use onlay_registry::{RepositoryClient, StoredImage};

use crate::identity::PREFIX;
use crate::item::Entry;
use crate::run::{Mirror, chain};

/// What becomes of a repository.
#[derive(Debug)]
pub struct Prunable {
    /// Where it is.
    pub registry: Registry,
    /// Its name.
    pub repository: Repository,
    /// What may go, oldest first; or why nothing is deleted there.
    pub images: Result<Vec<StoredImage>, String>,
}

impl Mirror {
    /// Finds what is no longer wanted, in those repositories of which the configuration says how many to keep. Nothing is
    /// deleted.
    pub async fn prunable(&self, entries: &[Entry]) -> Vec<Prunable> {
        let ours = |entry: &&Entry| self.shard.has(entry.target.1.as_str());
        let entries: Vec<&Entry> = entries.iter().filter(ours).collect();
        let mut places: BTreeMap<(Registry, Repository), Vec<usize>> = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            places.entry(entry.target.clone()).or_default().push(index);
        }
        let lists = self.tags(&entries).await;
        let mut found = Vec::new();
        for ((registry, repository), indexes) in places {
            let here = indexes
                .iter()
                .filter_map(|index| entries.get(*index).zip(lists.get(*index)));
            let here: Vec<(&Entry, &Result<Vec<Tag>, String>)> =
                here.map(|(entry, list)| (*entry, list)).collect();
            let Some(keep) = keep(&here) else { continue };
            let images = match wanted(&here) {
                Ok(wanted) => {
                    let client = self.client.repository(&registry, &repository);
                    unwanted(&client, &wanted, keep).await
                }
                Err(reason) => Err(reason),
            };
            found.push(Prunable {
                registry,
                repository,
                images,
            });
        }
        found
    }

    /// Deletes what was found, and gives what is still there with why.
    ///
    /// # Errors
    /// The registry fails.
    pub async fn delete(&self, prunable: &Prunable) -> Result<Vec<(Digest, String)>, String> {
        let images = prunable.images.as_deref().unwrap_or_default();
        let digests: Vec<Digest> = images.iter().map(|image| image.digest.clone()).collect();
        if digests.is_empty() {
            return Ok(Vec::new());
        }
        let repository = self.client.repository(&prunable.registry, &prunable.repository);
        let left = repository
            .delete_images(&digests)
            .await
            .map_err(|error| chain(&error))?;
        left.ok_or_else(|| NO_DATES.to_owned())
    }
}

const NO_DATES: &str = "only Amazon ECR tells when images were pushed, and only there something is deleted";

/// How many are kept; none if an image does not say, which is kept whole then.
fn keep(here: &[(&Entry, &Result<Vec<Tag>, String>)]) -> Option<usize> {
    let keeps: Option<Vec<usize>> = here.iter().map(|(entry, _)| entry.keep()).collect();
    keeps?.into_iter().max()
}

/// The tags that are wanted.
fn wanted(here: &[(&Entry, &Result<Vec<Tag>, String>)]) -> Result<BTreeSet<Tag>, String> {
    let mut wanted = BTreeSet::new();
    for (entry, list) in here {
        let there = list.as_ref().map_err(Clone::clone)?;
        if entry.needs_list() && there.is_empty() {
            return Err(format!(
                "`{}` has no tags upstream, which is hardly meant",
                entry.name
            ));
        }
        for item in entry.items(there).into_iter().flatten() {
            wanted.extend(item.target.tag().cloned());
            wanted.extend(item.previous);
        }
    }
    Ok(wanted)
}

/// The images of a repository that may go, oldest first: of each image of the configuration all but the newest few.
async fn unwanted(
    repository: &RepositoryClient,
    wanted: &BTreeSet<Tag>,
    keep: usize,
) -> Result<Vec<StoredImage>, String> {
    let images = repository.images().await.map_err(|error| chain(&error))?;
    let images = images.ok_or_else(|| NO_DATES.to_owned())?;
    let is_candidate = |image: &StoredImage| {
        image.tags.iter().any(is_identity) && !image.tags.iter().any(|tag| wanted.contains(tag))
    };
    if !images.iter().any(is_candidate) {
        return Ok(Vec::new());
    }
    let mut children = BTreeMap::new();
    let mut replaced: BTreeMap<Option<String>, Vec<StoredImage>> = BTreeMap::new();
    for image in images {
        let read = repository.pull_manifest(&image.digest.to_string()).await;
        let (document, _) = read.map_err(|error| chain(&error))?;
        if let Document::Index(index) = &document {
            let digests: Vec<Digest> = index
                .manifests()
                .iter()
                .map(|entry| entry.digest.clone())
                .collect();
            children.insert(image.digest.clone(), digests);
        }
        let source = source(&document);
        if is_candidate(&image) && is_all_ours(&image, source.as_deref()) {
            replaced.entry(source).or_default().push(image);
        }
    }
    let mut going = Vec::new();
    for (_, mut images) in replaced {
        images.sort_by_key(|image| image.pushed);
        images.truncate(images.len().saturating_sub(keep));
        going.append(&mut images);
    }
    let goes = |digest: &Digest| going.iter().any(|image| image.digest == *digest);
    let used: BTreeSet<Digest> = children
        .into_iter()
        .filter(|(index, _)| !goes(index))
        .flat_map(|(_, digests)| digests)
        .collect();
    going.retain(|image| !used.contains(&image.digest));
    Ok(going)
}

fn is_identity(tag: &Tag) -> bool {
    tag.as_str().starts_with(PREFIX)
}

/// What it was made from, as its annotation says.
fn source(document: &Document) -> Option<String> {
    let mut annotations = document.annotations().unwrap_or_default();
    annotations.remove("org.opencontainers.image.base.name")
}

/// Whether nobody else has given it a tag: beside those that say what it was made from it has only its source's.
fn is_all_ours(image: &StoredImage, source: Option<&str>) -> bool {
    let source = source.and_then(|name| name.parse::<Reference>().ok());
    let own = source.as_ref().and_then(Reference::tag);
    image.tags.iter().all(|tag| is_identity(tag) || Some(tag) == own)
}
