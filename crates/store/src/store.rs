use std::io::Read;
use std::path::{Path, PathBuf};

use onlay_oci::{Descriptor, Document, DocumentError, MAX_MANIFEST_SIZE, Tag};

use crate::layout::REF_NAME;
use crate::{DockerArchive, Layout, Location, OciArchive, StoreError};

/// A place on disk that images are read from.
#[derive(Debug)]
pub enum Store {
    /// An OCI layout.
    Layout(Layout),
    /// An OCI layout in a tar.
    OciArchive(OciArchive),
    /// What `docker save` writes.
    DockerArchive(Box<DockerArchive>),
}

impl Store {
    /// Opens a place and finds the image that is meant: by its tag; without one the only image, else `latest`.
    ///
    /// # Errors
    /// The place is missing or damaged, or it is not clear which image is meant.
    pub fn open(location: &Location) -> Result<(Self, Descriptor), StoreError> {
        match location {
            Location::Layout { directory, tag } => {
                let layout = Layout::open(directory)?;
                let image = choose(layout.images()?, tag.as_ref(), directory)?;
                Ok((Self::Layout(layout), image))
            }
            Location::OciArchive { file, tag } => {
                let archive = OciArchive::open(file)?;
                let image = choose(archive.images()?, tag.as_ref(), file)?;
                Ok((Self::OciArchive(archive), image))
            }
            Location::DockerArchive { file, name } => {
                let archive = DockerArchive::open(file, name.as_ref())?;
                let image = archive.image();
                Ok((Self::DockerArchive(Box::new(archive)), image))
            }
            Location::Registry(reference) => Err(StoreError::NotOnDisk {
                name: reference.to_string(),
            }),
        }
    }

    /// The images that it lists, with their tags.
    ///
    /// # Errors
    /// The list is missing or malformed.
    pub fn images(&self) -> Result<Vec<Descriptor>, StoreError> {
        match self {
            Self::Layout(layout) => layout.images(),
            Self::OciArchive(archive) => archive.images(),
            Self::DockerArchive(archive) => Ok(vec![archive.image()]),
        }
    }

    /// Finds what has a tag.
    ///
    /// # Errors
    /// The list of images is missing or malformed.
    pub fn tagged(&self, tag: &Tag) -> Result<Option<Descriptor>, StoreError> {
        let has_tag = |image: &Descriptor| image.tag().as_ref() == Some(tag);
        Ok(self.images()?.into_iter().find(has_tag))
    }

    /// Opens a blob; size and digest are checked when its end is read.
    ///
    /// # Errors
    /// It is not there.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        match self {
            Self::Layout(layout) => layout.open_blob(descriptor),
            Self::OciArchive(archive) => archive.open_blob(descriptor),
            Self::DockerArchive(archive) => archive.open_blob(descriptor),
        }
    }

    /// Reads all of a small blob, such as a configuration.
    ///
    /// # Errors
    /// It is not there, not what the descriptor says, or has more than 64 MiB.
    pub fn read_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
        read_whole(descriptor, self.open_blob(descriptor)?)
    }

    /// Reads a manifest or index.
    ///
    /// # Errors
    /// It is not there, damaged, too large or no manifest.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Document, StoreError> {
        read_document(descriptor, self.open_blob(descriptor)?)
    }
}

/// The largest blob or member that is read into memory, in bytes: some times the largest configurations seen, which
/// carry BuildKit's inline cache, and far below what a small task has.
pub(crate) const MAX_IN_MEMORY: u64 = 64 * 1024 * 1024;

/// Reads a manifest or index through a reader that verifies it.
pub(crate) fn read_document(descriptor: &Descriptor, reader: impl Read) -> Result<Document, StoreError> {
    let malformed = |source| StoreError::Document {
        digest: descriptor.digest.clone(),
        source,
    };
    if descriptor.size > MAX_MANIFEST_SIZE {
        let size = descriptor.size;
        return Err(malformed(DocumentError::TooLarge { size }));
    }
    let bytes = read_whole(descriptor, reader)?;
    Document::parse(bytes, Some(&descriptor.media_type)).map_err(malformed)
}

/// Reads all of a small blob through a reader that verifies it.
pub(crate) fn read_whole(descriptor: &Descriptor, mut reader: impl Read) -> Result<Vec<u8>, StoreError> {
    if descriptor.size > MAX_IN_MEMORY {
        return Err(StoreError::TooLarge {
            name: descriptor.digest.to_string(),
            size: descriptor.size,
            max: MAX_IN_MEMORY,
        });
    }
    let mut bytes = Vec::new();
    reader
        .read_to_end(&mut bytes)
        .map_err(|source| StoreError::Blob {
            digest: descriptor.digest.clone(),
            source,
        })?;
    Ok(bytes)
}

/// Signatures and lists of referrers lie beside the images that they belong to; only who names one means it.
fn choose(mut images: Vec<Descriptor>, tag: Option<&Tag>, path: &Path) -> Result<Descriptor, StoreError> {
    if tag.is_none() {
        images.retain(|image| !image.tag().is_some_and(|tag| tag.is_of_a_digest()));
    }
    let name = |image: &Descriptor| image.annotations.get(REF_NAME).cloned();
    let tags = || {
        let tags: Vec<String> = images
            .iter()
            .filter_map(name)
            .map(|tag| format!("`{tag}`"))
            .collect();
        if tags.is_empty() {
            "no tags".to_owned()
        } else {
            tags.join(", ")
        }
    };
    let tagged = |wanted: &str| {
        images
            .iter()
            .find(|image| name(image).as_deref() == Some(wanted))
            .cloned()
    };
    let path = || PathBuf::from(path);
    match (tag, &images[..]) {
        (_, []) => Err(StoreError::Empty { path: path() }),
        (Some(tag), _) => tagged(tag.as_str()).ok_or_else(|| StoreError::NoTag {
            path: path(),
            tag: tag.to_string(),
            tags: tags(),
        }),
        (None, [only]) => Ok(only.clone()),
        (None, _) => tagged("latest").ok_or_else(|| StoreError::Ambiguous {
            path: path(),
            tags: tags(),
        }),
    }
}
