use std::fmt;
use std::str::FromStr;

use crate::{Digest, DigestError};

/// The name of an image in a registry: `registry/repository[:tag][@digest]`.
///
/// Parsing follows Docker's rules: without a registry it is Docker Hub (`docker.io`), and a Docker Hub name of one
/// component lies in `library/`. Printing gives the full name, [`familiar`](Self::familiar) the short one.
///
/// Source: distribution/reference grammar.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: Registry,
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl Reference {
    /// Puts a reference together from its parts.
    pub fn new(registry: Registry, repository: Repository, tag: Option<Tag>, digest: Option<Digest>) -> Self {
        Self {
            registry,
            repository,
            tag,
            digest,
        }
    }

    /// Parses a reference that must name its registry, as a destination must: `myapp` alone would publish to
    /// `docker.io/library/myapp`, which nobody who types it means.
    ///
    /// # Errors
    /// [`ReferenceError::NoRegistry`], and whatever parsing finds.
    pub fn parse_qualified(text: &str) -> Result<Self, ReferenceError> {
        let reference = text.parse()?;
        match split_registry(text) {
            (Some(_), _) => Ok(reference),
            (None, _) => Err(ReferenceError::NoRegistry {
                text: text.to_owned(),
            }),
        }
    }

    /// The registry that holds the image.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The repository in that registry.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag as written; none is not yet `latest`.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest as written, which pins the content whatever the tag says.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Gives the reference with `latest` where it names neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(Tag::latest());
        }
        self
    }

    /// Gives the reference with this digest, the tag kept.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self
        }
    }

    /// What stands behind `manifests/` in a registry's URL: the digest if there is one, else the tag or `latest`.
    pub fn identifier(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => Tag::latest().to_string(),
        }
    }

    /// Prints as people write it: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> Familiar<'_> {
        Familiar(self)
    }

    fn write_suffix(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.write_suffix(f)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A [`Reference`] printed in its short form.
pub struct Familiar<'a>(&'a Reference);

impl fmt::Display for Familiar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(reference) = self;
        let repository = reference.repository.as_str();
        if reference.registry.is_docker_hub() {
            f.write_str(repository.strip_prefix("library/").unwrap_or(repository))?;
        } else {
            write!(f, "{}/{repository}", reference.registry)?;
        }
        reference.write_suffix(f)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (
                name,
                Some(digest.parse().map_err(|source| invalid_digest(text, source))?),
            ),
            None => (text, None),
        };
        let (registry, rest) = split_registry(name);
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag.parse()?)),
            None => (rest, None),
        };
        let registry = registry.map_or_else(|| Ok(Registry::docker_hub()), str::parse)?;
        let repository = if registry.is_docker_hub() {
            hub_repository(path)?
        } else {
            path.parse()?
        };
        let name_length = registry.as_str().len() + 1 + repository.as_str().len();
        if name_length > MAX_NAME_LENGTH {
            return Err(ReferenceError::TooLong { length: name_length });
        }
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }
}

/// Registry and repository together; the grammar's own limit.
const MAX_NAME_LENGTH: usize = 255;

fn invalid_digest(text: &str, source: DigestError) -> ReferenceError {
    ReferenceError::Digest {
        text: text.to_owned(),
        source,
    }
}

/// What stands before the first slash is a registry if it looks like a host: with a dot, a colon or an upper-case
/// letter, or `localhost`.
fn split_registry(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((host, rest))
            if host == "localhost"
                || host.contains(['.', ':'])
                || host.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(host), rest)
        }
        _ => (None, name),
    }
}

fn hub_repository(path: &str) -> Result<Repository, ReferenceError> {
    let is_identifier =
        path.len() == 64 && path.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_identifier {
        return Err(ReferenceError::Identifier {
            text: path.to_owned(),
        });
    }
    let repository: Repository = path.parse()?;
    if path.contains('/') {
        Ok(repository)
    } else {
        Ok(Repository(format!("library/{path}").into()))
    }
}

/// A registry's host, with its port if it has one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Registry(Box<str>);

impl Registry {
    /// Docker Hub, `docker.io`.
    pub fn docker_hub() -> Self {
        Self("docker.io".into())
    }

    /// Tells whether this is Docker Hub, under whichever of its names.
    pub fn is_docker_hub(&self) -> bool {
        &*self.0 == "docker.io"
    }

    /// The host and port as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without port and brackets.
    pub fn host(&self) -> &str {
        let host = match self.0.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.0,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Tells whether the host is this machine by name or address, and so is spoken to over plain HTTP unless configured
    /// otherwise.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host.ends_with(".localhost")
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Registry {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if !is_host(text) {
            return Err(ReferenceError::Registry {
                text: text.to_owned(),
            });
        }
        // Docker Hub's other names lead to the same repositories and must compare equal.
        let hub = [
            "index.docker.io",
            "registry-1.docker.io",
            "registry.hub.docker.com",
        ];
        Ok(if hub.contains(&text) {
            Self::docker_hub()
        } else {
            Self(text.into())
        })
    }
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let port = if rest.is_empty() {
                None
            } else {
                rest.strip_prefix(':').or(Some(""))
            };
            return address.parse::<std::net::Ipv6Addr>().is_ok() && port.is_none_or(is_port);
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// A repository's path in its registry, such as `hashicorp/vault`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository(Box<str>);

impl Repository {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.split('/').all(is_path_component) {
            return Ok(Self(text.into()));
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ReferenceError::UpperCase {
                text: text.to_owned(),
            });
        }
        Err(ReferenceError::Repository {
            text: text.to_owned(),
        })
    }
}

