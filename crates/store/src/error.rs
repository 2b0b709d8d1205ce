use std::io;
use std::path::PathBuf;

use onlay_oci::{ConfigError, DiffId, Digest, DocumentError, JsonError, MediaType};

/// Why a store could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or directory could not be reached; the source names it.
    #[error(transparent)]
    Io {
        /// What happened, where.
        #[from]
        source: io::Error,
    },
    /// A blob could not be read, or is not what its name says.
    #[error("blob {digest} is damaged or cannot be read")]
    Blob {
        /// The blob.
        digest: Digest,
        /// What happened.
        source: io::Error,
    },
    /// A blob that the archive does not have.
    #[error("blob {digest} is not in `{path}`")]
    NoBlob {
        /// The blob.
        digest: Digest,
        /// The archive.
        path: PathBuf,
    },
    /// A directory that is no layout.
    #[error("`{path}` is not an OCI layout of version 1")]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
    /// A directory of other files, where a layout was to be made.
    #[error("`{path}` is not an OCI layout, and not empty: it holds `{found}`")]
    ForeignContent {
        /// The directory.
        path: PathBuf,
        /// One of the files.
        found: String,
    },
    /// The lock of a layout could not be taken.
    #[error("`{path}` could not be locked")]
    Lock {
        /// The file that is locked.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A file that is no tar, or a damaged one.
    #[error("`{path}` could not be read as a tar")]
    Tar {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// An archive that is compressed as a whole, so that nothing in it can be read in place.
    #[error("`{path}` is compressed with {compression}, expected a plain tar")]
    Compressed {
        /// The file.
        path: PathBuf,
        /// With what.
        compression: &'static str,
    },
    /// A layer of an archive that cannot be unpacked.
    #[error("`{name}` in `{path}` is damaged or cannot be read")]
    Member {
        /// The archive.
        path: PathBuf,
        /// The file in it.
        name: String,
        /// What happened.
        source: io::Error,
    },
    /// A malformed list of images.
    #[error("`{name}` in `{path}` is malformed")]
    List {
        /// The archive.
        path: PathBuf,
        /// The list.
        name: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A malformed image configuration.
    #[error("image configuration `{name}` cannot be used")]
    Configuration {
        /// The digest or file name.
        name: String,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// A configuration that speaks of more or fewer layers than there are.
    #[error("image `{name}` has {layers} layers, expected the {diff_ids} of its configuration")]
    LayerCount {
        /// The digest or file name of the configuration.
        name: String,
        /// How many layers there are.
        layers: usize,
        /// How many the configuration lists.
        diff_ids: usize,
    },
    /// A layer that is another one than the configuration says.
    #[error("layer `{name}` unpacks to {found}, expected {expected}")]
    DiffId {
        /// The digest or file name of the layer.
        name: String,
        /// What the configuration lists.
        expected: DiffId,
        /// What the layer unpacks to.
        found: DiffId,
    },
    /// A layer that only OCI's formats can hold.
    #[error("layer {digest} of type `{media_type}` cannot be stored in a Docker archive")]
    LayerType {
        /// The layer.
        digest: Digest,
        /// What it is.
        media_type: MediaType,
    },
    /// Something that is read into memory, and is too large for that.
    #[error("`{name}` is {size} bytes long, expected at most {max}")]
    TooLarge {
        /// The digest or file name.
        name: String,
        /// How long it is, in bytes.
        size: u64,
        /// The limit, in bytes.
        max: u64,
    },
    /// A file that is no archive of images.
    #[error("`{path}` is not an archive of images: it has no `{missing}`")]
    NotAnArchive {
        /// The file.
        path: PathBuf,
        /// What it should have.
        missing: String,
    },
    /// A malformed index or list of images.
    #[error("`{path}` is malformed")]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: JsonError,
    },
    /// A malformed manifest.
    #[error("manifest {digest} cannot be used")]
    Document {
        /// The manifest.
        digest: Digest,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// There is no image of that tag.
    #[error("`{path}` has no image with the tag `{tag}`; it has {tags}")]
    NoTag {
        /// The layout or archive.
        path: PathBuf,
        /// The tag.
        tag: String,
        /// The tags that there are.
        tags: String,
    },
    /// There are several images, and none was named.
    #[error("`{path}` has several images, and none was named; it has {tags}")]
    Ambiguous {
        /// The layout or archive.
        path: PathBuf,
        /// The tags that there are.
        tags: String,
    },
    /// There is no image.
    #[error("`{path}` has no image")]
    Empty {
        /// The layout or archive.
        path: PathBuf,
    },
    /// A registry was named where files are meant; the caller's fault.
    #[error("`{name}` is in a registry, not on disk")]
    NotOnDisk {
        /// The location.
        name: String,
    },
    /// No temporary file could be made.
    #[error("a temporary file in `{directory}` could not be made")]
    Temporary {
        /// Where.
        directory: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("`{path}` could not be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}
