use std::collections::BTreeMap;

use onlay_oci::{Descriptor, Document, Family, Index, JsonError, Platform};

use crate::{FinishedImage, Image};

/// The one family that all images of an index can have: Docker's only if every one of them can stay there.
pub fn common_family<'a>(images: impl IntoIterator<Item = &'a Image>, is_annotated: bool) -> Family {
    let mut families = images.into_iter().map(Image::family);
    if !is_annotated && families.all(|family| family == Family::Docker) {
        Family::Docker
    } else {
        Family::Oci
    }
}

/// Puts images together: one is its own manifest, several are an index in the order given.
///
/// The platforms are those of the base's index, which says more than a configuration does (`os.version`), as they stand
/// there. `annotations` are the index's own. The index is of the family that is given, and so are the images; only one that
/// is its base byte for byte may be of the other, as in Docker's official images, where those for Windows are.
///
/// # Errors
/// No image, images of both families, or annotations where there is no index or the family has none.
pub fn assemble_index(
    images: &[(Platform, FinishedImage)],
    family: Family,
    annotations: &BTreeMap<String, String>,
) -> Result<Document, IndexError> {
    match images {
        [] => return Err(IndexError::NoImages),
        [(_, _)] if !annotations.is_empty() => return Err(IndexError::AnnotationsOfOne),
        [(_, image)] => return Ok(Document::Manifest(image.manifest.clone())),
        _ => {}
    }
    if family == Family::Docker && !annotations.is_empty() {
        return Err(IndexError::AnnotationsOfDocker);
    }
    for (platform, image) in images {
        let found = image.manifest.family();
        if found != family && !image.is_base {
            let platform = platform.clone();
            return Err(IndexError::MixedFamilies {
                platform,
                expected: family,
                found,
            });
        }
    }
    let manifests = images
        .iter()
        .map(|(platform, image)| describe(platform, image))
        .collect();
    Ok(Document::Index(Index::assemble(family, manifests, annotations)?))
}

fn describe(platform: &Platform, image: &FinishedImage) -> Descriptor {
    Descriptor {
        platform: Some(platform.clone()),
        ..image.manifest.descriptor()
    }
}

/// Why images cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// There is none.
    #[error("there is no image to put into an index")]
    NoImages,
    /// Docker's and OCI's media types in one index, which registries refuse or convert.
    #[error("image for `{platform}` uses media types of {found}, expected {expected} as the index has")]
    MixedFamilies {
        /// The image that differs.
        platform: Platform,
        /// The index's family.
        expected: Family,
        /// Its own.
        found: Family,
    },
    /// Annotations of an index for a single image.
    #[error("annotations of an index need several platforms, found one")]
    AnnotationsOfOne,
    /// Annotations for Docker's manifest list.
    #[error("annotations of an index need OCI's media types, found Docker's")]
    AnnotationsOfDocker,
    /// The index cannot be written.
    #[error("index cannot be written")]
    Json(#[from] JsonError),
}
