//! Uploads: begun, mounted, sent in the form that the registry takes, and taken up again where they were cut.

use std::fmt;
use std::future::Future;
use std::io;

use onlay_oci::{Descriptor, Digest, Repository};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::repository::Access;
use crate::retry::is_throttling;
use crate::transport::{Body, LONG_PATIENCE, Request, checked, expect, place};
use crate::{Action, BlobBody, RegistryError, RepositoryClient, UploadForm};

/// What became of a request to mount a blob.
pub enum Mount {
    /// The registry took it from the other repository.
    Mounted,
    /// It did not, and opened an upload instead.
    Session(UploadSession),
}

/// An upload that was begun. Dropping it leaves nothing but a session that the registry forgets.
pub struct UploadSession {
    repository: RepositoryClient,
    /// Where the next request goes; each answer may name another place.
    location: Url,
    /// What the registry wants a part to have at least, in bytes.
    least_part: u64,
}

/// How many sessions an upload may take before it is given up.
const SESSIONS: u32 = 4;

/// What a registry may ask a part to have at least, in bytes; beyond it the wish is not followed.
const MAX_LEAST_PART: u64 = 1024 * 1024 * 1024;

/// The parts that a blob is sent in to a registry that finds one request with all of it too large, in bytes. The
/// smallest that registries over object stores take is 5 MiB.
const SMALL_PARTS: u64 = 8 * 1024 * 1024;

/// How large a part of a blob must be.
const LEAST_PART: HeaderName = HeaderName::from_static("oci-chunk-min-length");

impl RepositoryClient {
    /// Asks the registry to take a blob from another of its repositories.
    ///
    /// Mounting is best effort: whatever the registry has against it, an upload is the answer.
    ///
    /// # Errors
    /// The registry fails altogether.
    pub async fn mount_blob(&self, digest: &Digest, from: &Repository) -> Result<Mount, RegistryError> {
        let path = format!("blobs/uploads/?mount={digest}&from={from}");
        let mut request = self.request(Action::StartUpload, Method::POST, &path, Access::Push)?;
        // What is pushed to comes first: some token servers read only the first scope.
        request.scope = format!("{} repository:{from}:pull", self.scope(Access::Push));
        let response = match self.transport().send(request).await {
            Ok(response) => response,
            // A registry that does not give out the second scope is asked without it.
            Err(error) if error.is_client_error() => {
                return Ok(Mount::Session(self.start_upload().await?));
            }
            Err(error) => return Err(error),
        };
        match response.status() {
            StatusCode::CREATED => Ok(Mount::Mounted),
            StatusCode::ACCEPTED => Ok(Mount::Session(self.session(&response)?)),
            _ => Ok(Mount::Session(self.start_upload().await?)),
        }
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// The registry refuses, for example because the repository does not exist.
    pub async fn start_upload(&self) -> Result<UploadSession, RegistryError> {
        let request = self.request(Action::StartUpload, Method::POST, "blobs/uploads/", Access::Push)?;
        let (method, url) = (request.method.clone(), request.url.clone());
        let response = self.transport().send(request).await?;
        let response = expect((&method, &url), response, &[StatusCode::ACCEPTED]).await?;
        self.session(&response)
    }

    /// Sends a blob while it is made: one request that begins, one with all bytes, one that ends it.
    ///
    /// `body` gives the bytes as they come, again from any offset if need be; `end` gives digest and size when they are
    /// all there, or nothing if they never will be. A registry that does not take bytes of unknown length, or whose
    /// connection breaks, gets the blob when it is finished.
    ///
    /// # Errors
    /// As [`UploadSession::put`]; or there is no end.
    pub async fn upload_growing(
        &self,
        body: &BlobBody,
        end: impl Future<Output = Option<(Digest, u64)>>,
    ) -> Result<(Digest, u64), RegistryError> {
        let session = match self.profile().streams {
            true => Some(self.start_upload().await?),
            false => None,
        };
        let streamed = match session {
            Some(session) => session.stream(body).await?,
            None => None,
        };
        let Some((digest, size)) = end.await else {
            if let Some(session) = streamed {
                session.cancel().await;
            }
            let source = io::Error::other("what makes them has given up");
            let place = place(&self.url("blobs/uploads/")?);
            return Err(RegistryError::Body { place, source });
        };
        if let Some(session) = streamed {
            match session.finish(&digest).await {
                Ok(()) => return Ok((digest, size)),
                Err(error) if !is_worth_another_session(&error) => return Err(error),
                // Only the answer may have been lost.
                Err(_) if self.head_blob(&digest).await?.is_some() => return Ok((digest, size)),
                Err(_) => {}
            }
        }
        self.start_upload().await?.put_bytes(&digest, size, body).await?;
        Ok((digest, size))
    }

    fn session(&self, response: &Response) -> Result<UploadSession, RegistryError> {
        let base = self.url("blobs/uploads/")?;
        let location = location(&base, response)?.ok_or_else(|| RegistryError::Answer {
            method: Method::POST,
            place: place(&base),
            what: "Location",
        })?;
        let least_part = response
            .headers()
            .get(LEAST_PART)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .filter(|least| *least <= MAX_LEAST_PART);
        Ok(UploadSession {
            repository: self.clone(),
            location,
            least_part: least_part.unwrap_or(0),
        })
    }
}

/// The place without its query, by which whoever knows it may go on with the upload.
impl fmt::Debug for UploadSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadSession")
            .field("repository", &self.repository)
            .field("location", &place(&self.location))
            .field("least_part", &self.least_part)
            .finish()
    }
}

