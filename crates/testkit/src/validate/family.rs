//! The two families of media types.

/// The media types of a family, written down once more: the makers' own table could be wrong.
pub(super) struct MediaTypes {
    pub(super) index: &'static str,
    pub(super) manifest: &'static str,
    pub(super) config: &'static str,
    pub(super) layers: &'static [&'static str],
}

const FAMILIES: [MediaTypes; 2] = [
    MediaTypes {
        index: "application/vnd.oci.image.index.v1+json",
        manifest: "application/vnd.oci.image.manifest.v1+json",
        config: "application/vnd.oci.image.config.v1+json",
        layers: &[
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar+zstd",
        ],
    },
    MediaTypes {
        index: "application/vnd.docker.distribution.manifest.list.v2+json",
        manifest: "application/vnd.docker.distribution.manifest.v2+json",
        config: "application/vnd.docker.container.image.v1+json",
        layers: &[
            "application/vnd.docker.image.rootfs.diff.tar",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ],
    },
];

impl MediaTypes {
    /// The family that a root of this media type begins.
    pub(super) fn of(media_type: &str) -> Option<&'static Self> {
        FAMILIES
            .iter()
            .find(|family| [family.index, family.manifest].contains(&media_type))
    }
}
