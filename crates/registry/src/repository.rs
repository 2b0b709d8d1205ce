use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt;
use onlay_http::Reach;
use onlay_oci::{
    Algorithm, Descriptor, Digest, Document, Family, MAX_MANIFEST_SIZE, MediaType, Registry, Repository, Tag,
};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::identity::Authorization;
use crate::readers::{Mirror, OwnTags};
use crate::retry::{ATTEMPTS, is_throttling};
use crate::transport::{Body, LONG_PATIENCE, Request, Transport, expect, place, status_error};
use crate::{
    Action, BlobStream, Client, ExtensionError, Presence, Profile, RegistryError, StoredImage, UploadForm,
};

/// One repository of a registry. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct RepositoryClient {
    pub(crate) client: Client,
    pub(crate) registry: Registry,
    pub(crate) repository: Repository,
    /// What is different about it, where it stands in for another.
    pub(crate) mirror: Option<Arc<Mirror>>,
    /// What is asked first, in order, where something is read.
    pub(crate) sources: Arc<[Self]>,
    /// Whether this repository itself is asked at the end.
    pub(crate) ends_at_home: bool,
    /// Whether there is no other place to ask.
    pub(crate) is_last: bool,
    /// What its tags are known to point to.
    pub(crate) own_tags: OwnTags,
}

/// What a request is allowed to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// Where a manifest's digest stands.
const DIGEST_HEADER: &str = "docker-content-digest";

