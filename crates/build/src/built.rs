use std::collections::BTreeMap;

use onlay_base::{BaseImage, ImageSource};
use onlay_image::{FinishedImage, Image, ImageError, IndexError, assemble_index, common_family};
use onlay_oci::{Descriptor, Document, Platform, Timestamp};
use onlay_store::Blob;

use crate::commit::MadeLayer;
use crate::{BuildEvent, BuildOptions, Events};

/// A finished image for every wanted platform, and the index over them if there are several.
#[derive(Clone)]
pub struct Built {
    /// What gets the tag: a manifest for one platform, an index for several.
    pub root: Document,
    /// The images, in the base's order.
    pub images: Vec<BuiltImage>,
    /// Platforms of the base that were left out, as the options allow, and why.
    pub left_out: Vec<(Platform, String)>,
}

/// The finished image of one platform.
#[derive(Clone)]
pub struct BuiltImage {
    /// What it is for.
    pub platform: Platform,
    /// Its manifest, configuration and layers.
    pub image: FinishedImage,
    /// What its new history entries say.
    pub created: Timestamp,
    /// Where the base's layers are; none for an image from nothing.
    pub source: Option<ImageSource>,
    /// The layers that were made, with their bytes, base layer first.
    pub made: Vec<(Descriptor, Blob)>,
    /// Whether it is the base's as it is.
    pub is_kept: bool,
}

/// The image of one platform when its last line was carried out.
pub(crate) struct Edited {
    pub(crate) platform: Platform,
    pub(crate) base: Option<(ImageSource, BaseImage)>,
    pub(crate) image: Image,
    pub(crate) made: Vec<MadeLayer>,
    /// Whether it stays as it is, whatever becomes of the others.
    pub(crate) is_kept: bool,
}

impl Built {
    /// Ends the edits: one family for all, a manifest for one image, an index over several.
    pub(crate) fn assemble(
        edited: Vec<Edited>,
        left_out: Vec<(Platform, String)>,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<Self, AssembleError> {
        // What stays as it is may be of the other family: so are Docker's official images for Windows.
        let is_annotated = !options.manifest_annotations.is_empty() || !options.index_annotations.is_empty();
        let family = common_family(edited.iter().map(|edited| &edited.image), is_annotated);
        let no_annotations = BTreeMap::new();
        let mut images = Vec::new();
        for Edited {
            platform,
            base,
            image,
            made,
            is_kept,
        } in edited
        {
            let created = image.created();
            let image = match is_kept {
                true => image.finish(None, &no_annotations)?,
                false => image.finish(Some(family), &options.manifest_annotations)?,
            };
            if let Some(reason) = &image.converted {
                events.send(BuildEvent::Warning(format!(
                    "the image for {platform} becomes {family}: {reason}"
                )));
            }
            let made = made.into_iter().map(MadeLayer::described).collect();
            images.push(BuiltImage {
                platform,
                image,
                created,
                source: base.map(|(source, _)| source),
                made,
                is_kept,
            });
        }
        let finished: Vec<(Platform, FinishedImage)> = images
            .iter()
            .map(|built| (built.platform.clone(), built.image.clone()))
            .collect();
        let of_index = match options.exceptions.index_annotations_need_no_index && finished.len() == 1 {
            true => &no_annotations,
            false => &options.index_annotations,
        };
        let root = assemble_index(&finished, family, of_index)?;
        Ok(Self {
            root,
            images,
            left_out,
        })
    }
}

/// Why finished images could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// One of them could not be finished.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// They do not make an index.
    #[error(transparent)]
    Index(#[from] IndexError),
}
