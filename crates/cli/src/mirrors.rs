//! What arguments and files say about mirrors, as a value.

use std::path::{Path, PathBuf};

use onlay_registry::{MirrorError, Mirrors};

use crate::environment;
use crate::failure::Usage;
use crate::network::entries;
use crate::options::RegistryOptions;
use crate::session::is_absent;

/// Where containers' tools keep what holds for all users.
const SYSTEM_CONTAINERS: &str = "/etc/containers";

/// Where containerd's tools keep what holds for hosts.
const SYSTEM_HOSTS: &str = "/etc/containerd/certs.d";

/// The mirrors that the user names, then `registries.conf`, then `hosts.toml`.
pub(crate) fn mirrors(options: &RegistryOptions) -> anyhow::Result<Mirrors> {
    let mut mirrors = Mirrors::default();
    for text in &options.registry_mirror {
        // The text is not shown: it may have a password in it.
        let (host, mirror) = text.split_once('=').ok_or_else(|| {
            Usage("`--registry-mirror` has no `=`, expected HOST=MIRROR[/PREFIX]".to_owned())
        })?;
        let added = mirrors.with_mirror("--registry-mirror", host, mirror);
        mirrors = added.map_err(|error| Usage(error.to_string()))?;
    }
    let named = options.registries_conf.clone();
    let mirrors = match named.or_else(|| environment::path(environment::CONTAINERS_REGISTRIES_CONF)) {
        Some(file) => with_registries_conf(mirrors, &file)?,
        None => with_usual_registries_conf(mirrors)?,
    };
    match &options.hosts_dir {
        Some(directory) if !directory.is_dir() => {
            let place = directory.display();
            Err(Usage(format!("`--hosts-dir {place}` is no directory")).into())
        }
        Some(directory) => with_hosts(mirrors, directory),
        None => with_hosts(mirrors, Path::new(SYSTEM_HOSTS)),
    }
}

fn with_registries_conf(mirrors: Mirrors, file: &Path) -> anyhow::Result<Mirrors> {
    let text = fs_err::read_to_string(file).map_err(|error| Usage(error.to_string()))?;
    let read = mirrors.with_registries_conf(&file.display().to_string(), &text);
    read.map_err(usage)
}

/// The user's file, or the system's if there is none; then the parts of both, the user's last.
///
/// Source: containers-registries.conf(5), containers-registries.conf.d(5).
fn with_usual_registries_conf(mut mirrors: Mirrors) -> anyhow::Result<Mirrors> {
    let own = environment::config_home().map(|home| home.join("containers"));
    let places: Vec<PathBuf> = own
        .into_iter()
        .chain([PathBuf::from(SYSTEM_CONTAINERS)])
        .collect();
    let files = places.iter().map(|place| place.join("registries.conf"));
    let mut chosen: Vec<PathBuf> = files.filter(|file| file.is_file()).take(1).collect();
    for place in places.iter().rev() {
        let parts = entries(&place.join("registries.conf.d"))?;
        let is_part = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "conf");
        chosen.extend(parts.into_iter().filter(is_part));
    }
    for file in chosen {
        mirrors = with_registries_conf(mirrors, &file)?;
    }
    Ok(mirrors)
}

/// `HOST/hosts.toml` of each host, which may also be spelt `HOST_PORT_`.
fn with_hosts(mut mirrors: Mirrors, directory: &Path) -> anyhow::Result<Mirrors> {
    for directory in entries(directory)? {
        let file = directory.join("hosts.toml");
        let Some(name) = directory.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let text = match fs_err::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut read = |named: &str| fs_err::read(directory.join(named));
        let added = mirrors.with_hosts_toml(&host(name), &file.display().to_string(), &text, &mut read);
        mirrors = added.map_err(usage)?;
    }
    Ok(mirrors)
}

fn host(name: &str) -> String {
    let port = name
        .strip_suffix('_')
        .and_then(|name| name.rsplit_once('_'))
        .filter(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    match port {
        Some((host, port)) => format!("{host}:{port}"),
        None => name.to_owned(),
    }
}

/// A file that is wrong is known before any request.
fn usage(error: MirrorError) -> anyhow::Error {
    let cause = std::error::Error::source(&error);
    let cause = cause
        .map(|cause| format!(": {}", cause.to_string().trim_end()))
        .unwrap_or_default();
    Usage(format!("{error}{cause}")).into()
}
