use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Descriptor, Digest, Family, Index, JsonError, MediaType, RawObject};

/// The largest manifest or index that is read, in bytes: what distribution registries accept, and what ECR's API takes.
///
/// Source: distribution-spec v1.1 "Pushing Manifests" ("at least 4 megabytes"); ECR `PutImage` `imageManifest`.
pub const MAX_MANIFEST_SIZE: u64 = 4 * 1024 * 1024;

/// What stands behind `manifests/` in a registry: one image or an index of several.
#[derive(Clone, Debug)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several images, one per platform.
    Index(Index),
}

impl Document {
    /// Parses a manifest or an index.
    ///
    /// What it is is decided by its own `mediaType`, else by `content_type` (what the registry or descriptor calls it),
    /// else by its members.
    ///
    /// # Errors
    /// Too large, not JSON, schema 1, an artifact, or a document that could be read as both (CVE-2021-41190).
    pub fn parse(
        bytes: impl Into<Arc<[u8]>>,
        content_type: Option<&MediaType>,
    ) -> Result<Self, DocumentError> {
        let bytes = bytes.into();
        if bytes.len() as u64 > MAX_MANIFEST_SIZE {
            return Err(DocumentError::TooLarge {
                size: bytes.len() as u64,
            });
        }
        let object = RawObject::parse(&bytes)?;
        refuse_ambiguous(&object)?;
        let own = object.get::<MediaType>("mediaType")?;
        match own.as_ref().or(content_type.filter(|_| own.is_none())) {
            Some(MediaType::Manifest(family)) => {
                Manifest::from_object(bytes, object, *family).map(Self::Manifest)
            }
            Some(MediaType::Index(family)) => Index::from_object(bytes, object, *family).map(Self::Index),
            Some(MediaType::Schema1 { .. }) => Err(DocumentError::Schema1),
            _ if object.raw("schemaVersion") == Some("1") => Err(DocumentError::Schema1),
            // A registry that calls every document `application/json` or `octet-stream` says nothing.
            Some(MediaType::Other(text)) if own.is_some() => Err(DocumentError::UnknownMediaType {
                media_type: text.clone(),
            }),
            _ if object.raw("manifests").is_some() => {
                Index::from_object(bytes, object, Family::Oci).map(Self::Index)
            }
            _ => Manifest::from_object(bytes, object, Family::Oci).map(Self::Manifest),
        }
    }

    /// The bytes it was parsed from.
    pub fn bytes(&self) -> &Arc<[u8]> {
        match self {
            Self::Manifest(manifest) => manifest.bytes(),
            Self::Index(index) => index.bytes(),
        }
    }

    /// Describes the document: its media type, digest and size.
    pub fn descriptor(&self) -> Descriptor {
        match self {
            Self::Manifest(manifest) => manifest.descriptor(),
            Self::Index(index) => index.descriptor(),
        }
    }

    /// Its annotations.
    ///
    /// # Errors
    /// They have the wrong shape.
    pub fn annotations(&self) -> Result<BTreeMap<String, String>, JsonError> {
        Ok(RawObject::parse(self.bytes())?
            .get("annotations")?
            .unwrap_or_default())
    }

    /// What the document is, where it is more than an image: its `artifactType`, else the media type of its
    /// configuration.
    ///
    /// # Errors
    /// `artifactType` is not a text.
    pub fn artifact_type(&self) -> Result<Option<String>, JsonError> {
        let own = RawObject::parse(self.bytes())?.get("artifactType")?;
        Ok(own.or_else(|| match self {
            Self::Manifest(manifest) => Some(manifest.config().media_type.to_string()),
            Self::Index(_) => None,
        }))
    }

    /// The document that this one speaks of, as signatures do, and what a list of referrers says of this one: its
    /// descriptor with its artifact type and its annotations. None if it speaks of no other.
    ///
    /// # Errors
    /// `subject`, `artifactType` or `annotations` has the wrong shape.
    ///
    /// Source: distribution-spec v1.1 "Listing Referrers".
    pub fn as_referrer(&self) -> Result<Option<(Digest, Descriptor)>, JsonError> {
        let object = RawObject::parse(self.bytes())?;
        let Some(subject) = object.get::<Descriptor>("subject")? else {
            return Ok(None);
        };
        let mut descriptor = self.descriptor();
        descriptor.annotations = object.get("annotations")?.unwrap_or_default();
        let artifact_type = self
            .artifact_type()?
            .map(|text| ("artifactType".to_owned(), text.into()));
        descriptor.other.extend(artifact_type);
        Ok(Some((subject.digest, descriptor)))
    }
}