impl UploadSession {
    /// Sends the bytes of a blob, in the form that the registry takes ([`Profile`](crate::Profile)), and ends the upload.
    ///
    /// A connection that breaks in the middle costs the bytes that were not acknowledged, where the registry can tell
    /// which those are; elsewhere a new session and the bytes again, a few times. If only the answer was lost, the blob
    /// is found and nothing sent again.
    ///
    /// # Errors
    /// The registry refuses the blob, or cannot be reached; or the bytes could not be read.
    pub async fn put(self, descriptor: &Descriptor, body: BlobBody) -> Result<(), RegistryError> {
        self.put_bytes(&descriptor.digest, descriptor.size, &body).await
    }

    async fn put_bytes(self, digest: &Digest, size: u64, body: &BlobBody) -> Result<(), RegistryError> {
        let repository = self.repository.clone();
        let profile = repository.profile();
        if size == 0 && !profile.empty_blobs {
            self.cancel().await;
            return Err(RegistryError::EmptyBlob {
                registry: repository.registry().to_string(),
                profile: profile.name,
            });
        }
        let mut form = repository.upload_form();
        let (mut session, mut offset, mut sessions) = (self, 0, 1);
        loop {
            let error = match session.send(digest, size, body, form, offset).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if let Some(other) = other_form(form, &error) {
                form = other;
                repository.remember_upload_form(other);
            } else if sessions >= sessions_for(&error) {
                return Err(error.after(sessions));
            } else {
                let why = "the upload breaks off".to_owned();
                let url = repository.url("blobs/uploads/")?;
                repository
                    .client()
                    .wait_to_retry(&url, sessions, sessions_for(&error), why)
                    .await;
                if repository.head_blob(digest).await?.is_some() {
                    return Ok(());
                }
            }
            sessions += 1;
            offset = match session.acknowledged(size).await {
                Some(offset) => offset,
                None => {
                    session.cancel().await;
                    session = repository.start_upload().await?;
                    0
                }
            };
        }
    }