/// Lower-case letters and digits, between them one `.`, one or two `_`, or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let separators_are_known = component
        .split(alphanumeric)
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'));
    separators_are_known && component.starts_with(alphanumeric) && component.ends_with(alphanumeric)
}

/// A mutable name in a repository.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

impl Tag {
    /// The tag that a missing one means.
    pub fn latest() -> Self {
        Self("latest".into())
    }

    /// A tag of an algorithm and hexadecimal digits, which is well-formed.
    pub(crate) fn of_digest(text: String) -> Self {
        Self(text.into())
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let well_formed = text.len() <= 128
            && text.bytes().next().is_some_and(is_word)
            && text
                .bytes()
                .all(|byte| is_word(byte) || byte == b'.' || byte == b'-');
        if well_formed {
            Ok(Self(text.into()))
        } else {
            Err(ReferenceError::Tag {
                text: text.to_owned(),
            })
        }
    }
}

macro_rules! print_as_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
print_as_text!(Registry, Repository, Tag);

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The part before the first slash is not a host.
    #[error("registry `{text}` is malformed, expected `host[:port]`")]
    Registry {
        /// The part.
        text: String,
    },
    /// The repository has characters that it cannot have.
    #[error(
        "repository `{text}` is malformed, expected lower-case letters, digits and single `.`, `_`, `-` or `/` between them"
    )]
    Repository {
        /// The part.
        text: String,
    },
    /// The repository has upper-case letters.
    #[error("repository `{text}` must be lower-case")]
    UpperCase {
        /// The part.
        text: String,
    },
    /// The tag is malformed.
    #[error(
        "tag `{text}` is malformed, expected up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
    )]
    Tag {
        /// The part.
        text: String,
    },
    /// What follows `@` is not a digest.
    #[error("reference `{text}` ends in a malformed digest")]
    Digest {
        /// The whole reference.
        text: String,
        /// What is wrong with it.
        source: DigestError,
    },
    /// Docker reads 64 hexadecimal digits as an image id, which no registry knows.
    #[error("`{text}` is an image id, not a name; expected a repository")]
    Identifier {
        /// The text.
        text: String,
    },
    /// Registry and repository are too long together.
    #[error("name is {length} characters long, expected at most 255")]
    TooLong {
        /// Characters of registry and repository, with the slash.
        length: usize,
    },
    /// A destination does not say which registry.
    #[error("`{text}` names no registry")]
    NoRegistry {
        /// The text.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_docker_does() {
        let sha = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let cases = [
            ("vault", "docker.io/library/vault"),
            ("vault:1.14", "docker.io/library/vault:1.14"),
            ("hashicorp/vault:1.14", "docker.io/hashicorp/vault:1.14"),
            ("index.docker.io/library/vault", "docker.io/library/vault"),
            ("docker.io/vault", "docker.io/library/vault"),
            ("localhost/a:b", "localhost/a:b"),
            ("localhost:5000/a/b-c__d.e", "localhost:5000/a/b-c__d.e"),
            ("Host/a", "Host/a"),
            ("[::1]:5000/a:1", "[::1]:5000/a:1"),
            ("a---b/c", "docker.io/a---b/c"),
            ("host.example/a@SHA", "host.example/a@SHA"),
            ("host.example/a:t@SHA", "host.example/a:t@SHA"),
        ];
        for (text, full) in cases {
            let parsed = text
                .replace("SHA", sha)
                .parse::<Reference>()
                .map(|reference| reference.to_string());
            assert_eq!(parsed, Ok(full.replace("SHA", sha)), "{text}");
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        let long = format!("host.example/{}", "a".repeat(255));
        let identifier = "a".repeat(64);
        let cases = [
            "",
            ":",
            "a:",
            "a@",
            "a@sha256:1",
            "A",
            "library/A",
            "a//b",
            "/a",
            "a/",
            "a___b",
            "a..b",
            "_a",
            "a_",
            "a._b",
            "a:b:c",
            "a:-x",
            "a: x",
            "ho_st.x/a",
            "-h.x/a",
            "host:port/a",
            "host:99999/a",
            "[::1/a",
            "[xx]/a",
            "a b",
            "é",
            long.as_str(),
            identifier.as_str(),
        ];
        for text in cases {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn destinations_must_name_their_registry() {
        assert!(Reference::parse_qualified("127.0.0.1:5000/a").is_ok());
        assert!(Reference::parse_qualified("docker.io/me/a").is_ok());
        let refused = Reference::parse_qualified("me/a");
        assert_eq!(
            refused,
            Err(ReferenceError::NoRegistry {
                text: "me/a".to_owned()
            })
        );
    }

    #[test]
    fn loopback_hosts() {
        for (text, expected) in [
            ("localhost:5000", true),
            ("127.0.0.1:1", true),
            ("[::1]:5000", true),
            ("a.localhost", true),
            ("localhost.example", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(
                text.parse::<Registry>().map(|registry| registry.is_loopback()),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn familiar_names_parse_back() {
        for text in [
            "vault",
            "hashicorp/vault:1.14",
            "quay.io/a/b:1",
            "docker.io/library/x",
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.familiar().to_string().parse(), Ok(reference));
        }
    }
}
