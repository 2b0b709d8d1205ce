//! Where images are read from instead of their own registry, by name.

use std::collections::BTreeMap;

use onlay_oci::{Reference, ReferenceError, Registry, Repository};
use url::Url;

use crate::{CertificateError, HostOptions, Verification, userinfo};

/// Which places are asked for an image before its own registry, or instead of it. The default has none.
///
/// Mirrors serve reads only, of manifests and blobs. They are asked in order; one that cannot be reached, lacks what is
/// asked for, or refuses it, leaves the question to the next. What a mirror that the user named answers for a tag is
/// compared with what the origin has there, by a HEAD, and passed over if it differs; what a mirror of a file answers is
/// believed, as by the tools whose files they are, which may be on networks without a way to the origin. Everything else
/// is verified by digest, and a mirror that lies is an error.
#[derive(Clone, Debug, Default)]
pub struct Mirrors {
    /// What the user named, which comes before what files say.
    named: Vec<(String, Place)>,
    /// `registries.conf`.
    rules: Vec<Rule>,
    /// `hosts.toml`, by host; `_default` for those without one of their own.
    hosts: BTreeMap<String, HostRule>,
    /// How the hosts of mirrors are spoken to.
    host_options: BTreeMap<String, HostOptions>,
}

/// What `registries.conf` says of names that begin with a prefix.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) prefix: String,
    /// The file that says it.
    pub(crate) file: String,
    pub(crate) is_blocked: bool,
    pub(crate) mirrors: Vec<Place>,
    /// Asked in the registry's stead; nothing if it is asked itself.
    pub(crate) moved_to: Vec<Place>,
}

/// What `hosts.toml` says of one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostRule {
    pub(crate) mirrors: Vec<Place>,
    pub(crate) server: Option<Place>,
}

/// A place that has other registries' repositories.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) registry: Registry,
    /// What comes before the part of a name that no rule replaces, with no slash at its end; may be empty.
    pub(crate) path: String,
    /// The root of the API, up to what names a repository; none if it is the registry's own.
    pub(crate) api: Option<Url>,
    /// Whether the place is told whose repository is asked for, with `ns=`.
    pub(crate) is_told_the_registry: bool,
    /// Whether tags are looked up there.
    pub(crate) resolves_tags: bool,
    /// Whether the origin is asked where its tags point.
    pub(crate) is_checked: bool,
    pub(crate) pulls: Pulls,
}

/// Which references a place is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pulls {
    #[default]
    All,
    ByDigest,
    ByTag,
}

/// Where one repository is read from, instead of its own place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) registry: Registry,
    pub(crate) repository: Repository,
    pub(crate) api: Option<Url>,
    /// The value of `ns=`.
    pub(crate) namespace: Option<String>,
    pub(crate) resolves_tags: bool,
    pub(crate) is_checked: bool,
}

/// The places to read from, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) sources: Vec<Source>,
    /// Whether the repository's own registry is asked at the end.
    pub(crate) ends_at_home: bool,
}

/// Why a file, or an argument, about mirrors cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// It is not written as it must be.
    #[error("`{name}` is malformed")]
    Malformed {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: MalformedText,
    },
    /// It has something that onlay does not do.
    #[error("`{name}`: {what} is not supported")]
    Unsupported {
        /// The file.
        name: String,
        /// What it is.
        what: String,
    },
    /// A value makes no sense.
    #[error("`{name}`: `{value}` is not {expected}")]
    Value {
        /// The file, or the argument.
        name: String,
        /// The value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A user or a password is where anybody who may read the file can see it.
    #[error(
        "`{name}` has a password in the address of `{host}`, expected none: it belongs in docker's configuration, where \
         `onlay login` puts it"
    )]
    Password {
        /// The file, or the argument.
        name: String,
        /// Whose address it is.
        host: String,
    },
    /// A file that it names cannot be read.
    #[error("`{name}` names `{file}`, which cannot be read")]
    Read {
        /// The file.
        name: String,
        /// The file that it names.
        file: String,
        /// What happened.
        source: std::io::Error,
    },
    /// A certificate that it names cannot be used.
    #[error("`{name}` names a certificate that cannot be used")]
    Certificate {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: CertificateError,
    },
}