impl RepositoryClient {
    pub(crate) fn new(client: Client, registry: Registry, repository: Repository) -> Self {
        Self {
            client,
            registry,
            repository,
            mirror: None,
            sources: Arc::new([]),
            ends_at_home: true,
            is_last: true,
            own_tags: OwnTags::default(),
        }
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The repository's path.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Tells whether both speak of one repository of one registry.
    pub fn is_same_repository(&self, other: &Self) -> bool {
        self.registry == other.registry && self.repository == other.repository
    }

    /// What is different about its registry.
    pub fn profile(&self) -> Profile {
        self.client.profile(&self.registry)
    }

    /// Tells which blobs are there, in the order of the digests, where the registry's extension can tell that of many at
    /// once; none where each is to be asked for ([`head_blob`](Self::head_blob)).
    ///
    /// # Errors
    /// The extension failed.
    pub async fn present(&self, digests: &[Digest]) -> Result<Option<Vec<Presence>>, RegistryError> {
        let Some(extension) = self.client.extension(&self.registry) else {
            return Ok(None);
        };
        let present = extension.present(&self.registry, &self.repository, digests).await;
        present.map_err(|source| self.extension_failed(source))
    }

    /// Gives all tags with what they name, where the registry's extension can tell that in fewer requests than one each;
    /// none where each is to be asked for ([`head_manifest`](Self::head_manifest)). What does not exist has no tags.
    ///
    /// # Errors
    /// The extension failed.
    pub async fn digests(&self) -> Result<Option<BTreeMap<Tag, Digest>>, RegistryError> {
        let Some(extension) = self.client.extension(&self.registry) else {
            return Ok(None);
        };
        let digests = extension.digests(&self.registry, &self.repository).await;
        digests.map_err(|source| self.extension_failed(source))
    }

    /// Gives the images that have tags, with when they were pushed, where the registry's extension can tell; none elsewhere.
    ///
    /// # Errors
    /// The extension failed.
    pub async fn images(&self) -> Result<Option<Vec<StoredImage>>, RegistryError> {
        let Some(extension) = self.client.extension(&self.registry) else {
            return Ok(None);
        };
        let images = extension.images(&self.registry, &self.repository).await;
        images.map_err(|source| self.extension_failed(source))
    }

    /// Deletes images with all their tags, where the registry's extension can; gives those that are still there with why.
    /// None elsewhere: nothing is deleted then.
    ///
    /// # Errors
    /// The extension failed.
    pub async fn delete_images(
        &self,
        digests: &[Digest],
    ) -> Result<Option<Vec<(Digest, String)>>, RegistryError> {
        let Some(extension) = self.client.extension(&self.registry) else {
            return Ok(None);
        };
        let left = extension
            .delete_images(&self.registry, &self.repository, digests)
            .await;
        left.map_err(|source| self.extension_failed(source))
    }

    fn extension_failed(&self, source: ExtensionError) -> RegistryError {
        RegistryError::Extension {
            registry: self.registry.to_string(),
            source,
        }
    }

    /// Makes sure that the repository exists, where somebody knows how and was told to.
    ///
    /// # Errors
    /// It could not be made.
    pub async fn ensure_exists(&self) -> Result<(), RegistryError> {
        let Some(extension) = self.client.extension(&self.registry) else {
            return Ok(());
        };
        extension
            .ensure_repository(&self.registry, &self.repository)
            .await
            .map_err(|source| self.extension_failed(source))
    }

    /// Looks a manifest or index up by tag or digest: one HEAD, which costs nothing where pulls are counted. A registry
    /// that does not answer it properly is asked with GET.
    ///
    /// # Errors
    /// The registry fails; that the manifest is not there is no failure.
    pub async fn head_manifest(&self, identifier: &str) -> Result<Option<Descriptor>, RegistryError> {
        let mut found = Ok(None);
        for reader in self.readers(wants_tag(identifier)) {
            found = reader.head_own_manifest(identifier).await;
            match &found {
                Ok(None) => {}
                Ok(Some(found)) if self.is_refuted(&reader, identifier, &found.digest).await => {}
                Err(error) if reader.leaves_to_next(error) => {}
                _ => break,
            }
        }
        found
    }

    pub(crate) async fn head_own_manifest(
        &self,
        identifier: &str,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let request = self.manifest_request(Method::HEAD, identifier)?;
        let asked = request.clone();
        let response = self.transport().send(request).await;
        let response = match response {
            Ok(response) => response,
            Err(RegistryError::Status { status, .. })
                if status == StatusCode::NOT_FOUND && !self.may_import(identifier) =>
            {
                return Ok(None);
            }
            // A HEAD has no body, so the reason is asked for with GET.
            Err(RegistryError::Status { .. }) => return self.get_descriptor(identifier).await,
            Err(error) => return Err(error),
        };
        match (response.status(), described(&response)) {
            (StatusCode::OK, Some(descriptor)) => Ok(Some(descriptor)),
            (StatusCode::NOT_FOUND, _) if !self.may_import(identifier) => Ok(None),
            // GET would be one more request of a registry that has too many, and counts as a pull.
            (status, _) if is_throttling(status) => {
                let asked = (&asked.method, &asked.url);
                Err(status_error(asked, status, &[], Authorization::default()))
            }
            _ => self.get_descriptor(identifier).await,
        }
    }

    async fn get_descriptor(&self, identifier: &str) -> Result<Option<Descriptor>, RegistryError> {
        match self.pull_own_manifest(identifier).await {
            Ok((_, descriptor)) => Ok(Some(descriptor)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Pulls a manifest or index by tag or digest, with the descriptor that it has.
    ///
    /// # Errors
    /// It is not there, larger than 4 MiB, no manifest, or not what its digest says.
    pub async fn pull_manifest(&self, identifier: &str) -> Result<(Document, Descriptor), RegistryError> {
        let mut readers = self.readers(wants_tag(identifier)).into_iter();
        loop {
            let reader = readers.next().unwrap_or_else(|| self.clone());
            let pulled = reader.pull_own_manifest(identifier).await;
            match &pulled {
                Ok((_, found)) if self.is_refuted(&reader, identifier, &found.digest).await => {}
                Err(error) if reader.leaves_to_next(error) => {}
                _ => return pulled,
            }
        }
    }

    async fn pull_own_manifest(&self, identifier: &str) -> Result<(Document, Descriptor), RegistryError> {
        let url = self.url(&format!("manifests/{identifier}"))?;
        let mut times = 0;
        loop {
            match self.pull_manifest_now(identifier).await {
                Err(error) if self.has_waited_for_import(&url, times, &error).await => times += 1,
                pulled => return pulled,
            }
        }
    }

    async fn pull_manifest_now(&self, identifier: &str) -> Result<(Document, Descriptor), RegistryError> {
        let request = self.manifest_request(Method::GET, identifier)?;
        let url = request.url.clone();
        let mut attempt = 1;
        let (announced, media_type, bytes) = loop {
            let response = self.transport().send(request.clone()).await?;
            let response = expect((&Method::GET, &url), response, &[StatusCode::OK]).await?;
            let (announced, media_type) = (header_digest(&response), content_type(&response));
            match self.read_small(&url, response, MAX_MANIFEST_SIZE).await {
                Ok(bytes) => break (announced, media_type, bytes),
                Err(error) if error.is_cut_off() && attempt < ATTEMPTS && self.is_last => {
                    self.client.wait_to_reread(&url, attempt).await;
                    attempt += 1;
                }
                Err(error) => return Err(error.after(attempt)),
            }
        };
        for expected in [identifier.parse::<Digest>().ok(), announced]
            .into_iter()
            .flatten()
        {
            verify(&place(&url), &expected, &bytes)?;
        }
        let document =
            Document::parse(bytes, media_type.as_ref()).map_err(|source| RegistryError::Document {
                place: place(&url),
                source,
            })?;
        let descriptor = document.descriptor();
        Ok((document, descriptor))
    }

    /// Puts a manifest or index under a tag or its digest.
    ///
    /// # Errors
    /// The registry refuses it.
    pub async fn put_manifest(
        &self,
        identifier: &str,
        descriptor: &Descriptor,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let mut request = self.request(
            Action::PutManifest,
            Method::PUT,
            &format!("manifests/{identifier}"),
            Access::Push,
        )?;
        let content_type = HeaderValue::from_str(descriptor.media_type.as_str());
        request.headers.insert(
            CONTENT_TYPE,
            content_type.map_err(|_| RegistryError::Answer {
                method: Method::PUT,
                place: place(&request.url),
                what: "media type",
            })?,
        );
        request.body = Body::Bytes(Bytes::copy_from_slice(bytes));
        request.patience = LONG_PATIENCE;
        let (method, url) = (request.method.clone(), request.url.clone());
        let response = self.transport().send(request).await?;
        let accepted = [StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED];
        let response = expect((&method, &url), response, &accepted).await?;
        // ECR answers without Location and digest; a digest that is there must be the right one.
        let stored = response.headers().get(DIGEST_HEADER);
        match stored.map(|stored| stored.as_bytes() == descriptor.digest.to_string().as_bytes()) {
            None | Some(true) => Ok(()),
            Some(false) => Err(RegistryError::Answer {
                method,
                place: place(&url),
                what: "digest, which is not the manifest's",
            }),
        }
    }

    /// Looks a blob up, and gives its size in bytes where the registry tells it.
    ///
    /// # Errors
    /// The registry fails; that the blob is not there is no failure.
    pub async fn head_blob(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let request = self.request(
            Action::HeadBlob,
            Method::HEAD,
            &format!("blobs/{digest}"),
            Access::Push,
        )?;
        let (method, url) = (request.method.clone(), request.url.clone());
        let response = self.transport().send(request).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = expect((&method, &url), response, &[StatusCode::OK]).await?;
        Ok(Some(content_length(&response).unwrap_or(0)))
    }

    /// Streams a blob. Digest and size are verified while it streams, and the stream fails at its end if they are not as
    /// described; a transfer that is cut or stalls goes on where it stopped.
    ///
    /// # Errors
    /// It is not there, or the registry announces another size.
    pub async fn pull_blob(&self, descriptor: &Descriptor) -> Result<BlobStream, RegistryError> {
        BlobStream::open(self.clone(), descriptor.clone()).await
    }

    /// Pulls all of a small blob.
    ///
    /// # Errors
    /// It is not there, larger than `limit` bytes, or not what the descriptor says.
    pub async fn pull_blob_bytes(&self, descriptor: &Descriptor, limit: u64) -> Result<Bytes, RegistryError> {
        if descriptor.size > limit {
            let url = self.url(&format!("blobs/{}", descriptor.digest))?;
            return Err(RegistryError::TooLarge {
                place: place(&url),
                limit,
            });
        }
        let pieces: Vec<Bytes> = self.pull_blob(descriptor).await?.try_collect().await?;
        Ok(pieces.concat().into())
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn transport(&self) -> Transport<'_> {
        Transport {
            client: &self.client,
            registry: &self.registry,
            repository: Some(&self.repository),
            api: self.api(),
            has_successor: !self.is_last,
        }
    }

    /// How finished blobs are sent: as the profile says, until the registry was found to want it otherwise.
    pub(crate) fn upload_form(&self) -> UploadForm {
        let state = self.client.state(&self.registry);
        let found = *state.upload_form.lock().unwrap_or_else(PoisonError::into_inner);
        found.unwrap_or_else(|| self.profile().upload)
    }

    pub(crate) fn remember_upload_form(&self, form: UploadForm) {
        let state = self.client.state(&self.registry);
        *state.upload_form.lock().unwrap_or_else(PoisonError::into_inner) = Some(form);
    }

    fn api(&self) -> Option<&Url> {
        self.mirror.as_ref()?.api.as_ref()
    }

    pub(crate) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        let joined = self.root()?.join(&format!("{}/{path}", self.repository));
        let mut url = joined.map_err(|source| self.no_address(source))?;
        if let Some(namespace) = self.mirror.as_ref().and_then(|mirror| mirror.namespace.as_ref()) {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        Ok(url)
    }

    /// The root of the API, which the repository's name follows.
    pub(crate) fn root(&self) -> Result<Url, RegistryError> {
        match self.api() {
            Some(api) => Ok(api.clone()),
            None => {
                let endpoint = self.client.endpoint(&self.registry)?;
                endpoint.join("v2/").map_err(|source| self.no_address(source))
            }
        }
    }

    fn no_address(&self, source: url::ParseError) -> RegistryError {
        RegistryError::Address {
            registry: self.registry.to_string(),
            source,
        }
    }

    pub(crate) fn request(
        &self,
        action: Action,
        method: Method,
        path: &str,
        access: Access,
    ) -> Result<Request, RegistryError> {
        Ok(Request {
            action,
            method,
            url: self.url(path)?,
            headers: HeaderMap::new(),
            body: Body::Empty,
            scope: self.scope(access),
            patience: self.client.options().answer_timeout,
            reach: Reach::Anywhere,
            retries: true,
        })
    }

    pub(crate) fn scope(&self, access: Access) -> String {
        let actions = match access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        format!("repository:{}:{actions}", self.repository)
    }

    fn manifest_request(&self, method: Method, identifier: &str) -> Result<Request, RegistryError> {
        let action = match method {
            Method::HEAD => Action::HeadManifest,
            _ => Action::PullManifest,
        };
        let mut request = self.request(action, method, &format!("manifests/{identifier}"), Access::Pull)?;
        // The full list: ECR and others convert what they hold to what is accepted, and the digest changes with it.
        let accepted = [
            MediaType::Index(Family::Oci),
            MediaType::Index(Family::Docker),
            MediaType::Manifest(Family::Oci),
            MediaType::Manifest(Family::Docker),
        ];
        for media_type in accepted {
            if let Ok(value) = HeaderValue::from_str(media_type.as_str()) {
                request.headers.append(ACCEPT, value);
            }
        }
        Ok(request)
    }

    pub(crate) async fn read_small(
        &self,
        url: &Url,
        response: Response,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let too_large = || RegistryError::TooLarge {
            place: place(url),
            limit,
        };
        if content_length(&response).is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let mut pieces = response.bytes_stream();
        let idle = self.client.options().idle_timeout;
        loop {
            let piece =
                tokio::time::timeout(idle, pieces.try_next())
                    .await
                    .map_err(|_| RegistryError::Timeout {
                        method: Method::GET,
                        place: place(url),
                        limit: idle,
                        attempts: 1,
                    })?;
            let piece = piece.map_err(|source| RegistryError::Transport {
                method: Method::GET,
                place: place(url),
                attempts: 1,
                source: source.without_url(),
            })?;
            let Some(piece) = piece else { return Ok(bytes) };
            self.client.counters().add_received(piece.len());
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > limit {
                return Err(too_large());
            }
        }
    }
}

/// Tells whether something is asked for by tag, not by digest.
pub(crate) fn wants_tag(identifier: &str) -> bool {
    identifier.parse::<Digest>().is_err()
}

fn verify(place: &str, expected: &Digest, bytes: &[u8]) -> Result<(), RegistryError> {
    if expected.matches(bytes) {
        return Ok(());
    }
    let mut digester = onlay_oci::Digester::new(expected.algorithm());
    digester.update(bytes);
    let size = bytes.len() as u64;
    Err(RegistryError::Mismatch {
        place: place.to_owned(),
        expected: expected.clone(),
        expected_size: size,
        found: digester.finish(),
        found_size: size,
    })
}

/// What a HEAD describes, if it describes all of it; no manifest is empty.
fn described(response: &Response) -> Option<Descriptor> {
    let digest = header_digest(response).filter(|digest| digest.algorithm() == Algorithm::Sha256)?;
    let size = content_length(response).filter(|size| *size > 0)?;
    Some(Descriptor::new(content_type(response)?, digest, size))
}

fn header_digest(response: &Response) -> Option<Digest> {
    response.headers().get(DIGEST_HEADER)?.to_str().ok()?.parse().ok()
}

pub(crate) fn content_type(response: &Response) -> Option<MediaType> {
    Some(response.headers().get(CONTENT_TYPE)?.to_str().ok()?.into())
}

pub(crate) fn content_length(response: &Response) -> Option<u64> {
    response
        .headers()
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}
