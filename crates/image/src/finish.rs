use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use onlay_oci::{Compression, Descriptor, Family, Manifest, MediaType, Platform};

use crate::{Image, ImageError};

/// An image that is complete but for the bytes of its layers: what is pushed or written.
#[derive(Clone, Debug)]
pub struct FinishedImage {
    /// The manifest.
    pub manifest: Manifest,
    /// The bytes of the configuration blob.
    pub configuration: Arc<[u8]>,
    /// The platform that the configuration names, normalised.
    pub platform: Platform,
    /// Why the image no longer uses its base's media types, if it does not.
    pub converted: Option<ConversionReason>,
    /// Whether it is its base, byte for byte.
    pub is_base: bool,
}

impl FinishedImage {
    /// Describes the configuration blob.
    pub fn configuration_descriptor(&self) -> &Descriptor {
        self.manifest.config()
    }

    /// The layers as the manifest has them, base layer first.
    pub fn layers(&self) -> &[Descriptor] {
        self.manifest.layers()
    }
}

/// Why an image was turned from one family of media types into the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversionReason {
    /// A layer's media type, zstd as a rule, exists in OCI's family only.
    LayerType(MediaType),
    /// Annotations exist in OCI's family only.
    Annotations,
    /// The caller asked for it, perhaps because another platform of the same index needs it.
    Requested,
}

impl fmt::Display for ConversionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LayerType(media_type) => write!(f, "a layer has media type `{media_type}`"),
            Self::Annotations => f.write_str("there are annotations"),
            Self::Requested => f.write_str("as requested"),
        }
    }
}

impl Image {
    /// The family that the image needs: its base's, unless a layer exists in OCI's only. Scratch is OCI.
    pub fn family(&self) -> Family {
        match self.reason_for_oci(false) {
            Some(_) => Family::Oci,
            None => self.base_family(),
        }
    }

    /// Ends the edits and writes the configuration and the manifest.
    ///
    /// All media types are of one family: `family` if it is given, else the one that [`family`](Self::family) tells,
    /// and OCI where there are annotations. An image without edits, annotations or conversion keeps its base's manifest
    /// and configuration, byte for byte; in any other, the base's annotations are gone.
    ///
    /// # Errors
    /// Docker's family is asked for, and a layer or annotations exist in OCI's only.
    pub fn finish(
        self,
        family: Option<Family>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<FinishedImage, ImageError> {
        let platform = self.platform()?;
        let configuration = self.configuration.to_bytes()?;
        if let Some(base) = self.untouched(family, annotations) {
            return Ok(FinishedImage {
                manifest: base.clone(),
                configuration,
                platform,
                converted: None,
                is_base: true,
            });
        }
        let (family, converted) = self.choose_family(family, !annotations.is_empty())?;
        let descriptor = Descriptor::of(MediaType::Config(family), &configuration);
        let manifest = Manifest::assemble(self.base.as_ref(), family, descriptor, self.layers, annotations)
            .map_err(|source| ImageError::Manifest { family, source })?;
        Ok(FinishedImage {
            manifest,
            configuration,
            platform,
            converted,
            is_base: false,
        })
    }

    /// The base's manifest where it can stay as it is.
    fn untouched(&self, family: Option<Family>, annotations: &BTreeMap<String, String>) -> Option<&Manifest> {
        let base = self.base.as_ref()?;
        let same_family = family.is_none_or(|family| family == base.family());
        (!self.is_edited && annotations.is_empty() && same_family).then_some(base)
    }

    fn choose_family(
        &self,
        requested: Option<Family>,
        is_annotated: bool,
    ) -> Result<(Family, Option<ConversionReason>), ImageError> {
        let reason = self.reason_for_oci(is_annotated);
        let family = match (requested, reason.clone()) {
            (Some(Family::Docker), Some(reason)) => return Err(ImageError::NeedsOci { reason }),
            (Some(family), _) => family,
            (None, Some(_)) => Family::Oci,
            (None, None) => self.base_family(),
        };
        let is_converted = family != self.base_family();
        Ok((
            family,
            is_converted.then(|| reason.unwrap_or(ConversionReason::Requested)),
        ))
    }

    /// What in the image Docker's family has no media type for.
    pub(crate) fn reason_for_oci(&self, is_annotated: bool) -> Option<ConversionReason> {
        let layer = self.layers.iter().find(|layer| is_oci_only(&layer.media_type));
        layer
            .map(|layer| ConversionReason::LayerType(layer.media_type.clone()))
            .or(is_annotated.then_some(ConversionReason::Annotations))
    }

    fn base_family(&self) -> Family {
        self.base.as_ref().map_or(Family::Oci, Manifest::family)
    }
}

/// Docker names no type for zstd, and for foreign layers only one, for gzip.
fn is_oci_only(media_type: &MediaType) -> bool {
    matches!(
        media_type,
        MediaType::Layer(_, Compression::Zstd)
            | MediaType::ForeignLayer(_, Compression::Zstd | Compression::None)
    )
}