    /// Sends what is missing, and ends the upload.
    async fn send(
        &mut self,
        digest: &Digest,
        size: u64,
        body: &BlobBody,
        form: UploadForm,
        offset: u64,
    ) -> Result<(), RegistryError> {
        let part = match form {
            UploadForm::Put if offset == 0 => return self.put_whole(digest, size, body).await,
            UploadForm::Put | UploadForm::Patch => size,
            UploadForm::Chunks(limit) => limit.max(self.least_part),
        };
        let mut offset = offset;
        while offset < size {
            let end = size.min(offset.saturating_add(part));
            self.patch(body, offset, end, size).await?;
            offset = end;
        }
        self.finish(digest).await
    }

    async fn put_whole(&self, digest: &Digest, size: u64, body: &BlobBody) -> Result<(), RegistryError> {
        let mut request = self.request(Method::PUT)?;
        request
            .url
            .query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        request.body = Body::Stream {
            body: body.clone(),
            offset: 0,
            size: Some(size),
            is_last: true,
        };
        self.exchange(request, &ENDED).await.map(drop)
    }

    /// Sends the bytes from `offset` to `end`.
    async fn patch(
        &mut self,
        body: &BlobBody,
        offset: u64,
        end: u64,
        size: u64,
    ) -> Result<(), RegistryError> {
        let mut request = self.request(Method::PATCH)?;
        // All bytes at once are a stream, which has no range; source: distribution-spec "Pushing a blob in chunks".
        if offset > 0 || end < size {
            let range = HeaderValue::from_str(&format!("{offset}-{}", end - 1));
            request
                .headers
                .extend(range.ok().map(|range| (CONTENT_RANGE, range)));
        }
        request.body = Body::Stream {
            body: body.clone(),
            offset,
            size: Some(end - offset),
            is_last: end == size,
        };
        self.bring(request).await
    }

