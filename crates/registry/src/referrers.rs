//! What refers to a manifest: signatures, SBOMs and other artifacts.
//!
//! A registry of the specification's version 1.1 keeps the list itself. Where it does not, who pushes a referrer keeps
//! it, in an index under a tag that is made of the digest. Which of the two it is shows only when the list is asked for;
//! that a registry answers a push with `OCI-Subject` proves nothing.
//!
//! Source: distribution-spec v1.1 "Listing Referrers", "Referrers Tag Schema"; registry.md §3 no. 7 and 27.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use onlay_oci::{
    Descriptor, Digest, Document, DocumentError, Family, Index, JsonError, MAX_MANIFEST_SIZE, MediaType, Tag,
};
use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::link::next_page;
use crate::repository::{Access, content_type};
use crate::retry::ATTEMPTS;
use crate::transport::{Body, LONG_PATIENCE, expect, place};
use crate::{Action, DigestTags, ReferrersForm, RegistryError, RepositoryClient};

/// How many pages a list may have: far more than anybody has signed, at ECR's twenty to a page.
const MAX_PAGES: usize = 200;

/// The largest list that is read, all pages together, in bytes: some ten thousand referrers.
const MAX_LIST_SIZE: u64 = 4 * MAX_MANIFEST_SIZE;

/// One page of a list.
struct Page {
    manifests: Vec<Descriptor>,
    size: u64,
    next: Option<Url>,
}

/// The list under a tag.
struct TaggedList {
    index: Index,
    etag: Option<HeaderValue>,
}

