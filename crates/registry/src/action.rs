/// A kind of request, as registries limit, count and forbid them.
///
/// Throttling slows the action that it hit, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// HEAD of a manifest: costs nothing where pulls are counted.
    HeadManifest,
    /// GET of a manifest: a pull, where pulls are counted.
    PullManifest,
    /// PUT of a manifest or index.
    PutManifest,
    /// HEAD of a blob.
    HeadBlob,
    /// GET of a blob.
    PullBlob,
    /// POST that begins an upload or mounts a blob.
    StartUpload,
    /// PATCH or PUT of an upload, and questions about it.
    SendBlob,
    /// A page of tags.
    ListTags,
    /// A page of referrers.
    ListReferrers,
    /// A token.
    FetchToken,
}
