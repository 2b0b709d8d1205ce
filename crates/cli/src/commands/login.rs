use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use onlay_oci::Registry;
use onlay_registry::{
    Client, ClientOptions, CredentialHelper, CredentialSource, EntryNames, Keychain, LoginCheck, Secret,
};

use crate::auth_file::AuthFile;
use crate::credentials::{CredentialOptions, keychain, password};
use crate::environment;
use crate::failure::Usage;
use crate::network::Network;
use crate::prompt::{ask, ask_secretly, can_ask};
use crate::terminal::say;

/// Log in to a registry
///
/// Shows user name and password to the registry and, if it takes them, keeps them where docker and containers' tools look
/// too: with the credential helper that the file names for the registry (`credHelpers`, `credsStore`), else in the file
/// itself, as base64, for its owner only. All else in the file stays as it is.
///
///     aws ecr get-login-password | onlay login 123456789012.dkr.ecr.eu-west-1.amazonaws.com -u AWS --password-stdin
///
/// (ECR needs no login where AWS's credentials are at hand.)
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Login {
    /// The registry [default: Docker Hub]
    #[arg(value_name = "HOST", value_parser = registry)]
    host: Option<Registry>,

    /// The user's name [default: asked for]
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,

    /// Read the password from standard input; else it is asked for on the terminal
    #[arg(long)]
    password_stdin: bool,

    /// Refused with the reason
    #[arg(short, long, hide = true, num_args(0..=1), value_parser = secret)]
    password: Option<Option<Secret>>,

    #[command(flatten)]
    file: FileOption,

    /// Speak plain HTTP to the registry; loopback addresses are spoken to that way by themselves
    #[arg(long)]
    insecure: bool,

    /// Speak TLS to the registry although its address is loopback
    #[arg(long)]
    tls: bool,

    /// Trust the authorities in this PEM file too; may be given several times
    #[arg(long, value_name = "FILE")]
    ca_file: Vec<PathBuf>,
}

/// The file that `login` and `logout` are about.
#[derive(Debug, Args)]
pub(crate) struct FileOption {
    /// The file: docker's config.json or containers' auth.json [default: REGISTRY_AUTH_FILE, config.json in DOCKER_CONFIG
    /// or HOME/.docker]
    #[arg(long, value_name = "FILE")]
    pub auth_file: Option<PathBuf>,
}

impl Login {
    /// Asks for what is missing, shows it to the registry, and keeps it.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.password.is_some() {
            let reason = "`--password` shows the password to every process of this machine; give it on standard input, with `--password-stdin`";
            return Err(Usage(reason.to_owned()).into());
        }
        let registry = self.host.clone().unwrap_or_else(Registry::docker_hub);
        // What is wrong with the file is better known before anybody types a password.
        let file = self.file.open()?;
        let username = self.username().await?;
        let password = self.password(&registry).await?;
        let check = self.check(&registry, &username, &password).await;
        let check = check.with_context(|| format!("failed to log in to `{registry}`"))?;
        if check == LoginCheck::NotAsked {
            say(&format!(
                "warning: `{registry}` asks nobody for a password, so this one was not checked"
            ));
        }
        let place = keep(file, &registry, &username, &password).await?;
        say(&format!(
            "logged in to `{registry}` as `{username}`; the password is {place}"
        ));
        self.file.warn_of_others(&registry).await;
        Ok(())
    }

    async fn username(&self) -> anyhow::Result<String> {
        let username = match &self.username {
            Some(username) => username.clone(),
            None if can_ask() && !self.password_stdin => ask("User name: ").await?,
            None => return Err(Usage("there is no user name; give it with `-u`".to_owned()).into()),
        };
        // Basic authentication ends the name with one.
        if username.is_empty() || username.contains(':') {
            return Err(Usage("a user's name has at least one character, and no colon".to_owned()).into());
        }
        Ok(username)
    }

    async fn password(&self, registry: &Registry) -> anyhow::Result<Secret> {
        let bytes = if self.password_stdin {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .context("failed to read standard input")?;
            bytes
        } else if can_ask() {
            let typed = ask_secretly(&format!("Password for `{registry}`: ")).await?;
            typed.reveal().as_bytes().to_vec()
        } else {
            let reason = "there is no terminal to ask for the password; give it on standard input, with `--password-stdin`";
            return Err(Usage(reason.to_owned()).into());
        };
        password(bytes).ok_or_else(|| Usage("expected a password, which is one line".to_owned()).into())
    }

    async fn check(
        &self,
        registry: &Registry,
        username: &str,
        password: &Secret,
    ) -> anyhow::Result<LoginCheck> {
        let network = Network::read(&self.ca_file)?;
        let mut options = ClientOptions {
            keychain: Keychain::default().with_password(
                BY_LOGIN,
                registry.as_str(),
                username,
                password.clone(),
            ),
            proxies: network.proxies,
            authorities: network.authorities,
            hosts: network.hosts,
            ..ClientOptions::default()
        };
        if self.insecure {
            options.insecure_registries.insert(registry.to_string());
        }
        if self.tls {
            options.tls_registries.insert(registry.to_string());
        }
        Ok(Client::new(options)?.check_login(registry).await?)
    }
}