impl RepositoryClient {
    /// Lists what refers to a manifest, each once, of one artifact type or of all.
    ///
    /// The registry's own list is asked for, unless its profile says that it has none; without one, the list under the
    /// tag. Mirrors are not asked: most of them know nothing of referrers, and would say that there are none. That the
    /// referrers are there, and speak of the manifest, is not known before they are read.
    ///
    /// # Errors
    /// The registry fails, or its list goes on without end, leads to another host or is none.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let tags = DigestTags::unknown();
        self.referrers_with(subject, artifact_type, &tags).await
    }

    /// Does what [`referrers`](Self::referrers) does, and saves the question for the tag where it is known that there is
    /// none. Where there is one beside the registry's own list, from the time before it had one, both count.
    ///
    /// # Errors
    /// As `referrers`.
    pub async fn referrers_with(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
        tags: &DigestTags,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let home = self.home();
        let listed = home.own_list(subject, artifact_type).await?;
        let tag = subject.referrers_tag();
        let mut referrers = listed.clone().unwrap_or_default();
        if tags.has(&tag).unwrap_or(listed.is_none()) {
            let tagged = home.tagged_list(&tag).await?;
            referrers.extend(
                tagged
                    .into_iter()
                    .flat_map(|list| list.index.manifests().to_vec()),
            );
        }
        let mut seen = BTreeSet::new();
        let is_wanted = |referrer: &Descriptor| {
            artifact_type.is_none_or(|wanted| referrer.artifact_type() == Some(wanted))
        };
        referrers.retain(|referrer| is_wanted(referrer) && seen.insert(referrer.digest.to_string()));
        Ok(referrers)
    }

    /// Sees to it that manifests which were pushed are listed as referrers of their subject: where the registry keeps no
    /// list, adds them to the one under the tag. What is listed already stays as it is.
    ///
    /// A registry that gives the list an `ETag` and heeds `If-Match` takes no change from the past. With others, who
    /// writes at the same time may undo this; so the list is looked at afterwards, and the change made again.
    ///
    /// # Errors
    /// The registry refuses, what is under the tag is no list, or others change it all the time.
    pub async fn add_referrers(
        &self,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> Result<(), RegistryError> {
        let home = self.home();
        if referrers.is_empty() || home.own_list(subject, None).await?.is_some() {
            return Ok(());
        }
        let tag = subject.referrers_tag();
        for attempt in 1..=ATTEMPTS {
            let malformed = |source: JsonError| home.malformed(&tag, source.into());
            let (index, etag) = match home.tagged_list(&tag).await? {
                Some(list) => (list.index, list.etag),
                None => {
                    let empty = Index::assemble(Family::Oci, Vec::new(), &BTreeMap::new());
                    (empty.map_err(malformed)?, None)
                }
            };
            let Some(merged) = index.with_entries(referrers).map_err(malformed)? else {
                return Ok(());
            };
            let written = home.put_list(&tag, merged.bytes(), etag).await?;
            let is_there = |found: Option<Descriptor>| {
                found.is_some_and(|found| found.digest == merged.descriptor().digest)
            };
            if written && is_there(home.head_manifest(tag.as_str()).await?) {
                return Ok(());
            }
            let why = "another changed the list of referrers meanwhile".to_owned();
            let url = home.url(&format!("manifests/{tag}"))?;
            home.client().wait_to_retry(&url, attempt, ATTEMPTS, why).await;
        }
        Err(RegistryError::Contended {
            place: place(&home.url(&format!("manifests/{tag}"))?),
            attempts: ATTEMPTS,
        })
    }

    /// Tells whether it is known by now that the registry keeps no lists, so that only tags say what refers to something.
    pub fn keeps_no_referrers(&self) -> bool {
        let home = self.home();
        home.client().profile(home.registry()).referrers == ReferrersForm::Tag
            || home
                .client()
                .state(home.registry())
                .lacks_referrers
                .load(Ordering::Relaxed)
    }

    /// The repository itself, or the place that stands in for it for good.
    pub(crate) fn home(&self) -> Self {
        self.readers(true).pop().unwrap_or_else(|| self.clone())
    }

    /// What the registry's own list says; none if it keeps no list, which is asked once.
    async fn own_list(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let state = self.client().state(self.registry());
        if self.keeps_no_referrers() {
            return Ok(None);
        }
        let mut url = self.url(&format!("referrers/{subject}"))?;
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", artifact_type);
        }
        let first = place(&url);
        let (mut manifests, mut left) = (Vec::new(), MAX_LIST_SIZE);
        for _ in 0..MAX_PAGES {
            let Some(page) = self.page(url, left).await? else {
                if manifests.is_empty() {
                    state.lacks_referrers.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                break;
            };
            manifests.extend(page.manifests);
            left = left.saturating_sub(page.size);
            match page.next {
                Some(next) => url = next,
                None => return Ok(Some(manifests)),
            }
        }
        Err(RegistryError::Pages {
            place: first,
            limit: MAX_PAGES,
        })
    }

    /// One page, in as many attempts as it takes; none if there is no such thing here.
    async fn page(&self, url: Url, left: u64) -> Result<Option<Page>, RegistryError> {
        let mut attempt = 1;
        loop {
            match self.read_page(&url, left).await {
                Err(error) if error.is_cut_off() && attempt < ATTEMPTS => {
                    self.client().wait_to_reread(&url, attempt).await;
                    attempt += 1;
                }
                page => return page,
            }
        }
    }

    async fn read_page(&self, url: &Url, left: u64) -> Result<Option<Page>, RegistryError> {
        let mut request = self.request(Action::ListReferrers, Method::GET, "", Access::Pull)?;
        request.url = url.clone();
        request.headers.insert(ACCEPT, index_type());
        let response = self.transport().send(request).await?;
        if is_no_list(response.status()) {
            return Ok(None);
        }
        let response = expect((&Method::GET, url), response, &[StatusCode::OK]).await?;
        let media_type = content_type(&response);
        let next = next_page(url, response.headers())?;
        let bytes = self
            .read_small(url, response, left.min(MAX_MANIFEST_SIZE))
            .await?;
        let size = bytes.len() as u64;
        match Document::parse(bytes, media_type.as_ref()) {
            Ok(Document::Index(index)) => Ok(Some(Page {
                manifests: index.manifests().to_vec(),
                size,
                next,
            })),
            // Something else answers in the registry's place, such as its web pages.
            _ if !matches!(media_type, Some(MediaType::Index(_))) => Ok(None),
            Ok(Document::Manifest(_)) => Err(RegistryError::Answer {
                method: Method::GET,
                place: place(url),
                what: "list of referrers",
            }),
            Err(source) => Err(RegistryError::Document {
                place: place(url),
                source,
            }),
        }
    }

    async fn tagged_list(&self, tag: &Tag) -> Result<Option<TaggedList>, RegistryError> {
        let mut attempt = 1;
        loop {
            match self.read_list(tag).await {
                Err(error) if error.is_cut_off() && attempt < ATTEMPTS => {
                    let url = self.url(&format!("manifests/{tag}"))?;
                    self.client().wait_to_reread(&url, attempt).await;
                    attempt += 1;
                }
                list => return list,
            }
        }
    }

    async fn read_list(&self, tag: &Tag) -> Result<Option<TaggedList>, RegistryError> {
        let path = format!("manifests/{tag}");
        let mut request = self.request(Action::PullManifest, Method::GET, &path, Access::Pull)?;
        request.headers.insert(ACCEPT, index_type());
        let url = request.url.clone();
        let response = self.transport().send(request).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = expect((&Method::GET, &url), response, &[StatusCode::OK]).await?;
        let media_type = content_type(&response);
        let etag = response.headers().get(ETAG).cloned();
        let bytes = self.read_small(&url, response, MAX_MANIFEST_SIZE).await?;
        match Document::parse(bytes, media_type.as_ref()) {
            Ok(Document::Index(index)) => Ok(Some(TaggedList { index, etag })),
            Ok(Document::Manifest(_)) => Err(RegistryError::Answer {
                method: Method::GET,
                place: place(&url),
                what: "list of referrers",
            }),
            Err(source) => Err(self.malformed(tag, source)),
        }
    }

    /// Tells whether the registry took the list, or somebody else has changed it meanwhile.
    async fn put_list(
        &self,
        tag: &Tag,
        bytes: &[u8],
        etag: Option<HeaderValue>,
    ) -> Result<bool, RegistryError> {
        let path = format!("manifests/{tag}");
        let mut request = self.request(Action::PutManifest, Method::PUT, &path, Access::Push)?;
        request.headers.insert(CONTENT_TYPE, index_type());
        request.headers.extend(etag.map(|etag| (IF_MATCH, etag)));
        request.body = Body::Bytes(Bytes::copy_from_slice(bytes));
        request.patience = LONG_PATIENCE;
        let url = request.url.clone();
        let response = self.transport().send(request).await?;
        if matches!(
            response.status(),
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT
        ) {
            return Ok(false);
        }
        let accepted = [StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED];
        expect((&Method::PUT, &url), response, &accepted).await?;
        Ok(true)
    }

    fn malformed(&self, tag: &Tag, source: DocumentError) -> RegistryError {
        let place = format!("{}/{}:{tag}", self.registry(), self.repository());
        RegistryError::Document { place, source }
    }
}

/// What a registry answers that knows of no such list. Some say that the address makes no sense to them.
fn is_no_list(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND
            | StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::NOT_IMPLEMENTED
    )
}

fn index_type() -> HeaderValue {
    HeaderValue::from_static("application/vnd.oci.image.index.v1+json")
}
