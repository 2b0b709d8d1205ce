use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, MediaType, Platform, Tag};

/// What one document says of a blob or of another document: what it is, which bytes, how many.
///
/// Source: image-spec v1.1 descriptor.md.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// What the bytes are.
    #[serde(rename = "mediaType")]
    pub media_type: MediaType,
    /// The digest of the bytes as stored.
    pub digest: Digest,
    /// The number of bytes as stored.
    pub size: u64,
    /// Other places the bytes may be fetched from; only foreign layers use them.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub urls: Vec<String>,
    /// Free-form notes, among them the table-of-contents digests of lazily pulled layers.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
    /// The platform, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Members that this crate does not know, as they were.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// Where an image's tag stands in a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl Descriptor {
    /// Describes `size` bytes that are known to have this digest.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            other: serde_json::Map::new(),
        }
    }

    /// Describes `bytes`.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// The tag of an image in a layout.
    ///
    /// Source: image-spec v1.1 image-layout.md "index.json file".
    pub fn tag(&self) -> Option<Tag> {
        self.annotations.get(REF_NAME)?.parse().ok()
    }

    /// The type of the artifact, where a list of referrers or an index names it.
    pub fn artifact_type(&self) -> Option<&str> {
        self.other.get("artifactType")?.as_str()
    }
}

/// Reads `null` as nothing: Go writes it for an empty list or map.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_and_nulls_survive() {
        let text = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30=","artifactType":"x/y"}"#;
        let descriptor: Descriptor = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&descriptor).unwrap(), text);
        let nulls = text.replace(
            r#""data":"e30=""#,
            r#""urls":null,"annotations":null,"platform":null"#,
        );
        assert!(serde_json::from_str::<Descriptor>(&nulls).is_ok());
        assert!(serde_json::from_str::<Descriptor>(&text.replace(":2,", ":-2,")).is_err());
    }
}
