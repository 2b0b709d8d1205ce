use bytes::Bytes;
use futures_util::TryStreamExt;
use onlay_oci::{
    Algorithm, Descriptor, Digest, Document, Family, MAX_MANIFEST_SIZE, MediaType, Registry, Repository,
};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::retry::{ATTEMPTS, pause};
use crate::transport::{Body, LONG_PATIENCE, Request, Transport, expect, place};
use crate::{BlobStream, Client, RegistryError};

/// One repository of a registry. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct RepositoryClient {
    client: Client,
    registry: Registry,
    repository: Repository,
}

/// What a request is allowed to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
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
            .map_err(|source| RegistryError::Extension {
                registry: self.registry.to_string(),
                source,
            })
    }

    /// Looks a manifest or index up by tag or digest: one HEAD, which costs nothing where pulls are counted. A registry
    /// that does not answer it properly is asked with GET.
    ///
    /// # Errors
    /// The registry fails; that the manifest is not there is no failure.
    pub async fn head_manifest(&self, identifier: &str) -> Result<Option<Descriptor>, RegistryError> {
        let request = self.manifest_request(Method::HEAD, identifier)?;
        let response = self.transport().send(request).await;
        let response = match response {
            Ok(response) => response,
            Err(RegistryError::Status { status, .. }) if status == StatusCode::NOT_FOUND => return Ok(None),
            // A HEAD has no body, so the reason is asked for with GET.
            Err(RegistryError::Status { .. }) => return self.get_descriptor(identifier).await,
            Err(error) => return Err(error),
        };
        match (response.status(), described(&response)) {
            (StatusCode::OK, Some(descriptor)) => Ok(Some(descriptor)),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            _ => self.get_descriptor(identifier).await,
        }
    }

    async fn get_descriptor(&self, identifier: &str) -> Result<Option<Descriptor>, RegistryError> {
        match self.pull_manifest(identifier).await {
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
        let request = self.manifest_request(Method::GET, identifier)?;
        let url = request.url.clone();
        let mut attempt = 1;
        let (announced, media_type, bytes) = loop {
            match self.read_manifest(request.clone()).await {
                Err(error) if error.is_interruption() && attempt < ATTEMPTS => {
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                read => break read?,
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

    /// One attempt, with what the headers say: digest and media type.
    async fn read_manifest(
        &self,
        request: Request,
    ) -> Result<(Option<Digest>, Option<MediaType>, Vec<u8>), RegistryError> {
        let (method, url) = (request.method.clone(), request.url.clone());
        let response = self.transport().send(request).await?;
        let response = expect((&method, &url), response, &[StatusCode::OK]).await?;
        let (announced, media_type) = (header_digest(&response), content_type(&response));
        let bytes = self.read_small(&url, response, MAX_MANIFEST_SIZE).await?;
        Ok((announced, media_type, bytes))
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
        let mut request = self.request(Method::PUT, &format!("manifests/{identifier}"), Action::Push)?;
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
        let request = self.request(Method::HEAD, &format!("blobs/{digest}"), Action::Push)?;
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
            repository: &self.repository,
        }
    }

    pub(crate) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        let endpoint = self.client.endpoint(&self.registry)?;
        let full = format!("v2/{}/{path}", self.repository);
        endpoint.join(&full).map_err(|source| RegistryError::Address {
            registry: self.registry.to_string(),
            source,
        })
    }

    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        action: Action,
    ) -> Result<Request, RegistryError> {
        Ok(Request {
            method,
            url: self.url(path)?,
            headers: HeaderMap::new(),
            body: Body::Empty,
            scope: self.scope(action),
            patience: self.client.options().answer_timeout,
            retries: true,
        })
    }

    pub(crate) fn scope(&self, action: Action) -> String {
        let actions = match action {
            Action::Pull => "pull",
            Action::Push => "pull,push",
        };
        format!("repository:{}:{actions}", self.repository)
    }

    fn manifest_request(&self, method: Method, identifier: &str) -> Result<Request, RegistryError> {
        let mut request = self.request(method, &format!("manifests/{identifier}"), Action::Pull)?;
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

    async fn read_small(&self, url: &Url, response: Response, limit: u64) -> Result<Vec<u8>, RegistryError> {
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

fn content_type(response: &Response) -> Option<MediaType> {
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