/// What errors call a password that is not kept yet.
pub(crate) const BY_LOGIN: &str = "onlay login";

impl FileOption {
    /// The file, opened.
    pub(crate) fn open(&self) -> anyhow::Result<AuthFile> {
        let path = self
            .auth_file
            .clone()
            .or_else(|| environment::path(environment::REGISTRY_AUTH_FILE))
            .or_else(environment::docker_config)
            .ok_or_else(|| {
                Usage("there is no HOME to keep passwords in; name a file with `--auth-file`".to_owned())
            })?;
        AuthFile::open(&path)
    }

    /// Says where another credential for the registry is that counts before what is in the file, or in its place.
    pub(crate) async fn warn_of_others(&self, registry: &Registry) {
        let Some((file, source)) = self.chosen(registry).await else {
            return;
        };
        let is_own = match &source {
            CredentialSource::Entry { file: chosen, .. } | CredentialSource::Helper { file: chosen, .. } => {
                same_file(chosen, &file)
            }
            _ => false,
        };
        if !is_own {
            say(&format!(
                "warning: images of `{registry}` are read and published with {source}"
            ));
        }
    }

    /// What a build would be done with, beside the file that this is about.
    async fn chosen(&self, registry: &Registry) -> Option<(PathBuf, CredentialSource)> {
        let options = CredentialOptions {
            auth_file: self.auth_file.clone().filter(|file| file.exists()),
            password_file: Vec::new(),
            found: Vec::new(),
        };
        // What is wrong with other files is told when they are used.
        let trail = keychain(&options).ok()?.explain(registry, None).await;
        let file = self.open().ok()?.path().to_owned();
        Some((file, trail.chosen()?.clone()))
    }
}

fn same_file(one: &str, other: &std::path::Path) -> bool {
    fs_err::canonicalize(one).is_ok_and(|one| one == other)
}

/// Gives a login into the keeping of the helper that the file names, or else of the file; tells where it is.
async fn keep(
    mut file: AuthFile,
    registry: &Registry,
    username: &str,
    password: &Secret,
) -> anyhow::Result<String> {
    let names = EntryNames::of(registry, None);
    let path = file.path().display().to_string();
    let Some((helper, servers)) = file.helper(&names)? else {
        file.set(&names, username, password)?;
        file.write()?;
        return Ok(format!("in `{path}`"));
    };
    let helper = CredentialHelper::new(helper);
    let server = servers.first().map_or(names.written(), String::as_str);
    helper.store(server, username, password).await?;
    // An entry would count before what the helper keeps.
    if file.remove(&names)? {
        file.write()?;
    }
    Ok(format!("kept by {}", helper.program()))
}

/// A registry as it stands in image names, or as the URL that docker calls it.
pub(crate) fn registry(text: &str) -> Result<Registry, String> {
    let bare = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text)
        .trim_end_matches('/');
    let host = match bare.split_once('/') {
        Some((host, "v1" | "v2")) => host,
        _ => bare,
    };
    host.parse()
        .map_err(|_| "that is no registry, expected HOST[:PORT]".to_owned())
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_have_several_spellings() {
        let cases = [
            ("h.example:5000", Some("h.example:5000")),
            ("https://h.example/", Some("h.example")),
            ("https://h.example/v2/", Some("h.example")),
            ("https://index.docker.io/v1/", Some("docker.io")),
            ("registry-1.docker.io", Some("docker.io")),
            ("h.example/team", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = registry(text).ok().map(|registry| registry.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
