use std::collections::BTreeSet;

use onlay_oci::Tag;
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
            let Some((tags, next)) = home.tags_page(&url).await? else {
                return Ok(DigestTags::unknown());
            };
            all.extend(tags.iter().filter_map(|tag| tag.parse::<Tag>().ok()));
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
