use std::collections::{BTreeMap, BTreeSet};
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

    /// The same index with these entries at its end, as far as it lacks them; none if it lacks none. Everything else stays
    /// as it is written.
    ///
    /// # Errors
    /// An entry cannot be written as JSON.
    pub fn with_entries(&self, new: &[Descriptor]) -> Result<Option<Self>, JsonError> {
        let mut known: BTreeSet<String> = self
            .manifests
            .iter()
            .map(|entry| entry.digest.to_string())
            .collect();
        let missing: Vec<&Descriptor> = new
            .iter()
            .filter(|entry| known.insert(entry.digest.to_string()))
            .collect();
        if missing.is_empty() {
            return Ok(None);
        }
        let mut object = RawObject::parse(&self.bytes)?;
        let mut entries: Vec<RawObject> = object.get("manifests")?.unwrap_or_default();
        for entry in &missing {
            entries.push(RawObject::of(entry)?);
        }
        object.set("manifests", &entries, &[])?;
        Ok(Some(Self {
            bytes: object.to_bytes().into(),
            family: self.family,
            manifests: self.manifests.iter().chain(missing).cloned().collect(),
        }))
    }

    /// The same index with fewer entries. Everything else stays as it is written, but its `subject`: it speaks of what
    /// the old index spoke of no longer.
    ///
    /// # Errors
    /// The entries cannot be written as JSON.
    pub fn keeping(&self, keeps: impl Fn(&Descriptor) -> bool) -> Result<Self, JsonError> {
        let mut object = RawObject::parse(&self.bytes)?;
        let entries: Vec<RawObject> = object.get("manifests")?.unwrap_or_default();
        let (entries, manifests): (Vec<RawObject>, Vec<Descriptor>) = entries
            .into_iter()
            .zip(self.manifests.iter().cloned())
            .filter(|(_, entry)| keeps(entry))
            .unzip();
        object.set("manifests", &entries, &[])?;
        object.remove("subject");
        Ok(Self {
            bytes: object.to_bytes().into(),
            family: self.family,
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
    fn entries_come_and_go_and_the_rest_stays() {
        let entry = |text: &str| Descriptor::of(MediaType::Manifest(Family::Oci), text.as_bytes());
        let first = serde_json::to_string(&entry("1"))
            .unwrap()
            .replacen('{', r#"{"x-own":1.50,"#, 1);
        let text = format!(r#"{{"x-unknown":[],"manifests":[{first}],"subject":{first},"schemaVersion":2}}"#);
        let Ok(crate::Document::Index(index)) = crate::Document::parse(text.as_bytes(), None) else {
            panic!("not an index")
        };
        let more = index
            .with_entries(&[entry("1"), entry("2"), entry("2")])
            .unwrap()
            .unwrap();
        assert_eq!(more.manifests().len(), 2);
        assert!(String::from_utf8_lossy(more.bytes()).starts_with(&text[..text.find(']').unwrap()]));
        assert!(more.with_entries(&[entry("2")]).unwrap().is_none());
        let fewer = more.keeping(|kept| kept.digest == entry("1").digest).unwrap();
        assert_eq!(fewer.manifests(), index.manifests());
        let expected = text.replacen(&format!(r#""subject":{first},"#), "", 1);
        assert_eq!(String::from_utf8_lossy(fewer.bytes()), expected);
    }

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
