//! containerd's `hosts.toml`: for one registry, the hosts that have its images.
//!
//! Left out: headers and time limits of a host's own, and several client certificates, all of which are refused.
//!
//! Source: containerd `docs/hosts.md`.

use std::io;

use onlay_oci::Registry;
use serde::Deserialize;
use url::Url;

use crate::mirrors::{HostRule, Place, malformed, value};
use crate::{Authorities, CertificateError, ClientCertificate, MirrorError, Mirrors, Verification};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: Option<String>,
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    client: Option<Clients>,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    override_path: bool,
    /// In the order of the file.
    #[serde(default)]
    host: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Host {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    client: Option<Clients>,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    override_path: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Files with certificate and key, or pairs of files.
#[derive(Deserialize)]
#[serde(untagged)]
enum Clients {
    File(String),
    Files(Vec<String>),
    Pairs(Vec<Vec<String>>),
}

/// A `hosts.toml` that is being read.
struct Reader<'a> {
    name: &'a str,
    read: &'a mut dyn FnMut(&str) -> io::Result<Vec<u8>>,
}

impl Mirrors {
    /// Adds the text of a `hosts.toml`, for a registry's host or, as `_default`, for those that have none. Certificates
    /// that it names are asked for from `read`; relative names are relative to the file.
    ///
    /// # Errors
    /// The text is malformed, has something that is not supported, or names certificates that cannot be used; `name` is
    /// what the error calls it.
    pub fn with_hosts_toml(
        mut self,
        host: &str,
        name: &str,
        text: &str,
        read: &mut dyn FnMut(&str) -> io::Result<Vec<u8>>,
    ) -> Result<Self, MirrorError> {
        let malformed = |error| malformed(name, &error);
        let file: File = toml::from_str(text).map_err(malformed)?;
        let mut reader = Reader { name, read };
        let mut rule = HostRule::default();
        for (address, host) in file.host {
            let host: Host = host.try_into().map_err(malformed)?;
            rule.mirrors.extend(self.add_place(&mut reader, &address, &host)?);
        }
        let server = Host {
            capabilities: file.capabilities,
            ca: file.ca,
            client: file.client,
            skip_verify: file.skip_verify,
            override_path: file.override_path,
        };
        let own = format!("https://{host}");
        let address = file.server.as_deref().unwrap_or(&own);
        let place = match (&file.server, host) {
            // There is no such host; each registry speaks for itself.
            (None, "_default") => None,
            _ => self.add_place(&mut reader, address, &server)?,
        };
        rule.server = place.filter(|_| file.server.is_some()).map(|place| Place {
            is_told_the_registry: false,
            ..place
        });
        let is_hub = host
            .parse()
            .is_ok_and(|registry: Registry| registry.is_docker_hub());
        self.add_host(if is_hub { "docker.io" } else { host }, rule);
        Ok(self)
    }

    /// A host that images are pulled from; nothing if it is good for pushes only.
    fn add_place(
        &mut self,
        reader: &mut Reader<'_>,
        address: &str,
        host: &Host,
    ) -> Result<Option<Place>, MirrorError> {
        let can = |action: &str| match &host.capabilities {
            Some(capabilities) => capabilities.iter().any(|capability| capability == action),
            None => true,
        };
        let full = match address.contains("://") {
            true => address.to_owned(),
            false => format!("https://{address}"),
        };
        let is_usable = |url: &Url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        };
        let url = Url::parse(&full).ok().filter(is_usable);
        let malformed = || value(reader.name, address, "the URL of a host");
        let url = url.ok_or_else(malformed)?;
        let place = place(&url, host.override_path).ok_or_else(malformed)?;
        self.add_certificates(reader, &url, host)?;
        Ok(can("pull").then_some(Place {
            resolves_tags: can("resolve"),
            is_checked: false,
            ..place
        }))
    }

    fn add_certificates(
        &mut self,
        reader: &mut Reader<'_>,
        url: &Url,
        host: &Host,
    ) -> Result<(), MirrorError> {
        if !host.skip_verify && host.ca.is_none() && host.client.is_none() {
            return Ok(());
        }
        let authorities = reader.authorities(host.ca.as_ref())?;
        let client = host
            .client
            .as_ref()
            .map(|files| reader.client(files))
            .transpose()?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let options = self.host_options_mut(&format!("{}{port}", url.host_str().unwrap_or_default()));
        options.authorities.extend(authorities);
        if client.is_some() {
            options.client_certificate = client;
        }
        if host.skip_verify {
            options.verification = Verification::Skipped;
        }
        Ok(())
    }
}

