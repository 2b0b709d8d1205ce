use onlay_oci::{Descriptor, Digest, Repository};
use reqwest::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::repository::Access;
use crate::retry::pause;
use crate::transport::{Body, LONG_PATIENCE, checked, expect, place};
use crate::{Action, BlobBody, RegistryError, RepositoryClient};

/// What became of a request to mount a blob.
pub enum Mount {
    /// The registry took it from the other repository.
    Mounted,
    /// It did not, and opened an upload instead.
    Session(UploadSession),
}

/// An upload that was begun. Dropping it leaves nothing but a session that the registry forgets.
#[derive(Debug)]
pub struct UploadSession {
    repository: RepositoryClient,
    location: Url,
}

/// How many sessions an upload may take before it is given up.
const SESSIONS: u32 = 4;

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
            Err(RegistryError::Status { status, .. }) if status.is_client_error() => {
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

    fn session(&self, response: &Response) -> Result<UploadSession, RegistryError> {
        let base = self.url("blobs/uploads/")?;
        let missing = || RegistryError::Answer {
            method: Method::POST,
            place: place(&base),
            what: "Location",
        };
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(missing)?;
        let location = base.join(location).map_err(|_| missing())?;
        Ok(UploadSession {
            repository: self.clone(),
            location: checked(&base, location)?,
        })
    }
}

impl UploadSession {
    /// Sends the bytes of a blob in one request and ends the upload.
    ///
    /// A connection that breaks in the middle costs a new session and the bytes again, a few times; if only the answer
    /// was lost, the blob is found and nothing sent again.
    ///
    /// # Errors
    /// The registry refuses the blob, or cannot be reached; or the bytes could not be read.
    pub async fn put(self, descriptor: &Descriptor, body: BlobBody) -> Result<(), RegistryError> {
        let Self {
            repository,
            mut location,
        } = self;
        let mut sessions = 1;
        loop {
            let error = match put_once(&repository, &location, descriptor, &body).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !is_worth_another_session(&error) || sessions >= SESSIONS {
                return Err(error);
            }
            tokio::time::sleep(pause(sessions)).await;
            if repository.head_blob(&descriptor.digest).await?.is_some() {
                return Ok(());
            }
            location = repository.start_upload().await?.location;
            sessions += 1;
        }
    }

    /// Gives the upload up; that a registry cannot is no matter.
    pub async fn cancel(self) {
        if let Ok(mut request) = self
            .repository
            .request(Action::SendBlob, Method::DELETE, "", Access::Push)
        {
            request.url = self.location;
            request.retries = false;
            let _ = self.repository.transport().send(request).await;
        }
    }
}

async fn put_once(
    repository: &RepositoryClient,
    location: &Url,
    descriptor: &Descriptor,
    body: &BlobBody,
) -> Result<(), RegistryError> {
    let mut request = repository.request(Action::SendBlob, Method::PUT, "blobs/uploads/", Access::Push)?;
    request.url = location.clone();
    request
        .url
        .query_pairs_mut()
        .append_pair("digest", &descriptor.digest.to_string());
    request
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    request.body = Body::Stream {
        body: body.clone(),
        size: descriptor.size,
    };
    // The limit is on the answer; the bytes themselves may take as long as they move.
    request.patience = LONG_PATIENCE;
    request.retries = false;
    let (method, url) = (request.method.clone(), request.url.clone());
    let response = repository.transport().send(request).await?;
    expect(
        (&method, &url),
        response,
        &[StatusCode::CREATED, StatusCode::OK, StatusCode::NO_CONTENT],
    )
    .await?;
    Ok(())
}

/// A broken connection, a session that is gone, or a registry that stumbled.
fn is_worth_another_session(error: &RegistryError) -> bool {
    match error {
        RegistryError::Transport { .. } | RegistryError::Timeout { .. } => true,
        RegistryError::Status { status, .. } => {
            status.is_server_error() || matches!(status.as_u16(), 404 | 408 | 416 | 429)
        }
        _ => false,
    }
}