    /// Sends what comes until it ends. None if the connection broke: then the session is of no use.
    async fn stream(mut self, body: &BlobBody) -> Result<Option<Self>, RegistryError> {
        let mut request = self.request(Method::PATCH)?;
        request.body = Body::Stream {
            body: body.clone(),
            offset: 0,
            size: None,
            is_last: true,
        };
        match self.bring(request).await {
            Ok(()) => Ok(Some(self)),
            Err(RegistryError::Body { .. }) => {
                // Whoever makes the bytes has given up, and says so itself.
                self.cancel().await;
                Ok(None)
            }
            Err(error) if is_worth_another_session(&error) || is_wrong_form(&error) => {
                self.cancel().await;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends an upload whose bytes are all there.
    async fn finish(&self, digest: &Digest) -> Result<(), RegistryError> {
        let mut request = self.request(Method::PUT)?;
        request
            .url
            .query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        request.body = Body::Bytes(bytes::Bytes::new());
        self.exchange(request, &ENDED).await.map(drop)
    }

    /// Asks what has arrived; none where the registry cannot tell, or not to any use.
    ///
    /// Debian's docker-registry (2.8) forgets a session whose request was cut, and answers 404.
    async fn acknowledged(&mut self, size: u64) -> Option<u64> {
        if !self.repository.profile().resumes {
            return None;
        }
        let mut request = self.request(Method::GET).ok()?;
        request.headers.remove(CONTENT_TYPE);
        request.patience = self.repository.client().options().answer_timeout;
        let response = self.repository.transport().send(request).await.ok()?;
        if response.status() != StatusCode::NO_CONTENT {
            return None;
        }
        let range = response.headers().get(RANGE)?.to_str().ok()?;
        let (start, last) = range.trim_start_matches("bytes=").split_once('-')?;
        let last: u64 = last.trim().parse().ok()?;
        if let Some(location) = location(&self.location, &response).ok()? {
            self.location = location;
        }
        // `0-0` is one byte or none; both are sent again, which a fresh session makes safe.
        (start.trim() == "0" && last > 0 && last < size).then_some(last + 1)
    }

    /// Gives the upload up; that a registry cannot is no matter.
    pub async fn cancel(self) {
        if let Ok(mut request) = self.request(Method::DELETE) {
            request.headers.remove(CONTENT_TYPE);
            request.patience = self.repository.client().options().answer_timeout;
            let _ = self.repository.transport().send(request).await;
        }
    }

    fn request(&self, method: Method) -> Result<Request, RegistryError> {
        let mut request =
            self.repository
                .request(Action::SendBlob, method, "blobs/uploads/", Access::Push)?;
        request.url = self.location.clone();
        request
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        // The limit is on the answer; the bytes themselves may take as long as they move.
        request.patience = LONG_PATIENCE;
        request.retries = false;
        Ok(request)
    }

    /// Sends a request that brings bytes, and goes on where its answer says.
    async fn bring(&mut self, request: Request) -> Result<(), RegistryError> {
        let response = self.exchange(request, &TAKEN).await?;
        if let Some(location) = location(&self.location, &response)? {
            self.location = location;
        }
        Ok(())
    }

    async fn exchange(&self, request: Request, wanted: &[StatusCode]) -> Result<Response, RegistryError> {
        let (method, url) = (request.method.clone(), request.url.clone());
        let response = self.repository.transport().send(request).await?;
        expect((&method, &url), response, wanted).await
    }
}

/// What says that a blob is there.
const ENDED: [StatusCode; 3] = [StatusCode::CREATED, StatusCode::OK, StatusCode::NO_CONTENT];

/// What says that bytes have arrived. The specification wants 202; ECR says 201 (containers-roadmap 2831).
const TAKEN: [StatusCode; 4] = [
    StatusCode::ACCEPTED,
    StatusCode::CREATED,
    StatusCode::OK,
    StatusCode::NO_CONTENT,
];

/// Where an answer leads, if it leads anywhere; relative to what was asked, as the specification allows.
fn location(base: &Url, response: &Response) -> Result<Option<Url>, RegistryError> {
    let Some(location) = response.headers().get(LOCATION) else {
        return Ok(None);
    };
    let location = location.to_str().ok().and_then(|text| base.join(text).ok());
    let location = location.ok_or_else(|| RegistryError::Answer {
        method: Method::POST,
        place: place(base),
        what: "Location",
    })?;
    checked(base, location).map(Some)
}

/// The form to try where a registry has something against one. A part that is too large is told apart from all else.
fn other_form(form: UploadForm, error: &RegistryError) -> Option<UploadForm> {
    let RegistryError::Status { status, .. } = error else {
        return None;
    };
    match (form, *status) {
        (UploadForm::Put | UploadForm::Patch, StatusCode::PAYLOAD_TOO_LARGE) => {
            Some(UploadForm::Chunks(SMALL_PARTS))
        }
        (UploadForm::Put, _) if is_wrong_form(error) => Some(UploadForm::Patch),
        _ => None,
    }
}

/// Tells whether the registry has something against how the bytes were sent.
fn is_wrong_form(error: &RegistryError) -> bool {
    let refusals = [
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::LENGTH_REQUIRED,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::NOT_IMPLEMENTED,
    ];
    matches!(error, RegistryError::Status { status, .. } if refusals.contains(status))
}

/// How many sessions there are in all for a blob that fails like this: several where a connection broke or the session
/// is gone, a second one where the registry stumbles, which has been tried again in the first already.
fn sessions_for(error: &RegistryError) -> u32 {
    match error {
        RegistryError::Transport { .. } | RegistryError::Timeout { .. } => SESSIONS,
        RegistryError::Status { status, .. } if matches!(status.as_u16(), 404 | 416) => SESSIONS,
        RegistryError::Status { status, .. } if status.is_server_error() => 2,
        _ => 1,
    }
}

/// Whether the blob may get through in another session, after one in which it was sent while it was made.
fn is_worth_another_session(error: &RegistryError) -> bool {
    let is_throttled = matches!(error, RegistryError::Status { status, .. } if is_throttling(*status));
    is_throttled || sessions_for(error) > 1
}
