//! Where credentials are: flags, environment, and the files of docker and of containers' tools.

use std::path::{Path, PathBuf};

use clap::Args;
use onlay_registry::{Keychain, Secret};

use crate::environment;
use crate::failure::Usage;
use crate::session::is_absent;

/// Where credentials are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registries")]
pub(crate) struct CredentialOptions {
    /// Take credentials from this file first: docker's config.json or containers' auth.json [default: DOCKER_AUTH_CONFIG,
    /// which is such a text; REGISTRY_AUTH_FILE; containers/auth.json in XDG_RUNTIME_DIR, or else
    /// /run/containers/UID/auth.json; containers/auth.json in XDG_CONFIG_HOME or HOME/.config; config.json in DOCKER_CONFIG or HOME/.docker]
    #[arg(long, value_name = "FILE")]
    pub auth_file: Option<PathBuf>,

    /// Log in to HOST, or to what is below a path of it, as USER with the password in FILE; may be given several times
    #[arg(long, value_name = "HOST[/PATH]=USER:FILE")]
    pub password_file: Vec<String>,

    /// What was found in other places that the user names.
    #[arg(skip)]
    pub found: Vec<FoundPassword>,
}

/// A password from another place.
#[derive(Clone, Debug)]
pub(crate) struct FoundPassword {
    /// What the place is called.
    pub by: String,
    /// What it is for.
    pub host: String,
    pub username: String,
    pub password: Secret,
}

/// What registries are asked with: of these sources, the first that has something for a registry counts.
///
/// A file that the user names must be there; one in its usual place need not be, but must be readable if it is.
pub(crate) fn keychain(options: &CredentialOptions) -> anyhow::Result<Keychain> {
    let mut keychain = Keychain::default();
    for text in &options.password_file {
        keychain = with_password_file(keychain, text)?;
    }
    for found in &options.found {
        let FoundPassword {
            by,
            host,
            username,
            password,
        } = found;
        keychain = keychain.with_password(by, host, username, password.clone());
    }
    if let Some(file) = &options.auth_file {
        keychain = with_named_file(keychain, "`--auth-file`", file)?;
    }
    if let Some(text) = environment::text(environment::DOCKER_AUTH_CONFIG) {
        keychain = keychain.with_config(environment::DOCKER_AUTH_CONFIG, text.as_bytes())?;
    }
    if let Some(file) = environment::path(environment::REGISTRY_AUTH_FILE) {
        keychain = with_named_file(keychain, "`REGISTRY_AUTH_FILE`", &file)?;
    }
    let usual = [
        Some(session_file(environment::path(environment::XDG_RUNTIME_DIR))),
        environment::config_home().map(|directory| directory.join(CONTAINERS_FILE)),
        environment::docker_config(),
    ];
    for file in usual.into_iter().flatten() {
        let name = file.display().to_string();
        keychain = match fs_err::read(&file) {
            Ok(text) => keychain.with_config(&name, &text)?,
            Err(error) if is_absent(&error) => keychain.with_absent(&name),
            Err(error) => return Err(error.into()),
        };
    }
    Ok(keychain)
}

/// Where containers' tools keep credentials, below the user's directories.
const CONTAINERS_FILE: &str = "containers/auth.json";

/// Where `podman login` and its kin write: below the directory of the user's session, or, where there is none, as in
/// services and cron jobs, in a place by the user's number.
///
/// Source: containers/image `pkg/docker/config/config.go`; containers-auth.json(5) has only the first.
fn session_file(session: Option<PathBuf>) -> PathBuf {
    match session {
        Some(directory) => directory.join(CONTAINERS_FILE),
        None => format!("/run/containers/{}/auth.json", rustix::process::getuid()).into(),
    }
}

fn with_named_file(keychain: Keychain, by: &str, file: &Path) -> Result<Keychain, Usage> {
    let text = fs_err::read(file).map_err(|error| Usage(format!("{by}: {error}")))?;
    keychain
        .with_config(&file.display().to_string(), &text)
        .map_err(|error| Usage(format!("{by}: {error}")))
}

/// `HOST[/PATH]=USER:FILE`. The password itself has no place in arguments, where every process can read it.
fn with_password_file(keychain: Keychain, text: &str) -> Result<Keychain, Usage> {
    let wrong = |what: &str| Usage(format!("`--password-file {text}`: {what}"));
    let parts = text.split_once('=').and_then(|(name, rest)| {
        let (username, file) = rest.split_once(':')?;
        let is_whole = ![name, username, file].contains(&"");
        is_whole.then_some((name, username, file))
    });
    let (name, username, file) = parts.ok_or_else(|| wrong("expected HOST[/PATH]=USER:FILE"))?;
    let read = fs_err::read(file).map_err(|error| wrong(&error.to_string()))?;
    let password = password(read).ok_or_else(|| wrong("there is no password in it"))?;
    Ok(keychain.with_password("--password-file", name, username, password))
}

/// The password in a file or on standard input: all but the end of the line. None if there is none.
pub(crate) fn password(bytes: Vec<u8>) -> Option<Secret> {
    let text = String::from_utf8(bytes).ok()?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let is_usable = !line.is_empty() && !line.contains(['\n', '\0']);
    is_usable.then(|| Secret::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line() {
        let cases = [
            ("hunter2", Some("hunter2")),
            ("hunter2\n", Some("hunter2")),
            ("hunter2\r\n", Some("hunter2")),
            (" a b \n", Some(" a b ")),
            ("\n", None),
            ("", None),
            ("a\nb\n", None),
        ];
        for (text, expected) in cases {
            let password = password(text.as_bytes().to_vec());
            assert_eq!(password.as_ref().map(Secret::reveal), expected, "{text:?}");
        }
        assert_eq!(password(vec![0xff]), None);
    }
}
