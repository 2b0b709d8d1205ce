//! An image as a value: platform, layers, configuration.

use crate::layer::{Compression, Layer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::fmt;

/// Which family of media types an image is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `application/vnd.oci.image.*`.
    Oci,
    /// `application/vnd.docker.*`, schema 2. Has no zstd layers.
    Docker,
}

impl Family {
    pub(crate) fn manifest(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    pub(crate) fn index(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.index.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    pub(crate) fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    /// The media type of a layer blob; `None` where the family has none for this compression.
    pub(crate) fn layer(self, compression: Compression) -> Option<&'static str> {
        use Compression::{Gzip, MultiMemberGzip, Plain, Zstd};
        match (self, compression) {
            (Self::Oci, Gzip | MultiMemberGzip) => Some("application/vnd.oci.image.layer.v1.tar+gzip"),
            (Self::Oci, Zstd) => Some("application/vnd.oci.image.layer.v1.tar+zstd"),
            (Self::Oci, Plain) => Some("application/vnd.oci.image.layer.v1.tar"),
            (Self::Docker, Gzip | MultiMemberGzip) => {
                Some("application/vnd.docker.image.rootfs.diff.tar.gzip")
            }
            (Self::Docker, Plain) => Some("application/vnd.docker.image.rootfs.diff.tar"),
            (Self::Docker, Zstd) => None,
        }
    }
}

/// The platform of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`, `windows`, `unknown`.
    pub os: String,
    /// Go's name of the processor: `amd64`, `arm64`.
    pub architecture: String,
    /// `v8` and the like.
    pub variant: Option<String>,
}

impl Platform {
    /// Makes a platform of Go's names.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// `linux/amd64`.
    pub fn amd64() -> Self {
        Self::new("linux", "amd64", None)
    }

    /// `linux/arm64/v8`.
    pub fn arm64() -> Self {
        Self::new("linux", "arm64", Some("v8"))
    }

    pub(crate) fn json(&self) -> Value {
        let mut platform = json!({ "architecture": self.architecture, "os": self.os });
        if let Some(variant) = &self.variant {
            platform["variant"] = json!(variant);
        }
        platform
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// An image of one platform.
///
/// The configuration document is `architecture`, `os`, `variant`, `created`, `history`, `rootfs`, then the keys that
/// were given, in their order. JSON that is handed in stays as it is written, byte for byte: numbers like `1.50`
/// and odd spacing are what some tests are about.
#[derive(Debug, Clone)]
pub struct Image {
    platform: Platform,
    family: Family,
    created: String,
    layers: Vec<Layer>,
    history: Vec<Value>,
    document: Vec<(String, Box<RawValue>)>,
}

impl Image {
    /// Makes an OCI image without layers and without a `config`.
    pub fn new(platform: Platform) -> Self {
        Self {
            platform,
            family: Family::Oci,
            created: "2023-08-01T00:00:00Z".to_owned(),
            layers: Vec::new(),
            history: Vec::new(),
            document: Vec::new(),
        }
    }

    /// Chooses the family of media types.
    pub fn with_family(self, family: Family) -> Self {
        Self { family, ..self }
    }

    /// Sets `created` of the image, and of the history entries that are added from now on.
    pub fn with_created(self, created: &str) -> Self {
        Self {
            created: created.to_owned(),
            ..self
        }
    }

    /// Puts a layer on top, with its history entry.
    pub fn layer(mut self, layer: Layer) -> Self {
        self.history
            .push(json!({ "created": self.created, "created_by": layer.created_by() }));
        self.layers.push(layer);
        self
    }

    /// Adds a history entry that made no layer.
    pub fn empty_layer(mut self, created_by: &str) -> Self {
        let entry = json!({ "created": self.created, "created_by": created_by, "empty_layer": true });
        self.history.push(entry);
        self
    }

    /// Sets the runtime part of the configuration: JSON text, an object.
    pub fn with_config(self, json: &str) -> Self {
        self.with_key("config", json)
    }

    /// Adds a key to the configuration document: JSON text, any value. A key that is computed otherwise
    /// (`history`, `rootfs`, ...) takes this value instead, a wrong one too.
    pub fn with_key(mut self, key: &str, json: &str) -> Self {
        let value = RawValue::from_string(json.to_owned());
        self.document.push((
            key.to_owned(),
            value.unwrap_or_else(|error| panic!("`{key}`: {error}: {json}")),
        ));
        self
    }

    /// The platform.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The family of media types.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The layers, base layer first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The bytes of the configuration.
    pub fn configuration(&self) -> Vec<u8> {
        let diff_ids: Vec<String> = self.layers.iter().map(Layer::diff_id).collect();
        let computed = |key: &str, value: Value| (key.to_owned(), value.to_string());
        let given = |key: &str| self.document.iter().any(|(given, _)| given == key);
        let mut members = vec![
            computed("architecture", json!(self.platform.architecture)),
            computed("os", json!(self.platform.os)),
        ];
        members.extend(
            self.platform
                .variant
                .iter()
                .map(|variant| computed("variant", json!(variant))),
        );
        members.push(computed("created", json!(self.created)));
        members.push(computed("history", json!(self.history)));
        members.push(computed(
            "rootfs",
            json!({ "type": "layers", "diff_ids": diff_ids }),
        ));
        members.retain(|(key, _)| !given(key));
        members.extend(
            self.document
                .iter()
                .map(|(key, value)| (key.clone(), value.get().to_owned())),
        );
        let members: Vec<String> = members
            .iter()
            .map(|(key, value)| format!("{}:{value}", json!(key)))
            .collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    }
}