/// A document with `layers` and `manifests` is an image to one reader and an index to another, under one digest.
fn refuse_ambiguous(object: &RawObject) -> Result<(), DocumentError> {
    let has = |name| object.raw(name).is_some_and(|raw| raw != "null");
    if has("manifests") && (has("layers") || has("config")) {
        return Err(DocumentError::Ambiguous);
    }
    Ok(())
}

/// An image manifest: the descriptors of a configuration and of layers, base layer first.
///
/// Source: image-spec v1.1 manifest.md; Docker image manifest version 2, schema 2.
#[derive(Clone, Debug)]
pub struct Manifest {
    bytes: Arc<[u8]>,
    object: RawObject,
    family: Family,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// The order in which BuildKit writes a manifest's members.
const MEMBER_ORDER: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "subject",
    "annotations",
];

impl Manifest {
    fn from_object(bytes: Arc<[u8]>, object: RawObject, family: Family) -> Result<Self, DocumentError> {
        let config: Descriptor = object.get("config")?.ok_or(DocumentError::NoConfig)?;
        // `null` is what Go writes for an image without layers.
        let layers = object.get("layers")?.unwrap_or_default();
        Ok(Self {
            bytes,
            object,
            family,
            config,
            layers,
        })
    }

    /// Makes the manifest of an edited image: `base`'s members in their order with another configuration and other
    /// layers, or a new manifest where there is no base.
    ///
    /// The base's annotations and its `subject` are not inherited: they speak of the old image. `mediaType` is always
    /// written, because ECR refuses manifests without it (registry.md §3 no. 6). Descriptors are mapped to `family`.
    ///
    /// # Errors
    /// A descriptor cannot be written as JSON.
    pub fn assemble(
        base: Option<&Self>,
        family: Family,
        config: Descriptor,
        layers: Vec<Descriptor>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, JsonError> {
        let mut object = base.map(|base| base.object.clone()).unwrap_or_default();
        for stale in ["annotations", "subject", "artifactType"] {
            object.remove(stale);
        }
        let in_family = |descriptor: Descriptor| Descriptor {
            media_type: descriptor.media_type.into_family(family),
            ..descriptor
        };
        let config = in_family(config);
        let layers: Vec<Descriptor> = layers.into_iter().map(in_family).collect();
        object.set("schemaVersion", &2, MEMBER_ORDER)?;
        object.set("mediaType", &MediaType::Manifest(family), MEMBER_ORDER)?;
        object.set("config", &config, MEMBER_ORDER)?;
        object.set("layers", &layers, MEMBER_ORDER)?;
        if !annotations.is_empty() {
            object.set("annotations", annotations, MEMBER_ORDER)?;
        }
        Ok(Self {
            bytes: object.to_bytes().into(),
            object,
            family,
            config,
            layers,
        })
    }

    /// The bytes that its digest is over.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Describes the manifest itself.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(MediaType::Manifest(self.family), &self.bytes)
    }

    /// Whose media types it uses.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The configuration's descriptor.
    pub fn config(&self) -> &Descriptor {
        &self.config
    }

    /// The layers' descriptors, base layer first.
    pub fn layers(&self) -> &[Descriptor] {
        &self.layers
    }

    /// The manifest that this one speaks of, as signatures and attestations do.
    ///
    /// # Errors
    /// `subject` is not a descriptor.
    pub fn subject(&self) -> Result<Option<Digest>, JsonError> {
        Ok(self
            .object
            .get::<Descriptor>("subject")?
            .map(|subject| subject.digest))
    }

    /// Tells whether this is an image that can be run or edited, not an artifact in an image's clothes.
    pub fn is_image(&self) -> bool {
        matches!(self.config.media_type, MediaType::Config(_))
    }
}

