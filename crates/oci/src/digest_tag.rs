//! Tags that are made of digests: they name no image that somebody would look for, but what belongs to one.

use crate::{Digest, Tag};

/// What cosign puts behind a digest: signatures, attestations, SBOMs.
const SUFFIXES: [&str; 3] = [".sig", ".att", ".sbom"];

/// How much of a digest's text a tag takes, in characters: all of a sha256.
const ENCODED_LENGTH: usize = 64;

impl Digest {
    /// The tag of the list of what refers to this manifest, where the registry keeps no list.
    ///
    /// Source: distribution-spec v1.1 "Referrers Tag Schema".
    pub fn referrers_tag(&self) -> Tag {
        Tag::of_digest(format!(
            "{}-{:.ENCODED_LENGTH$}",
            self.algorithm(),
            self.encoded()
        ))
    }

    /// The tags under which cosign keeps signatures, attestations and SBOMs of this manifest; none for a digest that
    /// makes no tag.
    ///
    /// Source: cosign, specs/SIGNATURE_SPEC.md "Discovery".
    pub fn cosign_tags(&self) -> Vec<Tag> {
        let (algorithm, encoded) = (self.algorithm(), self.encoded());
        let tags = SUFFIXES.map(|suffix| format!("{algorithm}-{encoded}{suffix}"));
        tags.iter().filter_map(|tag| tag.parse().ok()).collect()
    }
}

impl Tag {
    /// Tells whether it is made of a digest.
    pub fn is_of_a_digest(&self) -> bool {
        let suffix = SUFFIXES
            .iter()
            .find_map(|suffix| self.as_str().strip_suffix(suffix));
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let parts = suffix.unwrap_or(self.as_str()).split_once('-');
        parts.is_some_and(|(algorithm, encoded)| {
            matches!(algorithm, "sha256" | "sha512") && encoded.len() == ENCODED_LENGTH && is_hex(encoded)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Digester};

    #[test]
    fn tags_of_digests_are_told_from_names() {
        let digest = Digest::of(b"{}");
        let tag = digest.referrers_tag();
        assert_eq!(tag.as_str(), format!("sha256-{}", digest.encoded()));
        assert!(tag.is_of_a_digest());
        let cosign = digest.cosign_tags();
        assert_eq!(cosign.len(), 3);
        assert!(cosign.iter().all(Tag::is_of_a_digest));
        for name in [
            "latest",
            "sha256-abc",
            "v1.sig",
            &format!("{tag}.txt"),
            &tag.as_str().to_uppercase(),
        ] {
            assert!(!name.parse::<Tag>().unwrap().is_of_a_digest(), "{name}");
        }
    }

    #[test]
    fn long_digests_are_cut() {
        let digest = Digester::new(Algorithm::Sha512).finish();
        let tag = digest.referrers_tag();
        assert_eq!(tag.as_str().len(), "sha512-".len() + 64);
        assert!(tag.is_of_a_digest());
        assert_eq!(
            digest.cosign_tags(),
            [],
            "cosign's would be longer than a tag can be"
        );
    }
}
