//! An OCI layout on disk, written.

use crate::digest::sha256;
use crate::image::{Image, Platform};
use fs_err as fs;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The annotation that names an entry of `index.json`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What refers to a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type of the blob.
    pub media_type: String,
    /// `sha256:<hex>` of the blob.
    pub digest: String,
    /// The size of the blob in bytes.
    pub size: u64,
    /// The platform, on the descriptor of an image.
    pub platform: Option<Platform>,
    /// Annotations, written in this order.
    pub annotations: Vec<(String, String)>,
}

impl Descriptor {
    fn json(&self) -> Value {
        let mut json = json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.size });
        if let Some(platform) = &self.platform {
            json["platform"] = platform.json();
        }
        for (key, value) in &self.annotations {
            json["annotations"][key] = json!(value);
        }
        json
    }

    fn with_annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// An OCI layout that images are written into.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Makes an empty layout in `dir`, which may exist.
    pub fn create(dir: impl Into<PathBuf>) -> Self {
        let layout = Self { dir: dir.into() };
        fs::create_dir_all(layout.dir.join("blobs/sha256")).unwrap();
        fs::write(layout.dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        layout.write_entries(&[]);
        layout
    }

    /// Opens a layout that exists, to add to it or to spoil it.
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory of the layout.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the blob with this digest is, or would be.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        self.dir.join("blobs").join(digest.replacen(':', "/", 1))
    }

    /// Writes a blob.
    pub fn write_blob(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let digest = sha256(bytes);
        fs::write(self.blob_path(&digest), bytes).unwrap();
        Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size: bytes.len() as u64,
            platform: None,
            annotations: Vec::new(),
        }
    }

    /// Writes an image's layers, configuration and manifest, untagged; returns the manifest's descriptor with
    /// the platform.
    pub fn write_image(&self, image: &Image) -> Descriptor {
        let family = image.family();
        let layers: Vec<Value> = image
            .layers()
            .iter()
            .map(|layer| {
                let media_type = family.layer(layer.compression());
                let media_type = media_type.expect("Docker's schema 2 has no zstd layers");
                self.write_blob(media_type, &layer.blob()).json()
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": family.manifest(),
            "config": self.write_blob(family.config(), &image.configuration()).json(),
            "layers": layers,
        });
        let descriptor = self.write_blob(family.manifest(), manifest.to_string().as_bytes());
        Descriptor {
            platform: Some(image.platform().clone()),
            ..descriptor
        }
    }

    /// Writes `images` and an index of them, untagged, in the family of the first; returns the index's descriptor.
    pub fn write_index(&self, images: &[Image]) -> Descriptor {
        let children: Vec<Descriptor> = images.iter().map(|image| self.write_image(image)).collect();
        self.write_index_of(images, &children)
    }

    /// Like [`Self::write_index`], with an attestation beside each image, as BuildKit adds them.
    pub fn write_index_with_attestations(&self, images: &[Image]) -> Descriptor {
        let mut children: Vec<Descriptor> = images.iter().map(|image| self.write_image(image)).collect();
        let attestations: Vec<_> = children
            .iter()
            .map(|child| self.write_attestation(&child.digest))
            .collect();
        children.extend(attestations);
        self.write_index_of(images, &children)
    }

    /// Names a manifest or index in `index.json`. A name that is taken moves.
    pub fn tag(&self, descriptor: &Descriptor, name: &str) {
        let mut entries = self.entries();
        entries.retain(|entry| entry["annotations"][REF_NAME] != name);
        entries.push(descriptor.clone().with_annotation(REF_NAME, name).json());
        self.write_entries(&entries);
    }

    fn write_index_of(&self, images: &[Image], children: &[Descriptor]) -> Descriptor {
        let media_type = images.first().expect("an index has an image").family().index();
        let manifests: Vec<Value> = children.iter().map(Descriptor::json).collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
        self.write_blob(media_type, index.to_string().as_bytes())
    }

    /// Source: BuildKit docs/attestations/attestation-storage.md.
    fn write_attestation(&self, subject: &str) -> Descriptor {
        let statement =
            json!({ "_type": "https://in-toto.io/Statement/v0.1", "subject": [], "predicate": {} });
        let statement = statement.to_string();
        let layer = self.write_blob("application/vnd.in-toto+json", statement.as_bytes());
        let config = json!({
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
        });
        let config = self.write_blob(crate::Family::Oci.config(), config.to_string().as_bytes());
        let media_type = crate::Family::Oci.manifest();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.json(),
            "layers": [layer.json()],
        });
        let descriptor = self.write_blob(media_type, manifest.to_string().as_bytes());
        Descriptor {
            platform: Some(Platform::new("unknown", "unknown", None)),
            ..descriptor
        }
        .with_annotation("vnd.docker.reference.digest", subject)
        .with_annotation("vnd.docker.reference.type", "attestation-manifest")
    }

    fn entries(&self) -> Vec<Value> {
        let index = fs::read(self.dir.join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).expect("index.json was written here");
        index["manifests"].as_array().cloned().unwrap_or_default()
    }

    fn write_entries(&self, entries: &[Value]) {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": crate::Family::Oci.index(),
            "manifests": entries,
        });
        fs::write(self.dir.join("index.json"), format!("{index}\n")).unwrap();
    }
}
