use onlay_oci::Registry;
use reqwest::StatusCode;

use crate::identity::Authorization;
use crate::transport::{Transport, expect};
use crate::{Client, RegistryError};

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
        let transport = Transport {
            client: self,
            registry,
            repository: None,
            api: None,
            has_successor: false,
        };
        let door = transport.door()?;
        let (method, url) = (door.method.clone(), door.url.clone());
        let response = transport.send(door).await?;
        let response = expect((&method, &url), response, &[StatusCode::OK]).await?;
        let sent = response.extensions().get::<Authorization>();
        Ok(match sent.is_some_and(|sent| sent.header.is_some()) {
            true => LoginCheck::Accepted,
            false => LoginCheck::NotAsked,
        })
    }
}
