//! What the environment and files say about the network, as values: proxies, and whom TLS trusts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use onlay_fetch::FetchOptions;
use onlay_http::ConnectionOptions;
use onlay_registry::{Authorities, ClientCertificate, HostOptions, ProxyOptions};

use crate::environment;
use crate::failure::Usage;
use crate::options::RegistryOptions;
use crate::session::is_absent;

/// Where docker and the tools around `containers/image` keep certificates by host, beside the user's own place.
const CERTS_DIRECTORIES: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];

/// How hosts are reached, registries and others alike.
pub(crate) struct Network {
    pub proxies: ProxyOptions,
    pub authorities: Authorities,
    pub hosts: BTreeMap<String, HostOptions>,
}

impl Network {
    /// Reads what the environment, the files that it names and those of the machine say.
    pub(crate) fn read(ca_files: &[PathBuf]) -> anyhow::Result<Self> {
        Ok(Self {
            proxies: proxies()?,
            authorities: authorities(ca_files)?,
            hosts: hosts()?,
        })
    }

    /// How AWS's own services are connected to.
    pub(crate) fn connection_options(&self, options: &RegistryOptions) -> ConnectionOptions {
        ConnectionOptions {
            proxies: self.proxies.clone(),
            authorities: self.authorities.clone(),
            hosts: self.hosts.clone(),
            connect_timeout: options.connect_timeout,
            ..ConnectionOptions::default()
        }
    }

    /// How files are downloaded, for ADD and for contexts.
    pub(crate) fn fetch_options(
        &self,
        options: &RegistryOptions,
        temporary_directory: Option<PathBuf>,
    ) -> FetchOptions {
        FetchOptions {
            proxies: self.proxies.clone(),
            authorities: self.authorities.clone(),
            hosts: self.hosts.clone(),
            connect_timeout: options.connect_timeout,
            idle_timeout: options.idle_timeout,
            temporary_directory,
            ..FetchOptions::default()
        }
    }
}

/// What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
fn proxies() -> Result<ProxyOptions, Usage> {
    let wrong = |error: onlay_registry::ProxyError| Usage(error.to_string());
    let find = |name: &'static str| {
        [name, environment::ALL_PROXY]
            .into_iter()
            .find_map(|name| Some((name, environment::proxy_text(name)?)))
    };
    let mut proxies = ProxyOptions::default();
    if let Some((name, address)) = find(environment::HTTP_PROXY) {
        proxies = proxies.with_http(name, &address).map_err(wrong)?;
    }
    if let Some((name, address)) = find(environment::HTTPS_PROXY) {
        proxies = proxies.with_https(name, &address).map_err(wrong)?;
    }
    let exceptions = environment::proxy_text(environment::NO_PROXY);
    Ok(proxies.with_exceptions(&exceptions.unwrap_or_default()))
}

/// The files that the user names, `SSL_CERT_FILE` and what is in `SSL_CERT_DIR`.
fn authorities(files: &[PathBuf]) -> anyhow::Result<Authorities> {
    let mut authorities = Authorities::default();
    for file in files {
        let text = fs_err::read(file).map_err(|error| Usage(format!("`--ca-file`: {error}")))?;
        let parsed = Authorities::parse(&file.display().to_string(), &text);
        authorities.extend(parsed.map_err(|error| Usage(format!("`--ca-file`: {error}")))?);
    }
    if let Some(file) = environment::path(environment::SSL_CERT_FILE) {
        authorities.extend(Authorities::parse_lenient(&fs_err::read(file)?));
    }
    let directories = environment::text(environment::SSL_CERT_DIR).unwrap_or_default();
    for directory in directories.split(':').filter(|directory| !directory.is_empty()) {
        for file in entries(Path::new(directory))? {
            if file.is_file() {
                authorities.extend(Authorities::parse_lenient(&fs_err::read(file)?));
            }
        }
    }
    Ok(authorities)
}

/// The certificates in `certs.d/HOST`; of several directories for one host, the first counts.
///
/// Source: docker's "Verify repository client with certificates"; containers-certs.d(5).
fn hosts() -> anyhow::Result<BTreeMap<String, HostOptions>> {
    let own = environment::config_home().map(|home| home.join("containers/certs.d"));
    let directories = own.into_iter().chain(CERTS_DIRECTORIES.map(PathBuf::from));
    let mut hosts = BTreeMap::new();
    for directory in directories {
        for directory in entries(&directory)? {
            let Some(host) = directory.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let host = host.strip_suffix(":443").unwrap_or(host).to_ascii_lowercase();
            if directory.is_dir() && !hosts.contains_key(&host) {
                hosts.insert(host, host_options(&directory)?);
            }
        }
    }
    Ok(hosts)
}

/// `*.crt` are authorities, `*.cert` with `*.key` of the same name is what is shown.
fn host_options(directory: &Path) -> anyhow::Result<HostOptions> {
    let mut options = HostOptions::default();
    for file in entries(directory)? {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => {
                let Some(text) = readable(&file)? else { continue };
                let parsed = Authorities::parse(&file.display().to_string(), &text)?;
                options.authorities.extend(parsed);
            }
            Some("cert") if options.client_certificate.is_some() => {
                let place = directory.display();
                return Err(Usage(format!("`{place}` has several client certificates, expected one")).into());
            }
            Some("cert") => {
                options.client_certificate = client_certificate(&file, &file.with_extension("key"))?
            }
            _ => {}
        }
    }
    Ok(options)
}

/// Reads a certificate and its key; none if they are for others to read.
pub(crate) fn client_certificate(
    certificate: &Path,
    key: &Path,
) -> anyhow::Result<Option<ClientCertificate>> {
    let (Some(chain), Some(secret)) = (readable(certificate)?, readable(key)?) else {
        return Ok(None);
    };
    let names = (certificate.display().to_string(), key.display().to_string());
    let parsed = ClientCertificate::parse((&names.0, &chain), (&names.1, &secret))?;
    Ok(Some(parsed))
}

/// What is in a directory, in order; nothing if it is not there or not for this user.
pub(crate) fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs_err::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if is_absent(&error) || is_private(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = listed
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Reads a file of the system's, unless it is for a daemon only: a host that this run never asks must not stop it.
fn readable(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs_err::read(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_private(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_private(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
