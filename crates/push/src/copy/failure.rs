use onlay_oci::{ConfigError, Digest, DocumentError, JsonError};
use onlay_registry::RegistryError;
use onlay_store::StoreError;

use crate::PushFailure;

/// A copy that failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to copy `{origin}` to `{destination}`")]
pub struct CopyError {
    /// What was to be copied.
    pub origin: String,
    /// Where to.
    pub destination: String,
    /// What happened.
    pub source: CopyFailure,
}

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyFailure {
    /// The registry at the source did not do it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The layout or archive at the source failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The destination failed, or a blob of the source on its way there.
    #[error(transparent)]
    Push(#[from] PushFailure),
    /// A document cannot be read.
    #[error("a manifest cannot be used")]
    Json(#[from] JsonError),
    /// A document is none.
    #[error("a manifest cannot be used")]
    Document(#[from] DocumentError),
    /// A configuration, which has to be looked into for its platform, cannot be read.
    #[error("the configuration of the image cannot be used")]
    Configuration(#[from] ConfigError),
    /// What an index names cannot be read.
    #[error("failed to read {digest}, which the index names")]
    Child {
        /// What it names.
        digest: Digest,
        /// What happened.
        source: Box<CopyFailure>,
    },
    /// The destination takes no manifests like this one.
    #[error("the destination refuses {digest}, of type `{kind}`")]
    Refused {
        /// The manifest.
        digest: Digest,
        /// Its artifact type, else its media type.
        kind: String,
        /// What it said.
        source: PushFailure,
    },
    /// Indexes inside indexes without reason.
    #[error(
        "index {digest} is inside too many others, expected at most {} of them",
        super::tree::MAX_NESTING
    )]
    Nesting {
        /// The innermost that was read.
        digest: Digest,
    },
    /// More documents than any image has.
    #[error(
        "the manifests have more than {} bytes together, which no image has",
        super::tree::MAX_DOCUMENTS_SIZE
    )]
    DocumentsSize,
    /// An index that names a manifest with a digest that is not sha256.
    #[error(
        "the index names {digest} with an algorithm that manifests are not copied under, expected sha256"
    )]
    Algorithm {
        /// What it names.
        digest: Digest,
    },
    /// Platforms of an index inside an index.
    #[error(
        "the image has an index within its index ({digest}), of which platforms cannot be chosen; copy all of it"
    )]
    NestedChoice {
        /// The inner index.
        digest: Digest,
    },
    /// A platform that is not there.
    #[error("there is no image for {wanted}; there is {offered}")]
    NoPlatform {
        /// What was asked for.
        wanted: String,
        /// What there is.
        offered: String,
    },
    /// More signatures and the like than any image has.
    #[error("more than {limit} manifests refer to the image, which is not believed")]
    Belongings {
        /// The limit.
        limit: usize,
    },
    /// Signatures of signatures without end.
    #[error(
        "{digest} refers to what refers to the image over more than {limit} steps, which is not believed"
    )]
    BelongingsDepth {
        /// The one too many.
        digest: Digest,
        /// The limit.
        limit: usize,
    },
    /// A thread that read from disk ended without an answer.
    #[error("reading from disk was interrupted")]
    Worker,
}

impl CopyFailure {
    /// Tells whether what was asked for is not at the source.
    pub(super) fn is_missing(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_not_found(),
            Self::Store(StoreError::NoBlob { .. }) => true,
            Self::Store(StoreError::Io { source }) => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// The name under which a registry refused a manifest for what it is, which stands at the end of the request's path, and
/// what it said.
pub(super) fn refusal(failure: &PushFailure) -> Option<(&str, &str)> {
    match failure {
        PushFailure::Registry(error @ RegistryError::Status { place, words, .. })
            if error.refuses_the_form() =>
        {
            let name = place.rsplit('/').next().unwrap_or_default();
            Some((name, words))
        }
        _ => None,
    }
}