/// Why bytes are not a manifest or index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// More than [`MAX_MANIFEST_SIZE`].
    #[error("manifest is {size} bytes long, expected at most {MAX_MANIFEST_SIZE}")]
    TooLarge {
        /// How long it is, in bytes.
        size: u64,
    },
    /// Docker's schema 1.
    #[error("manifest has Docker's schema 1, which is not supported; expected schema 2 or OCI")]
    Schema1,
    /// It has the members of an image and of an index.
    #[error(
        "manifest has both `manifests` and `layers` or `config`, so it could be read as an index or as an image"
    )]
    Ambiguous,
    /// It calls itself something else.
    #[error("media type `{media_type}` is neither an image manifest nor an index")]
    UnknownMediaType {
        /// Its own `mediaType`.
        media_type: String,
    },
    /// There is no configuration.
    #[error("manifest has no `config`")]
    NoConfig,
    /// Not JSON, or a member of the wrong shape.
    #[error("manifest is malformed")]
    Json(#[from] JsonError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compression;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn manifest(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{DIGEST}","size":2}},"layers":null{extra}}}"#
        )
    }

    #[test]
    fn a_document_says_what_it_is() {
        let parse = |text: &str, content_type: Option<&str>| {
            Document::parse(text.as_bytes(), content_type.map(MediaType::from).as_ref())
        };
        assert!(matches!(parse(&manifest(""), None), Ok(Document::Manifest(_))));
        assert!(matches!(
            parse(r#"{"manifests":[]}"#, None),
            Ok(Document::Index(_))
        ));
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        let parsed = parse(
            &manifest(&format!(r#","mediaType":"{docker}""#)),
            Some("application/json"),
        );
        assert!(matches!(parsed, Ok(Document::Manifest(manifest)) if manifest.family() == Family::Docker));
        assert!(matches!(
            parse(&manifest(r#","manifests":[]"#), None),
            Err(DocumentError::Ambiguous)
        ));
        assert!(matches!(
            parse(r#"{"schemaVersion":1,"fsLayers":[]}"#, None),
            Err(DocumentError::Schema1)
        ));
        assert!(matches!(parse("{}", None), Err(DocumentError::NoConfig)));
        let large = " ".repeat(MAX_MANIFEST_SIZE as usize + 1);
        assert!(matches!(parse(&large, None), Err(DocumentError::TooLarge { .. })));
    }

    #[test]
    fn a_referrer_says_of_what_it_speaks_and_what_it_is() {
        let subject = format!(
            r#","subject":{{"mediaType":"a/b","digest":"{DIGEST}","size":2}},"annotations":{{"a":"b"}}"#
        );
        let referrer = |extra: &str| {
            let text = manifest(&format!("{subject}{extra}"));
            let document = Document::parse(text.as_bytes(), None).unwrap();
            document.as_referrer().unwrap().unwrap()
        };
        let (digest, descriptor) = referrer(r#","artifactType":"x/signature""#);
        assert_eq!(digest.to_string(), DIGEST);
        assert_eq!(descriptor.artifact_type(), Some("x/signature"));
        assert_eq!(descriptor.annotations["a"], "b");
        // Without a type of its own, that of its configuration.
        let config = "application/vnd.oci.image.config.v1+json";
        assert_eq!(referrer("").1.artifact_type(), Some(config));
        let image = Document::parse(manifest("").as_bytes(), None).unwrap();
        assert!(image.as_referrer().unwrap().is_none());
    }

    #[test]
    fn an_assembled_manifest_keeps_the_order_and_drops_what_spoke_of_the_old_image() {
        let text = manifest(r#","annotations":{"a":"b"},"x-unknown":1.50"#);
        let Ok(Document::Manifest(base)) = Document::parse(text.as_bytes(), None) else {
            panic!("not a manifest")
        };
        let layer = Descriptor::of(MediaType::Layer(Family::Docker, Compression::Gzip), b"layer");
        let edited = Manifest::assemble(
            Some(&base),
            Family::Oci,
            base.config().clone(),
            vec![layer],
            &BTreeMap::new(),
        );
        let text = String::from_utf8(edited.unwrap().bytes().to_vec()).unwrap();
        assert!(text.starts_with(
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config""#
        ));
        assert!(text.contains("vnd.oci.image.layer.v1.tar+gzip") && text.ends_with(r#""x-unknown":1.50}"#));
        assert!(!text.contains("annotations"));
    }
}
