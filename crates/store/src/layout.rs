use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use onlay_oci::{Descriptor, Digest, RawObject, Tag};

use crate::error::StoreError;
use crate::verify::VerifyingReader;

/// An OCI image layout: a directory of blobs by digest, and an index of the images that have a tag.
///
/// Blobs are written under another name and renamed once they are whole and verified, and the index is changed under a
/// lock, so readers and other writers, also of other processes, see nothing half. What a killed run leaves are
/// temporary files, which nothing refers to.
///
/// Source: image-spec v1.1 image-layout.md.
#[derive(Clone, Debug)]
pub struct Layout {
    directory: PathBuf,
}

const MARKER: &str = "oci-layout";
const MARKER_CONTENT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &str = "index.json";
/// Where an image's tag stands.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl Layout {
    /// Opens a layout that is there.
    ///
    /// # Errors
    /// The directory is missing, or no layout of version 1.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let marker = directory.join(MARKER);
        let bytes = fs::read(&marker).map_err(|source| StoreError::Io { source })?;
        let version = RawObject::parse(&bytes)
            .ok()
            .and_then(|marker| marker.get::<String>("imageLayoutVersion").ok()?);
        match version {
            Some(version) if version.starts_with("1.") => Ok(Self {
                directory: directory.to_owned(),
            }),
            _ => Err(StoreError::NotALayout {
                path: directory.to_owned(),
            }),
        }
    }

    /// Opens a layout, or makes an empty one.
    ///
    /// # Errors
    /// The directory cannot be written, or holds something else.
    pub fn create(directory: &Path) -> Result<Self, StoreError> {
        if directory.join(MARKER).exists() {
            return Self::open(directory);
        }
        let layout = Self {
            directory: directory.to_owned(),
        };
        fs::create_dir_all(directory.join("blobs").join("sha256"))?;
        write_atomically(directory, MARKER, MARKER_CONTENT.as_bytes())?;
        Ok(layout)
    }

    /// The images that have an entry in the index, with their tags.
    ///
    /// # Errors
    /// The index is missing or malformed.
    pub fn images(&self) -> Result<Vec<Descriptor>, StoreError> {
        Ok(self
            .index()?
            .get("manifests")
            .map_err(|source| self.malformed(source))?
            .unwrap_or_default())
    }

    /// Tells whether a blob of this size is there. Its bytes are checked whenever it is read.
    pub fn has_blob(&self, descriptor: &Descriptor) -> bool {
        std::fs::metadata(self.blob_path(&descriptor.digest)).is_ok_and(|blob| blob.len() == descriptor.size)
    }

    /// Opens a blob; size and digest are checked when its end is read.
    ///
    /// # Errors
    /// It is not there.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        let file = fs::File::open(self.blob_path(&descriptor.digest))?;
        Ok(Box::new(VerifyingReader::new(file, descriptor)))
    }

    /// Writes a blob, unless it is there.
    ///
    /// # Errors
    /// The bytes are not those that the descriptor names, or the disk failed; nothing is left then.
    pub fn write_blob(&self, descriptor: &Descriptor, reader: impl Read) -> Result<(), StoreError> {
        if self.has_blob(descriptor) {
            return Ok(());
        }
        let path = self.blob_path(&descriptor.digest);
        let directory = path.parent().unwrap_or(&self.directory);
        fs::create_dir_all(directory)?;
        let mut file = temporary_file(directory)?;
        let mut reader = VerifyingReader::new(reader, descriptor);
        std::io::copy(&mut reader, &mut file).map_err(|source| StoreError::Blob {
            digest: descriptor.digest.clone(),
            source,
        })?;
        persist(file, &path)
    }

    /// Gives an image a tag, in place of the image that had it; tells whether it had it already.
    ///
    /// # Errors
    /// The index is malformed, or the disk failed.
    pub fn tag(&self, image: &Descriptor, tag: &Tag) -> Result<bool, StoreError> {
        let _lock = self.lock()?;
        let mut index = if self.directory.join(INDEX).exists() {
            self.index()?
        } else {
            empty_index()?
        };
        let mut images: Vec<Descriptor> = index
            .get("manifests")
            .map_err(|source| self.malformed(source))?
            .unwrap_or_default();
        let is_tagged = |entry: &Descriptor| {
            entry
                .annotations
                .get(REF_NAME)
                .is_some_and(|name| name == tag.as_str())
        };
        let unchanged = images
            .iter()
            .any(|entry| is_tagged(entry) && entry.digest == image.digest);
        if unchanged {
            return Ok(true);
        }
        let mut entry = image.clone();
        entry.annotations.insert(REF_NAME.to_owned(), tag.to_string());
        match images.iter().position(is_tagged) {
            Some(position) => images[position] = entry,
            None => images.push(entry),
        }
        index
            .set("manifests", &images, &[])
            .map_err(|source| self.malformed(source))?;
        write_atomically(&self.directory, INDEX, &index.to_bytes())?;
        Ok(false)
    }

    /// Every blob of the layout, by digest.
    pub(crate) fn blobs(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut blobs = Vec::new();
        for algorithm in fs::read_dir(self.directory.join("blobs"))? {
            for blob in fs::read_dir(algorithm?.path())? {
                let path = blob?.path();
                let temporary = path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with('.'));
                if !temporary {
                    blobs.push(path);
                }
            }
        }
        blobs.sort();
        Ok(blobs)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory
            .join("blobs")
            .join(digest.algorithm().to_string())
            .join(digest.encoded())
    }

    fn index(&self) -> Result<RawObject, StoreError> {
        let bytes = fs::read(self.directory.join(INDEX))?;
        RawObject::parse(&bytes).map_err(|source| self.malformed(source))
    }

    fn malformed(&self, source: onlay_oci::JsonError) -> StoreError {
        StoreError::Index {
            path: self.directory.join(INDEX),
            source,
        }
    }

    /// Held until dropped; the marker file is always there and never replaced by us.
    fn lock(&self) -> Result<std::fs::File, StoreError> {
        let marker = fs::File::open(self.directory.join(MARKER))?.into_parts().0;
        marker.lock()?;
        Ok(marker)
    }
}

fn empty_index() -> Result<RawObject, StoreError> {
    let media_type = "application/vnd.oci.image.index.v1+json";
    let text = format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[]}}"#);
    RawObject::parse(text.as_bytes()).map_err(|source| StoreError::Index {
        path: INDEX.into(),
        source,
    })
}

/// A hidden file beside its later place, so that the rename stays within one file system.
pub(crate) fn temporary_file(directory: &Path) -> Result<tempfile::NamedTempFile, StoreError> {
    tempfile::Builder::new()
        .prefix(".onlay-")
        .tempfile_in(directory)
        .map_err(|source| StoreError::Temporary {
            directory: directory.to_owned(),
            source,
        })
}

/// Gives a finished file its name, readable for everybody as far as the umask lets.
pub(crate) fn persist(file: tempfile::NamedTempFile, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Write {
        path: path.to_owned(),
        source,
    };
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))
        .map_err(failed)?;
    file.as_file().sync_data().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

pub(crate) fn write_atomically(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = temporary_file(directory)?;
    let path = directory.join(name);
    file.write_all(bytes).map_err(|source| StoreError::Write {
        path: path.clone(),
        source,
    })?;
    persist(file, &path)
}
