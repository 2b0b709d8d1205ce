//! What an account has: repositories, and the images that were committed to them.

use crate::digest::sha256;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A repository of ECR.
#[derive(Debug, Clone, Default)]
pub struct EcrRepository {
    /// Whether a tag stays with the image that it was first given to (`IMMUTABLE`; aws.md 1.3).
    pub immutable_tags: bool,
    /// Tags that this does not hold for; `*` stands for anything (`IMMUTABLE_WITH_EXCLUSION`; aws.md 1.4).
    pub exclusions: Vec<String>,
    images: BTreeMap<String, Committed>,
    tags: BTreeMap<String, String>,
    committed: usize,
}

/// A manifest that is in a repository.
#[derive(Debug, Clone)]
pub(super) struct Committed {
    pub(super) media_type: String,
    pub(super) artifact_type: Option<String>,
    pub(super) size: usize,
    /// How many were committed before it.
    pub(super) number: usize,
    /// The images of an index.
    children: BTreeSet<String>,
    /// The blobs that it names.
    blobs: BTreeSet<String>,
    subject: Option<String>,
}

/// All repositories of the account, by name.
#[derive(Debug, Default)]
pub(super) struct Repositories(BTreeMap<String, EcrRepository>);

impl EcrRepository {
    /// A repository whose tags stay, but for those that match an exclusion.
    pub fn immutable(exclusions: &[&str]) -> Self {
        Self {
            immutable_tags: true,
            exclusions: exclusions.iter().map(|&pattern| pattern.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Tells whether a tag may be given to an image.
    pub(super) fn lets_move(&self, tag: &str, digest: &str) -> bool {
        let excluded = || self.exclusions.iter().any(|pattern| matches(pattern, tag));
        let is_same = self.tags.get(tag).is_none_or(|existing| existing == digest);
        is_same || !self.immutable_tags || excluded()
    }

    pub(super) fn commit(&mut self, reference: &str, media_type: &str, bytes: &[u8]) {
        let digest = sha256(bytes);
        if !reference.contains(':') {
            self.tags.insert(reference.to_owned(), digest.clone());
        }
        self.committed += 1;
        let number = self.committed;
        let known = self.images.get(&digest).map(|image| image.number);
        self.images
            .insert(digest, Committed::of(media_type, bytes, known.unwrap_or(number)));
    }

    /// Deletes an image with its tags, unless an index names it.
    pub(super) fn delete(&mut self, digest: &str) -> bool {
        if self.images.values().any(|image| image.children.contains(digest)) {
            return false;
        }
        self.images.remove(digest);
        self.tags.retain(|_, tagged| tagged != digest);
        true
    }

    pub(super) fn references(&self, blob: &str) -> bool {
        self.images.values().any(|image| image.blobs.contains(blob))
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = &String> {
        self.tags.keys()
    }

    /// Digests with their manifests and tags.
    pub(super) fn images(&self) -> impl Iterator<Item = (&String, &Committed, Vec<&String>)> {
        self.images.iter().map(|(digest, image)| {
            let tags = self.tags.iter().filter(move |(_, tagged)| *tagged == digest);
            (digest, image, tags.map(|(tag, _)| tag).collect())
        })
    }

    /// Digests of what refers to a manifest.
    pub(super) fn referrers(&self, digest: &str) -> impl Iterator<Item = (&String, &Committed)> {
        self.images
            .iter()
            .filter(move |(_, image)| image.subject.as_deref() == Some(digest))
    }
}

impl Committed {
    fn of(media_type: &str, bytes: &[u8], number: usize) -> Self {
        let manifest: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let digest = |descriptor: &Value| descriptor["digest"].as_str().map(str::to_owned);
        let layers = manifest["layers"].as_array().into_iter().flatten();
        let children = manifest["manifests"].as_array().into_iter().flatten();
        Self {
            number,
            children: children.filter_map(digest).collect(),
            media_type: media_type.to_owned(),
            artifact_type: manifest["artifactType"].as_str().map(str::to_owned),
            size: bytes.len(),
            blobs: layers.chain([&manifest["config"]]).filter_map(digest).collect(),
            subject: digest(&manifest["subject"]),
        }
    }
}

impl Repositories {
    pub(super) fn create(&mut self, name: &str, repository: EcrRepository) {
        self.0.insert(name.to_owned(), repository);
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&EcrRepository> {
        self.0.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut EcrRepository> {
        self.0.get_mut(name)
    }

    pub(super) fn tag(&mut self, name: &str, tag: &str, digest: &str) {
        if let Some(repository) = self.0.get_mut(name) {
            repository.tags.insert(tag.to_owned(), digest.to_owned());
        }
    }

    pub(super) fn tagged(&self, name: &str, tag: &str) -> Option<String> {
        self.0.get(name)?.tags.get(tag).cloned()
    }
}

/// Whether a text matches a pattern, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|after| {
            (0..=after.len()).any(|from| after.get(from..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}
