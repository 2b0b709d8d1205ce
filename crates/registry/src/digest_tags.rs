use std::collections::BTreeSet;

use onlay_oci::Digest;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::link::next_page;
use crate::repository::Access;
use crate::transport::expect;
use crate::{Action, RegistryError, RepositoryClient};

/// How many pages of tags are read before asking for single ones is cheaper.
const MAX_PAGES: usize = 8;

/// The largest page of tags that is read, in bytes; registries that know no pages send all tags in one.
const MAX_PAGE_SIZE: u64 = 4 * 1024 * 1024;

/// What cosign makes of a digest for a tag: this, and `sha256-<hex>` before it.
const SUFFIXES: [&str; 3] = [".sig", ".att", ".sbom"];

/// The tags of a repository that are made of digests, as far as they are known. They say what belongs to an image without
/// any list: see [`cosign_tags`] and [`referrers_tag`](crate::referrers_tag).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestTags(Option<BTreeSet<String>>);

impl DigestTags {
    /// Nothing is known.
    pub fn unknown() -> Self {
        Self(None)
    }

    /// These are all.
    pub fn known(tags: impl IntoIterator<Item = String>) -> Self {
        Self(Some(tags.into_iter().filter(|tag| is_of_a_digest(tag)).collect()))
    }

    /// Tells whether there is such a tag; none if that has to be asked.
    pub fn has(&self, tag: &str) -> Option<bool> {
        self.0.as_ref().map(|tags| tags.contains(tag))
    }

    /// Tells whether it is known that there are none at all.
    pub fn is_none(&self) -> bool {
        self.0.as_ref().is_some_and(BTreeSet::is_empty)
    }
}

/// The tags under which cosign keeps signatures, attestations and SBOMs of a manifest.
///
/// Source: cosign, specs/SIGNATURE_SPEC.md "Discovery".
pub fn cosign_tags(subject: &Digest) -> [String; 3] {
    SUFFIXES.map(|suffix| format!("{}-{}{suffix}", subject.algorithm(), subject.encoded()))
}

/// Tells whether a tag is made of a digest, and so names no image that somebody would look for.
pub fn is_of_a_digest(tag: &str) -> bool {
    let stem = SUFFIXES
        .iter()
        .find_map(|suffix| tag.strip_suffix(suffix))
        .unwrap_or(tag);
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    stem.split_once('-').is_some_and(|(algorithm, encoded)| {
        matches!(algorithm, "sha256" | "sha512") && matches!(encoded.len(), 64 | 128) && is_hex(encoded)
    })
}

impl RepositoryClient {
    /// Lists the tags that are made of digests: one request where others would ask for each by itself. Nothing is known
    /// where tags may not be listed, or where they are too many.
    ///
    /// # Errors
    /// The registry fails, or leads to another host.
    pub async fn digest_tags(&self) -> Result<DigestTags, RegistryError> {
        let home = self.home();
        let per_page = home.client().profile(home.registry()).tags_per_page;
        let mut url = home.url("tags/list")?;
        url.query_pairs_mut().append_pair("n", &per_page.to_string());
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some((tags, next)) = home.tags_page(&url).await? else {
                return Ok(DigestTags::unknown());
            };
            all.extend(tags.into_iter().filter(|tag| is_of_a_digest(tag)));
            match next {
                Some(next) => url = next,
                None => return Ok(DigestTags::known(all)),
            }
        }
        Ok(DigestTags::unknown())
    }

    /// One page; none where it cannot be had or used, which is no failure: there are other ways to ask.
    async fn tags_page(&self, url: &Url) -> Result<Option<(Vec<String>, Option<Url>)>, RegistryError> {
        let mut request = self.request(Action::ListTags, Method::GET, "", Access::Pull)?;
        request.url = url.clone();
        let response = match self.transport().send(request).await {
            Ok(response) => response,
            Err(RegistryError::Status { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(response) = expect((&Method::GET, url), response, &[StatusCode::OK]).await else {
            return Ok(None);
        };
        let next = next_page(url, response.headers())?;
        let bytes = match self.read_small(url, response, MAX_PAGE_SIZE).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_interruption() || matches!(error, RegistryError::TooLarge { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        Ok(serde_json::from_slice::<TagList>(&bytes)
            .ok()
            .map(|list| (list.tags.unwrap_or_default(), next)))
    }
}

#[derive(Deserialize)]
struct TagList {
    /// Go writes `null` for none.
    tags: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_digests_are_told_from_names() {
        let digest = Digest::of(b"{}");
        let stem = crate::referrers_tag(&digest);
        assert!(stem.starts_with("sha256-44136fa355b3"));
        assert!(is_of_a_digest(&stem));
        assert!(cosign_tags(&digest).iter().all(|tag| is_of_a_digest(tag)));
        for name in [
            "latest",
            "sha256-abc",
            "v1.sig",
            &format!("{stem}.txt"),
            &stem.to_uppercase(),
        ] {
            assert!(!is_of_a_digest(name), "{name}");
        }
        let known = DigestTags::known([stem.clone(), "latest".to_owned()]);
        assert_eq!((known.has(&stem), known.has("latest")), (Some(true), Some(false)));
        assert_eq!(DigestTags::unknown().has(&stem), None);
        assert!(DigestTags::known([]).is_none() && !DigestTags::unknown().is_none());
    }
}