/// What is wrong with a text, and the lines where it is, without passwords of addresses in them.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MalformedText(String);

impl Mirrors {
    /// Reads images of a registry from a mirror first, `HOST[:PORT][/PREFIX]`; of several, in the order they are added.
    ///
    /// # Errors
    /// One of them is no host; `name` is what the error calls the argument.
    pub fn with_mirror(mut self, name: &str, registry: &str, mirror: &str) -> Result<Self, MirrorError> {
        let registry: Registry = registry
            .parse()
            .map_err(|_| value(name, registry, "a registry's host"))?;
        let place = Place::parse(mirror).ok_or_else(|| value(name, mirror, "HOST[:PORT][/PREFIX]"))?;
        let place = Place {
            is_checked: true,
            ..place
        };
        self.named.push((registry.to_string(), place));
        Ok(self)
    }

    /// Adds what one `registries.conf` says of a prefix, in place of what an earlier one said.
    pub(crate) fn add_rule(&mut self, rule: Rule) {
        self.rules.retain(|other| other.prefix != rule.prefix);
        self.rules.push(rule);
    }

    pub(crate) fn add_host(&mut self, host: &str, rule: HostRule) {
        self.hosts.insert(host.to_owned(), rule);
    }

    /// How a mirror's host is spoken to, to be changed.
    pub(crate) fn host_options_mut(&mut self, host: &str) -> &mut HostOptions {
        self.host_options.entry(host.to_owned()).or_default()
    }

    /// How hosts are spoken to: what was given for them, and what the files about mirrors say beside it.
    pub(crate) fn hosts(&self, given: &BTreeMap<String, HostOptions>) -> BTreeMap<String, HostOptions> {
        let mut hosts = given.clone();
        for (host, own) in &self.host_options {
            let options = hosts.entry(host.clone()).or_default();
            options.authorities.extend(own.authorities.clone());
            if own.client_certificate.is_some() {
                options.client_certificate.clone_from(&own.client_certificate);
            }
            if own.verification == Verification::Skipped {
                options.verification = Verification::Skipped;
            }
        }
        hosts
    }

    /// The repositories that an image is read from, in the order in which they are asked; none if a file forbids it.
    pub fn repositories(&self, reference: &Reference) -> Vec<(Registry, Repository)> {
        let Ok(Sources {
            sources,
            ends_at_home,
        }) = self.sources(reference)
        else {
            return Vec::new();
        };
        let home = || (reference.registry().clone(), reference.repository().clone());
        sources
            .into_iter()
            .map(|source| (source.registry, source.repository))
            .chain(ends_at_home.then(home))
            .collect()
    }

    /// Where an image is read from, or the file that forbids it.
    pub(crate) fn sources(&self, reference: &Reference) -> Result<Sources, String> {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let registry = reference.registry().as_str();
        let rule = self
            .rules
            .iter()
            .filter_map(|rule| Some((matched(&rule.prefix, &name)?, rule)))
            .max_by_key(|(_, rule)| rule.prefix.len());
        if let Some((_, rule)) = rule.filter(|(_, rule)| rule.is_blocked) {
            return Err(rule.file.clone());
        }
        let host = self.hosts.get(registry).or_else(|| self.hosts.get("_default"));
        let at_host = |place| (registry.len(), place);
        let named = self.named.iter().filter(|(named, _)| named == registry);
        let mut places: Vec<(usize, &Place)> = named.map(|(_, place)| at_host(place)).collect();
        if let Some((length, rule)) = rule {
            places.extend(rule.mirrors.iter().map(|place| (length, place)));
        }
        places.extend(host.iter().flat_map(|host| &host.mirrors).map(at_host));
        let moved: Vec<(usize, &Place)> = match rule {
            Some((length, rule)) if !rule.moved_to.is_empty() => {
                rule.moved_to.iter().map(|place| (length, place)).collect()
            }
            _ => host
                .and_then(|host| host.server.as_ref())
                .map(at_host)
                .into_iter()
                .collect(),
        };
        let ends_at_home = moved.is_empty();
        let sources = places
            .into_iter()
            .chain(moved)
            // What makes no repository's name is not there.
            .filter_map(|(length, place)| place.source(reference, name.get(length..)?))
            .collect();
        Ok(Sources {
            sources,
            ends_at_home,
        })
    }
}

