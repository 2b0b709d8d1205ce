use onlay_oci::{Registry, Repository};

/// The names that a registry, and a repository in it, may have in configuration files and with helpers.
#[derive(Clone, Debug)]
pub struct EntryNames {
    host: String,
    /// All of them, the most specific first.
    keys: Vec<String>,
    is_hub: bool,
}

/// Docker Hub as docker calls it in its files.
///
/// Source: docker/cli `registry.IndexServer`.
const HUB: &str = "https://index.docker.io/v1/";

/// Docker Hub's other names.
const HUB_NAMES: [&str; 4] = [
    "index.docker.io",
    "index.docker.io/v1",
    "registry-1.docker.io",
    "registry.hub.docker.com",
];

impl EntryNames {
    /// The names of a registry, and with a repository those of every path to it too.
    pub fn of(registry: &Registry, repository: Option<&Repository>) -> Self {
        let host = registry.to_string();
        let mut path = host.clone();
        if let Some(repository) = repository {
            path = format!("{host}/{repository}");
        }
        let mut keys = vec![path.clone()];
        while let Some((shorter, _)) = path.rsplit_once('/') {
            path = shorter.to_owned();
            keys.push(path.clone());
        }
        let is_hub = registry.is_docker_hub();
        if is_hub {
            keys.push(HUB.to_owned());
            keys.extend(HUB_NAMES.map(str::to_owned));
        }
        Self { host, keys, is_hub }
    }

    /// The name that docker writes.
    pub fn written(&self) -> &str {
        if self.is_hub { HUB } else { &self.host }
    }

    /// Tells whether a name is one of these; it may be written as an URL.
    pub fn includes(&self, name: &str) -> bool {
        self.keys.iter().any(|key| is_for(name, key))
    }

    /// What a helper is asked for that stands under one of these names: docker and containers' tools call Docker Hub
    /// differently.
    pub fn servers(&self, key: &str) -> Vec<String> {
        let mut servers = vec![key.to_owned()];
        if self.is_hub && key != HUB {
            servers.insert(0, HUB.to_owned());
        }
        servers
    }

    pub(crate) fn keys(&self) -> &[String] {
        &self.keys
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

/// Tells whether an entry's name means this registry or path. Names are also written as URLs.
pub(crate) fn is_for(name: &str, key: &str) -> bool {
    if name == key {
        return true;
    }
    let name = name
        .strip_prefix("https://")
        .or_else(|| name.strip_prefix("http://"))
        .unwrap_or(name)
        .trim_end_matches('/');
    // Only right behind the host: a repository may be called `v2` too.
    let host = match name.split_once('/') {
        Some((host, "v1" | "v2")) => host,
        _ => name,
    };
    host == key
}
