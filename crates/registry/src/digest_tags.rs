use std::collections::BTreeSet;

use onlay_oci::Tag;

use crate::{RegistryError, RepositoryClient};

/// How many pages of tags are read before asking for single ones is cheaper.
const MAX_PAGES: usize = 8;

/// The tags of a repository that are made of digests, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestTags(Option<BTreeSet<Tag>>);

impl DigestTags {
    /// Nothing is known.
    pub fn unknown() -> Self {
        Self(None)
    }

    /// These are all.
    pub fn known(tags: impl IntoIterator<Item = Tag>) -> Self {
        Self(Some(tags.into_iter().filter(Tag::is_of_a_digest).collect()))
    }

    /// Tells whether there is such a tag; none if that has to be asked.
    pub fn has(&self, tag: &Tag) -> Option<bool> {
        self.0.as_ref().map(|tags| tags.contains(tag))
    }

    /// Tells whether it is known that there are none at all.
    pub fn is_none(&self) -> bool {
        self.0.as_ref().is_some_and(BTreeSet::is_empty)
    }
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
            let page = match home.list_page(&url).await {
                Ok(page) => page,
                // No failure: there are other ways to ask.
                Err(
                    RegistryError::Status { .. }
                    | RegistryError::Answer { .. }
                    | RegistryError::TooLarge { .. },
                ) => {
                    return Ok(DigestTags::unknown());
                }
                Err(error) => return Err(error),
            };
            all.extend(page.tags);
            match page.next {
                Some(next) => url = next,
                None => return Ok(DigestTags::known(all)),
            }
        }
        Ok(DigestTags::unknown())
    }
}