impl Place {
    /// Reads `HOST[:PORT][/PATH]`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let path = path.trim_end_matches('/');
        let well_formed = path.is_empty() || path.parse::<Repository>().is_ok();
        let registry = host.parse().ok().filter(|_| well_formed)?;
        Some(Self {
            registry,
            path: path.to_owned(),
            api: None,
            is_told_the_registry: false,
            resolves_tags: true,
            is_checked: false,
            pulls: Pulls::All,
        })
    }

    /// Where it has the repository whose name ends like this after the part that a rule replaces.
    fn source(&self, reference: &Reference, rest: &str) -> Option<Source> {
        let wanted = match self.pulls {
            Pulls::All => true,
            Pulls::ByDigest => reference.digest().is_some(),
            Pulls::ByTag => reference.digest().is_none(),
        };
        let path = format!("{}{rest}", self.path);
        let repository: Result<Repository, ReferenceError> = path.trim_start_matches('/').parse();
        let namespace = self
            .is_told_the_registry
            .then(|| reference.registry().to_string());
        Some(Source {
            registry: self.registry.clone(),
            repository: repository.ok().filter(|_| wanted)?,
            api: self.api.clone(),
            namespace,
            resolves_tags: self.resolves_tags,
            is_checked: self.is_checked,
        })
    }
}

/// An error about a value, which is shown unless it has a password in it.
pub(crate) fn value(name: &str, value: &str, expected: &'static str) -> MirrorError {
    let name = name.to_owned();
    match userinfo::host_beside(value) {
        Some(host) => MirrorError::Password {
            name,
            host: host.to_owned(),
        },
        None => MirrorError::Value {
            name,
            value: value.to_owned(),
            expected,
        },
    }
}

pub(crate) fn malformed(name: &str, error: &toml::de::Error) -> MirrorError {
    MirrorError::Malformed {
        name: name.to_owned(),
        source: MalformedText(userinfo::without(&error.to_string())),
    }
}

/// How much of a name a prefix stands for: itself, up to the end of a part of the name, or with `*.` the whole host.
fn matched(prefix: &str, name: &str) -> Option<usize> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = name.split_once('/').map_or(name, |(host, _)| host);
        return host.ends_with(domain).then_some(host.len());
    }
    let rest = name.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let cases = [
            ("a.example", "a.example/x", Some(9)),
            ("a.example/x", "a.example/x", Some(11)),
            ("a.example/x", "a.example/xy", None),
            ("a.example", "a.example:5000/x", None),
            ("*.example", "a.example/x", Some(9)),
            ("*.example", "example/x", None),
        ];
        for (prefix, name, expected) in cases {
            assert_eq!(matched(prefix, name), expected, "{prefix} {name}");
        }
    }

    #[test]
    fn mirrors_that_the_user_names() {
        let mirrors = Mirrors::default()
            .with_mirror("--registry-mirror", "docker.io", "m.example/hub/")
            .and_then(|mirrors| mirrors.with_mirror("--registry-mirror", "docker.io", "n.example:5000"))
            .unwrap();
        let sources = |reference: &str| mirrors.sources(&reference.parse().unwrap()).unwrap();
        let found = sources("debian");
        let names: Vec<String> = found
            .sources
            .iter()
            .map(|source| format!("{}/{}", source.registry, source.repository))
            .collect();
        assert_eq!(
            names,
            ["m.example/hub/library/debian", "n.example:5000/library/debian"]
        );
        assert!(found.ends_at_home);
        assert!(sources("a.example/debian").sources.is_empty());
        for wrong in ["", "/x", "m.example/X", "https://m.example"] {
            assert!(
                Mirrors::default().with_mirror("x", "docker.io", wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
