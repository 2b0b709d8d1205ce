use onlay_oci::Registry;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};

use crate::identity::Authorization;
use crate::transport::{Body, Transport, expect, plain};
use crate::{Action, Client, RegistryError};

/// What a registry says to a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginCheck {
    /// It is a good one.
    Accepted,
    /// It did not want to see one: it lets everybody in, at least as far as its door.
    NotAsked,
}

impl Client {
    /// Shows the credential for a registry to it, and to its token endpoint if it has one.
    ///
    /// # Errors
    /// The credential is refused, or the registry fails.
    pub async fn check_login(&self, registry: &Registry) -> Result<LoginCheck, RegistryError> {
        let door = self.endpoint(registry)?.join("v2/");
        let door = door.map_err(|source| RegistryError::Address {
            registry: registry.to_string(),
            source,
        })?;
        let (method, url) = (Method::GET, door.clone());
        let request = plain(
            Action::FetchToken,
            method.clone(),
            door,
            HeaderMap::new(),
            Body::Empty,
        );
        let transport = Transport {
            client: self,
            registry,
            repository: None,
            api: None,
            has_successor: false,
        };
        let response = transport.send(request).await?;
        let response = expect((&method, &url), response, &[StatusCode::OK]).await?;
        let sent = response.extensions().get::<Authorization>();
        Ok(match sent.is_some_and(|sent| sent.header.is_some()) {
            true => LoginCheck::Accepted,
            false => LoginCheck::NotAsked,
        })
    }
}
