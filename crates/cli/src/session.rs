use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use onlay_base::Listings;
use onlay_registry::{Client, ClientOptions, Observer, Profile, ProfileError};
use onlay_store::Cache;

use crate::credentials::keychain;
use crate::environment;
use crate::failure::Usage;
use crate::mirrors;
use crate::network::Network;
use crate::options::RegistryOptions;

/// The registries and the cache of one run.
pub(crate) struct Session {
    /// Registries.
    pub client: Client,
    /// What is known from earlier runs.
    pub cache: Arc<Cache>,
    /// Listings of layers.
    pub listings: Listings,
    /// How they, and hosts that are no registries, are reached.
    pub network: Network,
}

impl Session {
    /// Sets up what the options and the environment say; nothing is sent yet.
    pub(crate) fn start(
        registry: &RegistryOptions,
        cache_dir: Option<&Path>,
        observer: Observer,
    ) -> anyhow::Result<Self> {
        let network = Network::read(&registry.ca_file)?;
        let client = client(registry, &network, observer)?;
        let cache = match cache_dir
            .map(Path::to_owned)
            .or_else(environment::cache_directory)
        {
            Some(directory) => Cache::in_directory(directory),
            None => Cache::in_memory(),
        };
        let cache = Arc::new(cache);
        Ok(Self {
            client,
            cache: cache.clone(),
            listings: Listings::new(cache),
            network,
        })
    }
}

/// Sets registries up as the options and the environment say; nothing is sent yet.
pub(crate) fn client(
    registry: &RegistryOptions,
    network: &Network,
    observer: Observer,
) -> anyhow::Result<Client> {
    let options = ClientOptions {
        insecure_registries: registry.insecure_registry.iter().cloned().collect(),
        tls_registries: registry.tls.iter().cloned().collect(),
        endpoints: endpoints(&registry.registry_endpoint)?,
        keychain: keychain(&registry.credentials)?,
        extensions: vec![Arc::new(
            registry.ecr.extension(network.connection_options(registry))?,
        )],
        profiles: profiles(&registry.registry_profile)?,
        mirrors: mirrors::mirrors(registry)?,
        proxies: network.proxies.clone(),
        authorities: network.authorities.clone(),
        hosts: network.hosts.clone(),
        observer,
        connect_timeout: registry.connect_timeout,
        answer_timeout: registry.answer_timeout,
        idle_timeout: registry.idle_timeout,
    };
    Ok(Client::new(options)?)
}

fn endpoints(texts: &[String]) -> Result<BTreeMap<String, url::Url>, Usage> {
    let endpoint = |text: &String| {
        // The address is not shown: it may have a password in it.
        let expected = || Usage("`--registry-endpoint`: expected HOST=URL".to_owned());
        let (host, url) = text.split_once('=').ok_or_else(expected)?;
        let wrong = |what: &str| Usage(format!("`--registry-endpoint {host}=...`: {what}"));
        let mut url: url::Url = url.parse().map_err(|_| wrong("that is no address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("expected an address with `http` or `https`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "expected no password in the address; give it to `onlay login`",
            ));
        }
        // Paths are joined below it, which needs the slash.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok((host.to_owned(), url))
    };
    texts.iter().map(endpoint).collect()
}

fn profiles(texts: &[String]) -> Result<BTreeMap<String, Profile>, Usage> {
    let profile = |text: &String| {
        let wrong = |what: &str| Usage(format!("`--registry-profile {text}`: {what}"));
        let (host, profile) = text
            .split_once('=')
            .ok_or_else(|| wrong("expected HOST=PROFILE"))?;
        let profile = profile
            .parse()
            .map_err(|error: ProfileError| wrong(&error.to_string()))?;
        Ok((host.to_owned(), profile))
    };
    texts.iter().map(profile).collect()
}

pub(crate) fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}
