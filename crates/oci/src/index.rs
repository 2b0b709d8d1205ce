use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Descriptor, Digest, DocumentError, Family, JsonError, MediaType, Platform, RawObject};

/// An image index: one descriptor per platform, in the publisher's order.
///
/// Source: image-spec v1.1 image-index.md; Docker manifest list.
#[derive(Clone, Debug)]
pub struct Index {
    bytes: Arc<[u8]>,
    family: Family,
    manifests: Vec<Descriptor>,
}

/// What an entry of an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexEntryKind {
    /// An image for this platform.
    Image(Platform),
    /// A statement (provenance, SBOM) about another entry.
    Attestation,
    /// An index inside the index.
    Nested,
    /// An image or artifact that does not say what it is for.
    Unknown,
}

impl Index {
    pub(crate) fn from_object(
        bytes: Arc<[u8]>,
        object: RawObject,
        family: Family,
    ) -> Result<Self, DocumentError> {
        let manifests = object.get("manifests")?.unwrap_or_default();
        Ok(Self {
            bytes,
            family,
            manifests,
        })
    }

    /// Makes a new index of `manifests`, in this order.
    ///
    /// # Errors
    /// A descriptor cannot be written as JSON.
    pub fn assemble(
        family: Family,
        manifests: Vec<Descriptor>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, JsonError> {
        let mut object = RawObject::default();
        object.set("schemaVersion", &2, &[])?;
        object.set("mediaType", &MediaType::Index(family), &[])?;
        object.set("manifests", &manifests, &[])?;
        if !annotations.is_empty() {
            object.set("annotations", annotations, &[])?;
        }
        Ok(Self {
            bytes: object.to_bytes().into(),
            family,
            manifests,
        })
    }

    /// The bytes that its digest is over.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Describes the index itself.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(MediaType::Index(self.family), &self.bytes)
    }

    /// Whose media types it uses.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The entries, in the publisher's order.
    pub fn manifests(&self) -> &[Descriptor] {
        &self.manifests
    }

    /// Tells what an entry is.
    ///
    /// Source: BuildKit docs/attestations/attestation-storage.md (`vnd.docker.reference.type`).
    pub fn kind(entry: &Descriptor) -> IndexEntryKind {
        if matches!(entry.media_type, MediaType::Index(_)) {
            return IndexEntryKind::Nested;
        }
        let reference_type = entry.annotations.get("vnd.docker.reference.type");
        if reference_type.is_some_and(|value| value == "attestation-manifest") {
            return IndexEntryKind::Attestation;
        }
        match &entry.platform {
            Some(platform) if !platform.is_unknown() => IndexEntryKind::Image(platform.clone().normalised()),
            _ => IndexEntryKind::Unknown,
        }
    }

    /// Names the entry that an attestation speaks of.
    pub fn attests(entry: &Descriptor) -> Option<Digest> {
        entry.annotations.get("vnd.docker.reference.digest")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_apart() {
        let mut entry = Descriptor::of(MediaType::Manifest(Family::Oci), b"{}");
        assert_eq!(Index::kind(&entry), IndexEntryKind::Unknown);
        entry.platform = "linux/arm64".parse().ok();
        assert_eq!(
            Index::kind(&entry),
            IndexEntryKind::Image(Platform::new("linux", "arm64"))
        );
        entry.platform = "unknown/unknown".parse().ok();
        assert_eq!(Index::kind(&entry), IndexEntryKind::Unknown);
        entry.annotations.insert(
            "vnd.docker.reference.type".to_owned(),
            "attestation-manifest".to_owned(),
        );
        assert_eq!(Index::kind(&entry), IndexEntryKind::Attestation);
        entry.media_type = MediaType::Index(Family::Oci);
        assert_eq!(Index::kind(&entry), IndexEntryKind::Nested);
    }
}
