//! What belongs to an image and is not named by it: what refers to it, and what cosign keeps under tags of its own.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use onlay_oci::{Descriptor, Digest, Tag};
use onlay_registry::DigestTags;

use super::CopyFailure;
use super::source::Source;

/// Something that belongs to an image.
#[derive(Clone, Debug)]
pub(super) struct Belonging {
    pub(super) descriptor: Descriptor,
    /// What it speaks of: a manifest of the image, or something that belongs to it too.
    pub(super) subject: Digest,
    /// Its own tag, if that is what makes it belong there, and not its naming the subject.
    pub(super) tag: Option<Tag>,
}

/// How often what refers to something may be referred to itself: a time stamp of a signature of an SBOM is three.
const MAX_DEPTH: usize = 5;

/// How much may belong to one image in all. The largest known have some dozens.
const MAX_BELONGINGS: usize = 2000;

/// How many manifests are asked about at a time.
const PARALLEL_QUESTIONS: usize = 8;

/// Finds all that belongs to the manifests with these digests, and to that in turn; each behind what it belongs to.
pub(super) async fn find(
    source: &Source,
    subjects: &[Digest],
    tags: &DigestTags,
) -> Result<Vec<Belonging>, CopyFailure> {
    let mut found = Vec::new();
    let mut asked: HashSet<Digest> = subjects.iter().cloned().collect();
    let mut known: HashSet<(Digest, Digest, bool)> = HashSet::new();
    let mut level = subjects.to_vec();
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for belonging in of_all(source, &level, tags).await? {
            let digest = belonging.descriptor.digest.clone();
            let (subject, has_tag) = (belonging.subject.clone(), belonging.tag.is_some());
            if !known.insert((digest.clone(), subject, has_tag)) {
                continue;
            }
            if asked.insert(digest.clone()) {
                next.push(digest);
            }
            found.push(belonging);
            if found.len() > MAX_BELONGINGS {
                return Err(CopyFailure::Belongings {
                    limit: MAX_BELONGINGS,
                });
            }
        }
        if next.is_empty() {
            return Ok(found);
        }
        level = next;
    }
    match of_all(source, &level, tags).await?.first() {
        None => Ok(found),
        Some(deepest) => Err(CopyFailure::BelongingsDepth {
            digest: deepest.descriptor.digest.clone(),
            limit: MAX_DEPTH,
        }),
    }
}

async fn of_all(
    source: &Source,
    subjects: &[Digest],
    tags: &DigestTags,
) -> Result<Vec<Belonging>, CopyFailure> {
    let Some((first, others)) = subjects.split_first() else {
        return Ok(Vec::new());
    };
    // Alone, since its answer may show that the others need not be asked.
    let mut found = of_one(source, first, tags).await?;
    let questions = others.iter().map(|subject| of_one(source, subject, tags));
    let answers: Vec<Vec<Belonging>> = stream::iter(questions)
        .buffered(PARALLEL_QUESTIONS)
        .try_collect()
        .await?;
    found.extend(answers.into_iter().flatten());
    Ok(found)
}

async fn of_one(source: &Source, subject: &Digest, tags: &DigestTags) -> Result<Vec<Belonging>, CopyFailure> {
    let referrers = source.referrers(subject, tags).await?.into_iter();
    let mut found: Vec<Belonging> = referrers
        .map(|descriptor| Belonging {
            descriptor,
            subject: subject.clone(),
            tag: None,
        })
        .collect();
    for tag in subject.cosign_tags() {
        if tags.has(&tag) == Some(false) {
            continue;
        }
        let tagged = source.tagged(&tag).await?;
        found.extend(tagged.map(|descriptor| Belonging {
            descriptor,
            subject: subject.clone(),
            tag: Some(tag),
        }));
    }
    Ok(found)
}
