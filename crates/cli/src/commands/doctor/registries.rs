use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use onlay_oci::Registry;
use onlay_registry::{Client, LoginCheck, Observer};
use serde::Serialize;

use crate::credentials::keychain;
use crate::environment;
use crate::network::Network;
use crate::options::RegistryOptions;
use crate::session::client;

/// What credentials there are.
#[derive(Debug, Default, Serialize)]
pub(super) struct Credentials {
    /// By configuration files and flags.
    pub(super) entries: Vec<Entry>,
    /// Variables of AWS's and of registries' that are set.
    pub(super) variables: Vec<&'static str>,
    /// Why a configuration file could not be read.
    pub(super) error: Option<String>,
}

/// A registry, or a path below it, that a file has a credential or a helper for.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) place: String,
}

/// A registry that was asked.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    pub(super) name: String,
    /// Whether the command line names it.
    #[serde(skip)]
    pub(super) is_named: bool,
    /// `accepted`: it took the credential; `open`: it asked for none.
    pub(super) login: Option<&'static str>,
    pub(super) error: Option<String>,
    /// How long that took, in milliseconds.
    pub(super) milliseconds: u128,
}

/// How long a registry may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Finds credentials, and asks the registries that they are for and those that are named.
pub(super) async fn ask(options: &RegistryOptions, named: &[Registry]) -> (Credentials, Vec<Asked>) {
    let variables = environment::CREDENTIALS.iter().copied();
    let mut credentials = Credentials {
        variables: variables
            .filter(|name| environment::text(name).is_some())
            .collect(),
        ..Credentials::default()
    };
    let mut registries: BTreeSet<Registry> = named.iter().cloned().collect();
    match keychain(&options.credentials) {
        Ok(keychain) => {
            for (name, place) in keychain.names() {
                // A name with a path, or an address, is of the registry in front.
                let bare = name.trim_start_matches("https://").trim_start_matches("http://");
                let host = bare.split('/').next().unwrap_or_default();
                registries.extend(host.parse::<Registry>().ok());
                credentials.entries.push(Entry { name, place });
            }
        }
        Err(error) => credentials.error = Some(format!("{error:#}")),
    }
    let client =
        Network::read(&options.ca_file).and_then(|network| client(options, &network, Observer::default()));
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            credentials.error.get_or_insert(format!("{error:#}"));
            return (credentials, Vec::new());
        }
    };
    let mut asked = Vec::new();
    let mut asking = tokio::task::JoinSet::new();
    for registry in registries {
        let is_named = named.contains(&registry);
        asking.spawn(ask_one(client.clone(), registry, is_named));
    }
    while let Some(answer) = asking.join_next().await {
        asked.extend(answer.ok());
    }
    asked.sort_by(|one, other| one.name.cmp(&other.name));
    (credentials, asked)
}

async fn ask_one(client: Client, registry: Registry, is_named: bool) -> Asked {
    let start = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, client.check_login(&registry)).await;
    let (login, error) = match answer {
        Ok(Ok(LoginCheck::Accepted)) => (Some("accepted"), None),
        Ok(Ok(LoginCheck::NotAsked)) => (Some("open"), None),
        Ok(Err(error)) => (None, Some(format!("{:#}", anyhow::Error::new(error)))),
        Err(_) => (None, Some(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    Asked {
        name: registry.to_string(),
        is_named,
        login,
        error,
        milliseconds: start.elapsed().as_millis(),
    }
}
