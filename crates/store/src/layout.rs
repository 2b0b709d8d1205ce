use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use onlay_oci::{Descriptor, Digest, Document, MediaType, RawObject, Tag};
use serde::Serialize;

use crate::error::StoreError;
use crate::store::read_document;
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
const EMPTY_INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
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
        if !directory.join(MARKER).exists() {
            refuse_foreign_content(directory)?;
            fs::create_dir_all(directory.join("blobs").join("sha256"))?;
            write_new(directory, MARKER, MARKER_CONTENT.as_bytes())?;
        }
        let layout = Self::open(directory)?;
        write_new(directory, INDEX, EMPTY_INDEX.as_bytes())?;
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

    /// Tells whether a blob is there: of a large one by its size, since its bytes are checked whenever it is read; of a
    /// small one, such as a manifest, by its bytes, which are as good as read.
    pub fn has_blob(&self, descriptor: &Descriptor) -> bool {
        let path = self.blob_path(&descriptor.digest);
        let has_size =
            std::fs::metadata(&path).is_ok_and(|blob| blob.is_file() && blob.len() == descriptor.size);
        let is_right = || fs::read(&path).is_ok_and(|bytes| descriptor.digest.matches(&bytes));
        has_size && (descriptor.size > MAX_CHECKED || is_right())
    }

    /// Opens a blob; size and digest are checked when its end is read.
    ///
    /// # Errors
    /// It is not there.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        let path = self.blob_path(&descriptor.digest);
        expect_file(&path)?;
        let file = fs::File::open(path)?;
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
        let mut target = Target {
            file: file.as_file_mut(),
            has_failed: false,
        };
        if let Err(source) = std::io::copy(&mut reader, &mut target) {
            // A full disk is not the blob's fault.
            return Err(if target.has_failed {
                StoreError::Write { path, source }
            } else {
                StoreError::Blob {
                    digest: descriptor.digest.clone(),
                    source,
                }
            });
        }
        persist(file, &path)
    }

    /// Gives an image a tag, in place of the image that had it; tells whether it had it already.
    ///
    /// All other entries and members of the index keep their text, white space apart.
    ///
    /// # Errors
    /// The index is malformed, or the disk failed.
    pub fn tag(&self, image: &Descriptor, tag: &Tag) -> Result<bool, StoreError> {
        let _lock = self.lock()?;
        let mut index = self.index()?;
        let malformed = |source| self.malformed(source);
        let entries: Vec<RawObject> = index.get("manifests").map_err(malformed)?.unwrap_or_default();
        if entries
            .iter()
            .any(|entry| has_tag(entry, tag) && is_image(entry, image))
        {
            return Ok(true);
        }
        let entries = retagged(entries, image, tag);
        index.set("manifests", &entries, &[]).map_err(malformed)?;
        write_atomically(&self.directory, INDEX, &index.to_bytes())?;
        Ok(false)
    }

    /// Every blob that the images of the index are made of, by digest.
    ///
    /// Manifests that an index of several platforms names and the layout does not have are left out with all that
    /// belongs to them, and so are foreign layers that are not there: layouts of a part of an image are usual.
    pub(crate) fn reachable(&self) -> Result<BTreeMap<Digest, Descriptor>, StoreError> {
        let mut found = BTreeMap::new();
        let mut pending = self.images()?;
        while let Some(descriptor) = pending.pop() {
            if !found.contains_key(&descriptor.digest) {
                pending.extend(self.parts(&descriptor)?);
                found.insert(descriptor.digest.clone(), descriptor);
            }
        }
        Ok(found)
    }

    /// What a document is made of; any other blob has no parts.
    fn parts(&self, descriptor: &Descriptor) -> Result<Vec<Descriptor>, StoreError> {
        if !matches!(
            descriptor.media_type,
            MediaType::Manifest(_) | MediaType::Index(_)
        ) {
            return Ok(Vec::new());
        }
        let is_here = |part: &&Descriptor| self.blob_path(&part.digest).exists();
        let is_foreign = |layer: &Descriptor| matches!(layer.media_type, MediaType::ForeignLayer(..));
        Ok(match read_document(descriptor, self.open_blob(descriptor)?)? {
            Document::Index(index) => index.manifests().iter().filter(is_here).cloned().collect(),
            Document::Manifest(manifest) => {
                let layers = manifest.layers().iter();
                let layers = layers.filter(|layer| !is_foreign(layer) || is_here(layer));
                layers.chain([manifest.config()]).cloned().collect()
            }
        })
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
        let path = self.directory.join(INDEX);
        expect_file(&path)?;
        let mut bytes = Vec::new();
        fs::File::open(&path)?.take(MAX_INDEX).read_to_end(&mut bytes)?;
        RawObject::parse(&bytes).map_err(|source| self.malformed(source))
    }

    fn malformed(&self, source: onlay_oci::JsonError) -> StoreError {
        StoreError::Index {
            path: self.directory.join(INDEX),
            source,
        }
    }

    /// Held until dropped. The marker is never replaced, so everybody locks the same file; it is opened for writing
    /// because network file systems want that for an exclusive lock.
    fn lock(&self) -> Result<std::fs::File, StoreError> {
        let path = self.directory.join(MARKER);
        let marker = fs::OpenOptions::new().read(true).write(true).open(&path)?;
        let marker = marker.into_parts().0;
        marker
            .lock()
            .map_err(|source| StoreError::Lock { path, source })?;
        Ok(marker)
    }
}

