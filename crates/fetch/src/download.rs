use std::fmt;

use bstr::BString;
use onlay_oci::Digest;
use onlay_store::Blob;
use url::Url;

use crate::place::place;

/// A file that was downloaded whole.
#[derive(Clone)]
pub struct Download {
    /// Its bytes; on disk where they are many, and gone with the last clone.
    pub content: Blob,
    /// The sha256 digest of these bytes.
    pub digest: Digest,
    /// How many bytes these are.
    pub size: u64,
    /// What ADD calls it; see [`file_name`](crate::file_name).
    pub file_name: BString,
    /// When the server says it was last changed, in seconds since 1970.
    pub last_modified: Option<i64>,
    /// Where it was found after all redirects, without user and password. Its query may hold a signature.
    pub url: Url,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .field("file_name", &self.file_name)
            .field("last_modified", &self.last_modified)
            .field("url", &place(&self.url))
            .finish_non_exhaustive()
    }
}
