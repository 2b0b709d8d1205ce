use onlay_oci::{Descriptor, Digest, Document};

/// Something that was not copied, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// What it is; its artifact type stands in the descriptor.
    pub descriptor: Descriptor,
    /// Why.
    pub reason: Reason,
}

/// Why something was not copied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The destination takes no manifests like it.
    #[error("the destination refuses it: {words}")]
    Refused {
        /// What the destination said.
        words: String,
    },
    /// It is of a kind that onlay cannot read.
    #[error("it is no manifest that can be copied: {problem}")]
    Unreadable {
        /// What is wrong with it.
        problem: String,
    },
    /// The list that names it is older than its removal.
    #[error("the source lists it, but does not have it")]
    Missing,
    /// The list that names it is wrong.
    #[error("the source lists it where it does not belong: it speaks of something else")]
    OtherSubject,
    /// It speaks of something that is not copied: what was left out, or an index that is a new one without that.
    #[error("it speaks of {0}, which is not copied")]
    Subject(Digest),
}

impl LeftOut {
    pub(super) fn document(document: &Document, reason: Reason) -> Self {
        let mut descriptor = document.descriptor();
        let is_image = matches!(document, Document::Manifest(manifest) if manifest.is_image());
        // What cannot be read has no type to be told, and what is an image no other.
        let artifact_type = document.artifact_type().ok().flatten().filter(|_| !is_image);
        let artifact_type = artifact_type.map(|text| ("artifactType".to_owned(), text.into()));
        descriptor.other.extend(artifact_type);
        Self { descriptor, reason }
    }

    /// Its artifact type, else its media type.
    pub fn kind(&self) -> String {
        let artifact_type = self.descriptor.artifact_type().map(str::to_owned);
        artifact_type.unwrap_or_else(|| self.descriptor.media_type.to_string())
    }
}