/// A layout is not started among other files, where a mistyped path would scatter blobs. Its own parts are nothing
/// foreign: somebody else may be making the layout at this moment, and hidden files are anybody's.
fn refuse_foreign_content(directory: &Path) -> Result<(), StoreError> {
    if !directory.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && ![MARKER, INDEX, "blobs"].contains(&name.as_str()) {
            return Err(StoreError::ForeignContent {
                path: directory.to_owned(),
                found: name,
            });
        }
    }
    Ok(())
}

/// An entry of the index as it is written: those that were there keep their text.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Kept(RawObject),
    Tagged(Box<Descriptor>),
}

/// The entries with `image` under `tag`, at the place of the one that had it, else at the end.
fn retagged(entries: Vec<RawObject>, image: &Descriptor, tag: &Tag) -> Vec<Entry> {
    let position = entries.iter().position(|entry| has_tag(entry, tag));
    let others = entries.into_iter().filter(|entry| !has_tag(entry, tag));
    let mut entries: Vec<Entry> = others.map(Entry::Kept).collect();
    let mut tagged = image.clone();
    tagged.annotations.insert(REF_NAME.to_owned(), tag.to_string());
    entries.insert(position.unwrap_or(entries.len()), Entry::Tagged(Box::new(tagged)));
    entries
}

fn is_image(entry: &RawObject, image: &Descriptor) -> bool {
    matches!(entry.get::<Digest>("digest"), Ok(Some(digest)) if digest == image.digest)
}

fn has_tag(entry: &RawObject, tag: &Tag) -> bool {
    let annotations = entry.get::<BTreeMap<String, String>>("annotations");
    matches!(annotations, Ok(Some(annotations)) if annotations.get(REF_NAME).is_some_and(|name| name == tag.as_str()))
}

/// A file that remembers whether it was to blame.
struct Target<'a> {
    file: &'a mut std::fs::File,
    has_failed: bool,
}

impl Write for Target<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes);
        self.has_failed |= written.is_err();
        written
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Blobs up to this size, in bytes, are hashed before they are taken to be there.
const MAX_CHECKED: u64 = 1024 * 1024;

/// The largest index of a layout that is read, in bytes: a hundred thousand images.
const MAX_INDEX: u64 = 64 * 1024 * 1024;

/// A pipe or device in the place of a file would be read for ever.
fn expect_file(path: &Path) -> Result<(), StoreError> {
    if fs::metadata(path)?.is_file() {
        return Ok(());
    }
    Err(std::io::Error::other(format!("{} is no regular file", path.display())).into())
}

/// A hidden file beside its later place, so that the rename stays within one file system. Its mode is what the umask
/// leaves of 0666: under its name it is an ordinary file.
pub(crate) fn temporary_file(directory: &Path) -> Result<tempfile::NamedTempFile, StoreError> {
    tempfile::Builder::new()
        .prefix(".onlay-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(|source| StoreError::Temporary {
            directory: directory.to_owned(),
            source,
        })
}

/// Gives a finished file its name, in place of the file that has it.
pub(crate) fn persist(file: tempfile::NamedTempFile, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Write {
        path: path.to_owned(),
        source,
    };
    file.as_file().sync_data().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Where an archive is written: where links lead, and never in place of a device, pipe or directory.
pub(crate) fn archive_place(file: &Path) -> Result<PathBuf, StoreError> {
    let refuse = |source| StoreError::Write {
        path: file.to_owned(),
        source,
    };
    match std::fs::metadata(file) {
        Ok(found) if found.is_file() => fs::canonicalize(file).map_err(refuse),
        Ok(_) => Err(refuse(std::io::Error::other(
            "it is no regular file, and an archive cannot take its place",
        ))),
        // A link to nowhere is replaced, as what is not there is made.
        Err(_) => Ok(file.to_owned()),
    }
}

pub(crate) fn write_atomically(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = directory.join(name);
    persist(filled(directory, &path, bytes)?, &path)
}

/// Writes a file unless it is there; what is there keeps its identity, for somebody may hold a lock on it.
fn write_new(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = directory.join(name);
    match filled(directory, &path, bytes)?.persist_noclobber(&path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Write {
            path,
            source: error.error,
        }),
    }
}

fn filled(directory: &Path, path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, StoreError> {
    let mut file = temporary_file(directory)?;
    file.write_all(bytes).map_err(|source| StoreError::Write {
        path: path.to_owned(),
        source,
    })?;
    Ok(file)
}
