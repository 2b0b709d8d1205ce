use std::collections::HashSet;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use onlay_oci::{Descriptor, Digest, Document, MediaType};

use super::CopyFailure;
use super::source::Source;
use crate::{BlobOrigin, Publication, PublishedBlob};

/// How many indexes may be inside each other: an index of indexes is seen, and one more is generous.
pub(super) const MAX_NESTING: usize = 3;

/// How much all documents of one image may have together, in bytes; a thousand usual manifests have one megabyte.
pub(super) const MAX_DOCUMENTS_SIZE: usize = 64 * 1024 * 1024;

/// How many documents are read at a time.
const PARALLEL_DOCUMENTS: usize = 8;

/// Reads all that `root` consists of, and says where its blobs are.
pub(super) async fn publication(source: &Source, root: Document) -> Result<Publication, CopyFailure> {
    let mut walk = Walk {
        source,
        seen: HashSet::new(),
        documents: Vec::new(),
        size: 0,
    };
    walk.visit(root.clone(), 0).await?;
    // The root is the last that was left.
    walk.documents.pop();
    let mut publication = Publication {
        blobs: Vec::new(),
        manifests: walk.documents,
        root,
        platform: None,
    };
    for document in publication.manifests.iter().chain([&publication.root]) {
        publication.blobs.extend(blobs(source, document));
    }
    Ok(publication)
}

/// A walk through an image's documents.
struct Walk<'a> {
    source: &'a Source,
    seen: HashSet<Digest>,
    /// Each behind all that it names.
    documents: Vec<Document>,
    /// Bytes of the documents so far.
    size: usize,
}

impl Walk<'_> {
    fn visit(&mut self, document: Document, depth: usize) -> BoxFuture<'_, Result<(), CopyFailure>> {
        async move {
            self.size += document.bytes().len();
            if self.size > MAX_DOCUMENTS_SIZE {
                return Err(CopyFailure::DocumentsSize);
            }
            for child in self.children(&document, depth).await? {
                self.visit(child, depth + 1).await?;
            }
            self.documents.push(document);
            Ok(())
        }
        .boxed()
    }

    /// What an index names and was not seen yet.
    async fn children(&mut self, document: &Document, depth: usize) -> Result<Vec<Document>, CopyFailure> {
        let Document::Index(index) = document else {
            return Ok(Vec::new());
        };
        if depth >= MAX_NESTING {
            return Err(CopyFailure::Nesting {
                digest: document.descriptor().digest,
            });
        }
        let entries = index.manifests().iter();
        let new: Vec<Descriptor> = entries
            .filter(|entry| self.seen.insert(entry.digest.clone()))
            .cloned()
            .collect();
        let source = self.source;
        let read = new.into_iter().map(|entry| child(source, entry));
        stream::iter(read)
            .buffered(PARALLEL_DOCUMENTS)
            .try_collect()
            .await
    }
}

async fn child(source: &Source, entry: Descriptor) -> Result<Document, CopyFailure> {
    let document = source
        .document(&entry)
        .await
        .map_err(|failure| CopyFailure::Child {
            digest: entry.digest.clone(),
            source: Box::new(failure),
        })?;
    // It is put under the digest that onlay computes, where nobody would look for the other.
    if document.descriptor().digest != entry.digest {
        return Err(CopyFailure::Algorithm { digest: entry.digest });
    }
    Ok(document)
}

/// What a manifest is made of. Foreign layers stay where they are.
pub(super) fn blobs(source: &Source, document: &Document) -> Vec<PublishedBlob> {
    let Document::Manifest(manifest) = document else {
        return Vec::new();
    };
    let origin = |descriptor: &Descriptor| match descriptor.media_type {
        MediaType::ForeignLayer(..) => BlobOrigin::Foreign,
        _ => source.origin(),
    };
    let parts = manifest.layers().iter().chain([manifest.config()]);
    parts
        .map(|descriptor| PublishedBlob {
            origin: origin(descriptor),
            descriptor: descriptor.clone(),
        })
        .collect()
}

/// The digests of all documents of an image. Only indexes are read for that.
pub(super) async fn digests(source: &Source, root: &Descriptor) -> Result<Vec<Digest>, CopyFailure> {
    let mut found = vec![root.digest.clone()];
    let mut seen = HashSet::from([root.digest.clone()]);
    let mut level = vec![root.clone()];
    for _ in 0..=MAX_NESTING {
        let indexes = level
            .iter()
            .filter(|entry| matches!(entry.media_type, MediaType::Index(_)));
        let mut next = Vec::new();
        for entry in indexes {
            if let Document::Index(index) = source.document(entry).await? {
                let new = index
                    .manifests()
                    .iter()
                    .filter(|entry| seen.insert(entry.digest.clone()));
                next.extend(new.cloned());
            }
        }
        found.extend(next.iter().map(|entry| entry.digest.clone()));
        level = next;
    }
    Ok(found)
}
