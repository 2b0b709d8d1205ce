//! Docker's `config.json` and containers' `auth.json`, as far as they are about credentials.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::entry_names::is_for;
use crate::{Credential, KeychainError, Secret};

/// The text of a configuration file. What stands in it is not checked before it is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct AuthFile {
    #[serde(skip)]
    pub(crate) name: String,
    #[serde(default)]
    auths: Option<BTreeMap<String, Option<Entry>>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    general_helper: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default, rename = "identitytoken")]
    identity_token: Option<String>,
    #[serde(default, rename = "registrytoken")]
    registry_token: Option<String>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl AuthFile {
    /// Reads a file's text; an empty one says nothing.
    pub(crate) fn parse(name: &str, text: &[u8]) -> Result<Self, KeychainError> {
        let text = if text.trim_ascii().is_empty() { b"{}" } else { text };
        let file: Self = serde_json::from_slice(text).map_err(|error| KeychainError::Malformed {
            name: name.to_owned(),
            line: error.line(),
            column: error.column(),
        })?;
        let name = name.to_owned();
        Ok(Self { name, ..file })
    }

    /// The registries, and paths below them, that something is said of.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let entries = self.auths.iter().flat_map(BTreeMap::keys);
        let helpers = self.helpers.iter().flat_map(BTreeMap::keys);
        entries.chain(helpers).map(String::as_str)
    }

    /// The helper for exactly this name.
    pub(crate) fn helper(&self, key: &str) -> Option<&str> {
        self.helpers.as_ref()?.get(key).map(String::as_str)
    }

    /// The helper for all others.
    pub(crate) fn general_helper(&self) -> Option<&str> {
        self.general_helper.as_deref().filter(|name| !name.is_empty())
    }

    /// The entry for a name, with the name as it stands there. An entry may have nothing in it: docker leaves such where a
    /// helper keeps the credential.
    pub(crate) fn entry(&self, key: &str) -> Result<Option<(&str, Option<Credential>)>, KeychainError> {
        let mut entries = self.auths.iter().flatten();
        let Some((name, entry)) = entries.find(|(name, _)| is_for(name, key)) else {
            return Ok(None);
        };
        let credential = match entry {
            Some(entry) => entry.credential(&self.name, name)?,
            None => None,
        };
        Ok(Some((name, credential)))
    }
}

impl Entry {
    fn credential(&self, file: &str, name: &str) -> Result<Option<Credential>, KeychainError> {
        if let Some(token) = given(&self.registry_token) {
            return Ok(Some(Credential::RegistryToken(Secret::new(token))));
        }
        let login = self.login().ok_or_else(|| KeychainError::Auth {
            file: file.to_owned(),
            name: name.to_owned(),
        })?;
        if let Some(token) = given(&self.identity_token) {
            let username = login
                .map(|(username, _)| username)
                .filter(|name| !name.is_empty());
            return Ok(Some(Credential::IdentityToken {
                username: username.unwrap_or_else(|| Credential::NOBODY.to_owned()),
                token: Secret::new(token),
            }));
        }
        Ok(login.map(|(username, password)| Credential::of_login(&username, &password)))
    }

    /// Name and password, if there are any; nothing at all if they cannot be read.
    fn login(&self) -> Option<Option<(String, String)>> {
        let Some(auth) = given(&self.auth) else {
            let username = given(&self.username).map(str::to_owned);
            return Some(username.zip(given(&self.password).map(str::to_owned)));
        };
        let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Some((
            username.to_owned(),
            // Old versions of docker padded with zeroes.
            password.trim_end_matches('\0').to_owned(),
        )))
    }
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}
