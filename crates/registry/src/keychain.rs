use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onlay_oci::{Registry, Repository};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use crate::{Credential, Secret};

/// Finds credentials: the texts of docker's configuration files, in order of precedence.
///
/// In each, helpers named for a registry come first, then entries from the longest path to the host, then the general
/// helper. Docker Hub is found under each of its names.
///
/// Source: docker/cli `config.json`; containers-auth.json(5) for paths; registry.md §3.3.
#[derive(Clone, Debug, Default)]
pub struct Keychain {
    files: Vec<ConfigFile>,
    helpers_in: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
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

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What a helper prints.
#[derive(Deserialize)]
struct Helped {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

impl Keychain {
    /// Adds the text of a configuration file; the first one that has an entry counts.
    ///
    /// # Errors
    /// The text is not a configuration file; `name` is what the error calls it.
    pub fn with_config(mut self, name: &str, text: &[u8]) -> Result<Self, KeychainError> {
        let file = serde_json::from_slice(text).map_err(|source| KeychainError::Malformed {
            name: name.to_owned(),
            source,
        })?;
        self.files.push(file);
        Ok(self)
    }

    /// Looks for credential helpers in this directory, instead of where the system looks for programs.
    #[must_use]
    pub fn with_helpers_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.helpers_in = Some(directory.into());
        self
    }

