use std::fmt;

use serde::{Deserialize, Serialize};

/// The media type of a manifest, configuration or layer.
///
/// Known types have a variant; all others are carried as they are.
///
/// Source: image-spec v1.1 media-types.md; distribution "Image Manifest Version 2, Schema 2".
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum MediaType {
    /// An image manifest.
    Manifest(Family),
    /// An image index; Docker calls its own a manifest list.
    Index(Family),
    /// An image configuration.
    Config(Family),
    /// A layer, a tar of changes. Docker's family has no zstd layer, so `Layer(Docker, Zstd)` is never parsed.
    Layer(Family, Compression),
    /// A layer that must not be distributed: its bytes are fetched from the descriptor's URLs, if at all.
    ForeignLayer(Family, Compression),
    /// Docker's schema 1, signed or not, which nothing has written since 2017.
    Schema1 {
        /// Whether the document carries a signature.
        signed: bool,
    },
    /// Anything else: artifacts, attestations, encrypted layers.
    Other(String),
}

/// Which specification's media types an image uses. The two never mix in one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Docker image manifest version 2, schema 2.
    Docker,
    /// OCI image specification v1.
    Oci,
}

/// How the tar of a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878; OCI only.
    Zstd,
}

/// Every known media type with its text: the one table that parsing, printing and conversion share.
const TABLE: &[(MediaType, &str)] = {
    use Compression::{Gzip, None, Zstd};
    use Family::{Docker, Oci};
    use MediaType::{Config, ForeignLayer, Index, Layer, Manifest, Schema1};
    &[
        (Manifest(Oci), "application/vnd.oci.image.manifest.v1+json"),
        (
            Manifest(Docker),
            "application/vnd.docker.distribution.manifest.v2+json",
        ),
        (Index(Oci), "application/vnd.oci.image.index.v1+json"),
        (
            Index(Docker),
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ),
        (Config(Oci), "application/vnd.oci.image.config.v1+json"),
        (Config(Docker), "application/vnd.docker.container.image.v1+json"),
        (Layer(Oci, None), "application/vnd.oci.image.layer.v1.tar"),
        (Layer(Oci, Gzip), "application/vnd.oci.image.layer.v1.tar+gzip"),
        (Layer(Oci, Zstd), "application/vnd.oci.image.layer.v1.tar+zstd"),
        (
            Layer(Docker, None),
            "application/vnd.docker.image.rootfs.diff.tar",
        ),
        (
            Layer(Docker, Gzip),
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ),
        (
            ForeignLayer(Oci, None),
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
        ),
        (
            ForeignLayer(Oci, Gzip),
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        ),
        (
            ForeignLayer(Oci, Zstd),
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        ),
        (
            ForeignLayer(Docker, Gzip),
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ),
        (
            Schema1 { signed: true },
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
        ),
        (
            Schema1 { signed: false },
            "application/vnd.docker.distribution.manifest.v1+json",
        ),
    ]
};

impl MediaType {
    /// Gives the text that stands in documents and headers.
    pub fn as_str(&self) -> &str {
        if let Self::Other(text) = self {
            return text;
        }
        // A combination that no specification names (Docker with zstd) has no text of its own; its OCI twin says what
        // the bytes are.
        TABLE
            .iter()
            .find(|(known, _)| known == self)
            .map_or_else(|| self.oci_text(), |(_, text)| text)
    }

    fn oci_text(&self) -> &'static str {
        let twin = self.clone().into_family(Family::Oci);
        TABLE
            .iter()
            .find(|(known, _)| *known == twin)
            .map_or("application/octet-stream", |(_, text)| text)
    }

    /// Tells which family this type belongs to; artifacts and schema 1 belong to none.
    pub fn family(&self) -> Option<Family> {
        match self {
            Self::Manifest(family) | Self::Index(family) | Self::Config(family) => Some(*family),
            Self::Layer(family, _) | Self::ForeignLayer(family, _) => Some(*family),
            Self::Schema1 { .. } | Self::Other(_) => None,
        }
    }

    /// Gives the same kind of thing in the other family; what belongs to no family stays as it is.
    pub fn into_family(self, family: Family) -> Self {
        match self {
            Self::Manifest(_) => Self::Manifest(family),
            Self::Index(_) => Self::Index(family),
            Self::Config(_) => Self::Config(family),
            Self::Layer(_, compression) => Self::Layer(family, compression),
            Self::ForeignLayer(_, compression) => Self::ForeignLayer(family, compression),
            other @ (Self::Schema1 { .. } | Self::Other(_)) => other,
        }
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        // Registries add parameters such as `; charset=utf-8` to Content-Type; they are not part of the type.
        let essence = text.split(';').next().unwrap_or_default().trim();
        TABLE
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(essence))
            .map_or_else(|| Self::Other(text.clone()), |(media_type, _)| media_type.clone())
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.as_str().to_owned()
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "Docker schema 2",
            Self::Oci => "OCI",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_type_round_trips() {
        for (media_type, text) in TABLE {
            assert_eq!(MediaType::from(*text), *media_type);
            assert_eq!(media_type.as_str(), *text);
        }
    }

    #[test]
    fn unknown_types_are_carried() {
        let text = "application/vnd.in-toto+json";
        assert_eq!(MediaType::from(text), MediaType::Other(text.to_owned()));
        assert_eq!(MediaType::from(text).as_str(), text);
    }

    #[test]
    fn families_map_both_ways() {
        let docker = MediaType::Layer(Family::Docker, Compression::Gzip);
        let oci = docker.clone().into_family(Family::Oci);
        assert_eq!(oci.as_str(), "application/vnd.oci.image.layer.v1.tar+gzip");
        assert_eq!(oci.into_family(Family::Docker), docker);
    }
}