impl Reader<'_> {
    fn authorities(&mut self, files: Option<&OneOrMany>) -> Result<Authorities, MirrorError> {
        let files = match files {
            None => &[],
            Some(OneOrMany::One(file)) => std::slice::from_ref(file),
            Some(OneOrMany::Many(files)) => files.as_slice(),
        };
        let mut authorities = Authorities::default();
        for file in files {
            let parsed = Authorities::parse(file, &self.file(file)?);
            authorities.extend(parsed.map_err(|source| self.unusable(source))?);
        }
        Ok(authorities)
    }

    fn client(&mut self, files: &Clients) -> Result<ClientCertificate, MirrorError> {
        let (certificate, key) = match files {
            Clients::File(file) => (file, file),
            Clients::Files(files) => match files.as_slice() {
                [file] => (file, file),
                _ => return Err(self.unsupported("other than one client certificate")),
            },
            Clients::Pairs(pairs) => match pairs.as_slice() {
                [pair] => match pair.as_slice() {
                    [certificate, key] => (certificate, key),
                    _ => return Err(self.unsupported("`client` other than a certificate and its key")),
                },
                _ => return Err(self.unsupported("other than one client certificate")),
            },
        };
        let (chain, secret) = (self.file(certificate)?, self.file(key)?);
        ClientCertificate::parse((certificate, &chain), (key, &secret))
            .map_err(|source| self.unusable(source))
    }

    fn file(&mut self, file: &str) -> Result<Vec<u8>, MirrorError> {
        (self.read)(file).map_err(|source| MirrorError::Read {
            name: self.name.to_owned(),
            file: file.to_owned(),
            source,
        })
    }

    fn unusable(&self, source: CertificateError) -> MirrorError {
        MirrorError::Certificate {
            name: self.name.to_owned(),
            source,
        }
    }

    fn unsupported(&self, what: &str) -> MirrorError {
        MirrorError::Unsupported {
            name: self.name.to_owned(),
            what: what.to_owned(),
        }
    }
}

/// The place at a URL: `/v2` comes after its path, unless that is said to be all there is.
fn place(url: &Url, is_whole: bool) -> Option<Place> {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let registry: Registry = format!("{}{port}", url.host_str()?).parse().ok()?;
    let path = url.path().trim_matches('/');
    let root = match (is_whole, path) {
        (_, "") => "v2".to_owned(),
        (true, path) => path.to_owned(),
        (false, path) => format!("{path}/v2"),
    };
    // What follows the API's own root is the beginning of repositories' names, and tokens are asked for by those.
    let (root, prefix) = match root.strip_prefix("v2/") {
        Some(prefix) => ("v2".to_owned(), prefix.to_owned()),
        None => (root, String::new()),
    };
    let mut api = url.clone();
    api.set_path(&format!("/{root}/"));
    api.set_query(None);
    Some(Place {
        path: prefix,
        api: Some(api),
        is_told_the_registry: true,
        ..Place::parse(registry.as_str())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where `docker.io/library/debian:12` is read from: URL, repository, whether tags are looked up there.
    fn read(text: &str) -> Result<Vec<(String, String, bool)>, MirrorError> {
        let absent = &mut |_: &str| Err(io::ErrorKind::NotFound.into());
        let mirrors = Mirrors::default().with_hosts_toml("docker.io", "hosts.toml", text, absent)?;
        let found = mirrors.sources(&"debian:12".parse().unwrap()).unwrap();
        let text = |source: crate::mirrors::Source| {
            let api = source.api.map(String::from).unwrap_or_default();
            (api, source.repository.to_string(), source.resolves_tags)
        };
        Ok(found.sources.into_iter().map(text).collect())
    }

    #[test]
    fn hosts_in_order() {
        let text = r#"
server = "https://registry-1.docker.io"
[host."https://z.example:5000"]
capabilities = ["pull", "resolve"]
[host."http://a.example/cache"]
capabilities = ["pull"]
skip_verify = true
[host."https://push.example"]
capabilities = ["push"]
[host."https://harbor.example/v2/hub"]
override_path = true
"#;
        let expected = [
            ("https://z.example:5000/v2/", "library/debian", true),
            ("http://a.example/cache/v2/", "library/debian", false),
            ("https://harbor.example/v2/", "hub/library/debian", true),
            ("https://registry-1.docker.io/v2/", "library/debian", true),
        ];
        let expected: Vec<_> = expected
            .map(|(api, name, resolves)| (api.to_owned(), name.to_owned(), resolves))
            .into();
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_shown() {
        let texts = [
            "[host.'https://user:hunter2@a.example']",
            "[host.'https://:hunter2@a.example/v2']",
            "[host.'https://hunter2@a.example']",
            "[host.'user:hunter2@a.example:5000']",
            "[host.'ftp://user:hun/ter2@a.example']",
            "server = 'https://user:hunter2@a.example'",
        ];
        for text in texts {
            let error = read(text).unwrap_err();
            let words = "`hosts.toml` has a password in the address of `a.example";
            assert!(error.to_string().starts_with(words), "{error}");
            assert!(!format!("{error:?} {error}").contains("ter2"), "{error:?}");
        }
        // The line that is malformed is quoted.
        for text in [
            "[host.'https://user:hunter2@a.example'",
            "server = \"https://user:hunter2@a.example",
            "server = 'https://user:hunter2@a.example' ca = 1",
            "ca = {x = 'user:hunter2@a.example'}",
            "skip_verify = 'https://user:hunter2@a.example'",
            "user:hunter2@a.example",
        ] {
            let error = read(text).unwrap_err();
            let source = std::error::Error::source(&error).unwrap();
            let shown = format!("{error:?} {error} {source}");
            assert!(
                shown.contains("malformed") && !shown.contains("hunter2"),
                "{shown}"
            );
        }
    }

    #[test]
    fn what_is_not_read() {
        let cases = [
            ("[host.'https://a.example'.header]\nx = ['y']", "malformed"),
            (
                "[host.'ftp://a.example']",
                "`ftp://a.example` is not the URL of a host",
            ),
            (
                "[host.'https://a.example']\nca = 'nosuch.pem'",
                "names `nosuch.pem`",
            ),
            ("[host.'https://a.example']\nclient = ['a', 'b']", "not supported"),
        ];
        for (text, words) in cases {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
