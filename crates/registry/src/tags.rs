use std::collections::BTreeSet;

use onlay_oci::Tag;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::link::next_page;
use crate::repository::Access;
use crate::retry::ATTEMPTS;
use crate::transport::{expect, place};
use crate::{Action, RegistryError, RepositoryClient};

/// The largest page that is read, in bytes: some registries give all their tags in one.
const MAX_PAGE_SIZE: u64 = 32 * 1024 * 1024;

/// How many pages a list may have: ten million tags at a thousand to a page.
const MAX_PAGES: usize = 10_000;

/// How many pages in a row may bring nothing new: some lists end with an empty one.
const MAX_EMPTY_PAGES: usize = 3;

/// What a page of a list says.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// A page of a list.
pub(crate) struct Page {
    pub(crate) tags: Vec<Tag>,
    pub(crate) next: Option<Url>,
}

impl RepositoryClient {
    /// Lists all tags, each once, in the order in which the registry gives them.
    ///
    /// The list may have any number of pages. Where the address of a page in the middle has expired, as ECR's do, the
    /// list is read once more from its start.
    ///
    /// # Errors
    /// The repository does not exist, the list goes on without end or leads to another host, or it has what is no tag.
    pub async fn tags(&self) -> Result<Vec<Tag>, RegistryError> {
        let mut found = FoundTags::default();
        match self.read_tags(&mut found).await {
            Err(error) if found.pages > 0 && is_expired(&error) => {
                found.pages = 0;
                self.read_tags(&mut found).await?;
            }
            read => read?,
        }
        Ok(found.tags)
    }

    async fn read_tags(&self, found: &mut FoundTags) -> Result<(), RegistryError> {
        let home = self.home();
        let mut url = home.url("tags/list")?;
        let count = home.profile().tags_per_page;
        url.query_pairs_mut().append_pair("n", &count.to_string());
        let first = place(&url);
        let mut empty = 0;
        while found.pages < MAX_PAGES && empty < MAX_EMPTY_PAGES {
            let page = home.list_page(&url).await?;
            found.pages += 1;
            empty = if found.add(page.tags) { 0 } else { empty + 1 };
            match page.next {
                Some(next) => url = next,
                None => return Ok(()),
            }
        }
        Err(RegistryError::Pages {
            place: first,
            limit: found.pages,
        })
    }

    /// One page, in as many attempts as it takes.
    pub(crate) async fn list_page(&self, url: &Url) -> Result<Page, RegistryError> {
        let mut attempt = 1;
        loop {
            match self.read_tags_page(url).await {
                Err(error) if error.is_cut_off() && attempt < ATTEMPTS => {
                    self.client().wait_to_reread(url, attempt).await;
                    attempt += 1;
                }
                read => return read,
            }
        }
    }

    async fn read_tags_page(&self, url: &Url) -> Result<Page, RegistryError> {
        let mut request = self.request(Action::ListTags, Method::GET, "tags/list", Access::Pull)?;
        request.url = url.clone();
        let response = self.transport().send(request).await?;
        let response = expect((&Method::GET, url), response, &[StatusCode::OK]).await?;
        let next = next_page(url, response.headers())?;
        let bytes = self.read_small(url, response, MAX_PAGE_SIZE).await?;
        let malformed = |what| RegistryError::Answer {
            method: Method::GET,
            place: place(url),
            what,
        };
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| malformed("list of tags"))?;
        let tags = answer.tags.unwrap_or_default();
        let tags: Result<Vec<Tag>, _> = tags.iter().map(|tag| tag.parse()).collect();
        Ok(Page {
            tags: tags.map_err(|_| malformed("tag in its list"))?,
            next,
        })
    }
}

#[derive(Default)]
struct FoundTags {
    tags: Vec<Tag>,
    seen: BTreeSet<Tag>,
    pages: usize,
}

impl FoundTags {
    /// Tells whether there was anything new.
    fn add(&mut self, page: Vec<Tag>) -> bool {
        let before = self.tags.len();
        for tag in page {
            if self.seen.insert(tag.clone()) {
                self.tags.push(tag);
            }
        }
        self.tags.len() > before
    }
}

/// Tells whether the address of a page is no longer good, as far as a status can say that.
fn is_expired(error: &RegistryError) -> bool {
    let statuses = [
        StatusCode::BAD_REQUEST,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::GONE,
    ];
    matches!(error, RegistryError::Status { status, .. } if statuses.contains(status))
}