    /// Finds the credential for a repository; none means that it is asked without.
    ///
    /// # Errors
    /// An entry does not decode, or a helper fails: that must not pass for "no credential".
    pub(crate) async fn credential(
        &self,
        registry: &Registry,
        repository: &Repository,
    ) -> Result<Option<Credential>, KeychainError> {
        let keys = keys(registry, repository);
        for file in &self.files {
            if let Some(found) = file.credential(&keys, self.helpers_in.as_deref()).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl ConfigFile {
    async fn credential(
        &self,
        keys: &[String],
        helpers_in: Option<&Path>,
    ) -> Result<Option<Credential>, KeychainError> {
        for key in keys {
            if let Some(helper) = self.helpers.get(key) {
                return ask(helper, key, helpers_in).await;
            }
        }
        for key in keys {
            let entry = self.auths.iter().find(|(name, _)| bare(name) == key.as_str());
            if let Some(credential) = entry
                .map(|(name, entry)| entry.credential(name))
                .transpose()?
                .flatten()
            {
                return Ok(Some(credential));
            }
        }
        let Some(helper) = &self.general_helper else {
            return Ok(None);
        };
        for key in keys
            .iter()
            .filter(|key| !key.contains('/') || key.ends_with("/v1/"))
        {
            if let Some(credential) = ask(helper, key, helpers_in).await? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }
}

impl Entry {
    fn credential(&self, name: &str) -> Result<Option<Credential>, KeychainError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registry_token) {
            return Ok(Some(Credential::RegistryToken(Secret::new(token))));
        }
        if let Some(token) = given(&self.identity_token) {
            return Ok(Some(Credential::IdentityToken(Secret::new(token))));
        }
        if let Some(auth) = given(&self.auth) {
            let malformed = || KeychainError::Auth {
                name: name.to_owned(),
            };
            let decoded = STANDARD.decode(auth.trim()).map_err(|_| malformed())?;
            let text = String::from_utf8(decoded).map_err(|_| malformed())?;
            let (username, password) = text.split_once(':').ok_or_else(malformed)?;
            return Ok(Some(login(username, password.trim_end_matches('\0'))));
        }
        let (username, password) = (given(&self.username), given(&self.password));
        Ok(username
            .zip(password)
            .map(|(username, password)| login(&username, &password)))
    }
}

/// Docker writes the name `<token>` where the password is a token to be exchanged.
fn login(username: &str, password: &str) -> Credential {
    let secret = Secret::new(password);
    match username {
        "<token>" => Credential::IdentityToken(secret),
        username => Credential::Password {
            username: username.to_owned(),
            password: secret,
        },
    }
}

/// The names that an entry may have, the most specific first.
fn keys(registry: &Registry, repository: &Repository) -> Vec<String> {
    let mut keys = Vec::new();
    let mut path = format!("{registry}/{}", repository.as_str());
    loop {
        keys.push(path.clone());
        match path.rsplit_once('/') {
            Some((shorter, _)) => path = shorter.to_owned(),
            None => break,
        }
    }
    if registry.is_docker_hub() {
        let aliases = [
            "https://index.docker.io/v1/",
            "index.docker.io/v1",
            "index.docker.io",
            "registry-1.docker.io",
        ];
        keys.extend(aliases.map(str::to_owned));
    }
    keys
}

/// Entries are also written as URLs.
fn bare(name: &str) -> &str {
    // Docker Hub's own key is looked up as it is.
    if name == "https://index.docker.io/v1/" {
        return name;
    }
    let name = name.trim_start_matches("https://").trim_start_matches("http://");
    name.trim_end_matches('/')
        .trim_end_matches("/v2")
        .trim_end_matches("/v1")
}

/// How long a helper may take; some ask a person.
const HELPER_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs `docker-credential-HELPER get`, with the server on its standard input.
///
/// Source: docker/docker-credential-helpers README.
async fn ask(
    helper: &str,
    server: &str,
    helpers_in: Option<&Path>,
) -> Result<Option<Credential>, KeychainError> {
    let failed = |message: String| KeychainError::Helper {
        helper: helper.to_owned(),
        message,
    };
    if helper.contains('/') {
        return Err(failed("its name has a slash".to_owned()));
    }
    let name = format!("docker-credential-{helper}");
    let program = helpers_in.map_or_else(|| PathBuf::from(&name), |directory| directory.join(&name));
    let mut child = tokio::process::Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read is told apart by what it answers.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    let output = tokio::time::timeout(HELPER_TIMEOUT, child.wait_with_output())
        .await
        .map_err(|_| failed(format!("no answer within {} seconds", HELPER_TIMEOUT.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let message = format!("{printed}{}", String::from_utf8_lossy(&output.stderr));
        // The one failure that means "none"; it is told by its words, in either place.
        return if message.contains("credentials not found") {
            Ok(None)
        } else {
            Err(failed(message.trim().to_owned()))
        };
    }
    let Helped { username, secret } = serde_json::from_str(&printed)
        .map_err(|_| failed("its answer is not what helpers print".to_owned()))?;
    Ok(Some(login(&username, &secret)))
}

/// Why a credential could not be looked up. The texts have no secret in them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeychainError {
    /// Not a configuration file.
    #[error("`{name}` is not a docker configuration file")]
    Malformed {
        /// The file, or where else the text is from.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An entry that does not decode.
    #[error("the `auth` of `{name}` is not base64 of `user:password`")]
    Auth {
        /// The entry's name.
        name: String,
    },
    /// A helper that failed.
    #[error("docker-credential-{helper}: {message}")]
    Helper {
        /// The helper.
        helper: String,
        /// Its own words.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn find(config: &str, registry: &str, repository: &str) -> Option<String> {
        let keychain = Keychain::default()
            .with_config("config.json", config.as_bytes())
            .unwrap();
        let found = keychain
            .credential(&registry.parse().unwrap(), &repository.parse().unwrap())
            .await
            .unwrap();
        found.map(|credential| match credential {
            Credential::Password { username, password } => format!("{username}:{}", password.reveal()),
            Credential::IdentityToken(token) => format!("identity {}", token.reveal()),
            Credential::RegistryToken(token) => format!("registry {}", token.reveal()),
        })
    }

    #[tokio::test]
    async fn the_longest_path_wins() {
        let config = r#"{"auths":{"h.example":{"auth":"YTox"},"h.example/team":{"auth":"YjoyOjM="},
            "https://h.example:5000/v2/":{"username":"c","password":"4"},"t.example":{"identitytoken":"id"}}}"#;
        assert_eq!(find(config, "h.example", "other/x").await.as_deref(), Some("a:1"));
        assert_eq!(
            find(config, "h.example", "team/x").await.as_deref(),
            Some("b:2:3")
        );
        assert_eq!(find(config, "h.example:5000", "x").await.as_deref(), Some("c:4"));
        assert_eq!(
            find(config, "t.example", "x").await.as_deref(),
            Some("identity id")
        );
        assert_eq!(find(config, "none.example", "x").await, None);
    }

    #[tokio::test]
    async fn docker_hub_has_many_names() {
        for key in ["https://index.docker.io/v1/", "docker.io", "index.docker.io"] {
            let config = format!(r#"{{"auths":{{"{key}":{{"auth":"YTox"}}}}}}"#);
            assert_eq!(
                find(&config, "docker.io", "library/x").await.as_deref(),
                Some("a:1"),
                "{key}"
            );
        }
    }

    #[tokio::test]
    async fn a_helper_that_fails_is_not_nobody() {
        let config = r#"{"credHelpers":{"h.example":"onlay-no-such-helper"}}"#;
        let keychain = Keychain::default()
            .with_config("config.json", config.as_bytes())
            .unwrap();
        let found = keychain
            .credential(&"h.example".parse().unwrap(), &"x".parse().unwrap())
            .await;
        assert!(matches!(found, Err(KeychainError::Helper { .. })));
    }

    #[test]
    fn secrets_do_not_print() {
        let text = r#"{"auths":{"h.example":{"auth":"c2VjcmV0OnNlY3JldA==","password":"hunter2"}}}"#;
        let keychain = Keychain::default().with_config("x", text.as_bytes()).unwrap();
        let printed = format!("{keychain:?} {:?}", Secret::new("hunter2"));
        assert!(
            !printed.contains("hunter2") && !printed.contains("c2Vj"),
            "{printed}"
        );
    }
}
