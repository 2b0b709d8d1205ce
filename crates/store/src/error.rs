use std::io;
use std::path::PathBuf;

use onlay_oci::{Digest, DocumentError, JsonError};

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
    /// A file that is no archive of images.
    #[error("`{path}` is not an archive of images: it has no `{missing}`")]
    NotAnArchive {
        /// The file.
        path: PathBuf,
        /// What it should have.
        missing: &'static str,
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
