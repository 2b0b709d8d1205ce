//! What a validation found out, for assertions.

use crate::image::Platform;

/// What was found out about a valid image or index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The digest of the manifest or index that the name stands for.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// The image, or the images of the index in its order, without attestations.
    pub images: Vec<ImageReport>,
}

impl Report {
    /// The image of a platform.
    ///
    /// # Panics
    /// When there is none.
    pub fn image(&self, platform: &Platform) -> &ImageReport {
        let found = self.images.iter().find(|image| image.platform == *platform);
        found.unwrap_or_else(|| panic!("no image for {platform} in {}", self.digest))
    }
}

/// What was found out about a valid image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReport {
    /// The digest of the manifest.
    pub digest: String,
    /// The platform in the configuration.
    pub platform: Platform,
    /// The digest of the configuration.
    pub config_digest: String,
    /// The configuration's bytes, as JSON.
    pub config: serde_json::Value,
    /// The layers, base layer first.
    pub layers: Vec<LayerReport>,
}

/// What was found out about a valid layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerReport {
    /// The media type in the manifest.
    pub media_type: String,
    /// The digest as stored.
    pub digest: String,
    /// The size in bytes as stored.
    pub size: u64,
    /// The digest of the uncompressed tar.
    pub diff_id: String,
    /// The names of the tar's entries, in order, as they are written.
    pub names: Vec<String>,
}
