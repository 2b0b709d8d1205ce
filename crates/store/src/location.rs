use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use onlay_oci::{Reference, ReferenceError, Tag};

/// Where an image is.
///
/// Parsing reads it as a source: `oci:DIRECTORY[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME[:TAG]]`,
/// and without such a scheme a [`Reference`]. The tag begins at the last colon behind the last slash;
/// the file of a Docker archive ends at the first colon, since names have colons of their own.
#[derive(Clone, Debug, PartialEq)]
pub enum Location {
    /// A registry.
    Registry(Reference),
    /// An OCI layout.
    Layout {
        /// The directory.
        directory: PathBuf,
        /// Which image of it, if it is said.
        tag: Option<Tag>,
    },
    /// An OCI layout in a tar.
    OciArchive {
        /// The file.
        file: PathBuf,
        /// Which image of it, if it is said.
        tag: Option<Tag>,
    },
    /// What `docker save` writes and `docker load` reads.
    DockerArchive {
        /// The file.
        file: PathBuf,
        /// Which image of it, or what it will be called.
        name: Option<Reference>,
    },
}

/// Where an image is published: a location without a digest, and with a registry that is named in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination(Location);

impl Destination {
    /// The place.
    pub fn location(&self) -> &Location {
        &self.0
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        match on_disk(text)? {
            Some(location) => Ok(location),
            None => Ok(Self::Registry(text.parse()?)),
        }
    }
}

impl FromStr for Destination {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if let Some(location) = on_disk(text)? {
            return match &location {
                Location::DockerArchive { name: Some(name), .. } if name.digest().is_some() => {
                    Err(LocationError::Digest {
                        text: text.to_owned(),
                    })
                }
                _ => Ok(Self(location)),
            };
        }
        let reference = Reference::parse_qualified(text)?;
        if reference.digest().is_some() {
            return Err(LocationError::Digest {
                text: text.to_owned(),
            });
        }
        Ok(Self(Location::Registry(reference.with_default_tag())))
    }
}

impl TryFrom<Location> for Destination {
    type Error = LocationError;

    /// Takes a place that was not read from one text, such as a file whose name has colons. A reference counts as named in
    /// full, which only its text can tell.
    fn try_from(location: Location) -> Result<Self, LocationError> {
        let name = match &location {
            Location::Registry(name) => Some(name),
            Location::DockerArchive { name, .. } => name.as_ref(),
            Location::Layout { .. } | Location::OciArchive { .. } => None,
        };
        match name.and_then(Reference::digest) {
            Some(_) => Err(LocationError::Digest {
                text: location.to_string(),
            }),
            None => Ok(Self(location)),
        }
    }
}

fn on_disk(text: &str) -> Result<Option<Location>, LocationError> {
    if let Some(rest) = text.strip_prefix("oci:") {
        let (directory, tag) = split(text, rest)?;
        let tag = tag.map(str::parse).transpose()?;
        return Ok(Some(Location::Layout { directory, tag }));
    }
    if let Some(rest) = text.strip_prefix("oci-archive:") {
        let (file, tag) = split(text, rest)?;
        let tag = tag.map(str::parse).transpose()?;
        return Ok(Some(Location::OciArchive { file, tag }));
    }
    if let Some(rest) = text.strip_prefix("docker-archive:") {
        // The name may have slashes and colons of its own, so the file ends at the first colon.
        let (file, name) = match rest.split_once(':') {
            Some((file, name)) => (file, Some(name.parse::<Reference>()?.with_default_tag())),
            None => (rest, None),
        };
        if file.is_empty() {
            return Err(LocationError::NoPath {
                text: text.to_owned(),
            });
        }
        return Ok(Some(Location::DockerArchive {
            file: file.into(),
            name,
        }));
    }
    Ok(None)
}

/// Splits `path[:tag]` at the last colon behind the last slash.
fn split<'a>(text: &str, rest: &'a str) -> Result<(PathBuf, Option<&'a str>), LocationError> {
    let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match rest[name_start..].rfind(':') {
        Some(colon) => (&rest[..name_start + colon], Some(&rest[name_start + colon + 1..])),
        None => (rest, None),
    };
    if path.is_empty() {
        return Err(LocationError::NoPath {
            text: text.to_owned(),
        });
    }
    Ok((path.into(), tag))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Layout { directory, tag } => {
                write!(f, "oci:{}", directory.display())?;
                tag.iter().try_for_each(|tag| write!(f, ":{tag}"))
            }
            Self::OciArchive { file, tag } => {
                write!(f, "oci-archive:{}", file.display())?;
                tag.iter().try_for_each(|tag| write!(f, ":{tag}"))
            }
            Self::DockerArchive { file, name } => {
                write!(f, "docker-archive:{}", file.display())?;
                name.iter().try_for_each(|name| write!(f, ":{}", name.familiar()))
            }
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not a location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// The reference, name or tag in it is malformed.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// There is nothing behind the scheme.
    #[error("`{text}` names no file or directory")]
    NoPath {
        /// The text.
        text: String,
    },
    /// A destination with a digest.
    #[error("destination `{text}` has a digest, which only publishing gives; expected a tag")]
    Digest {
        /// The text.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let cases = [
            ("oci:fixtures/base", "oci:fixtures/base"),
            ("oci:a:b/c:1.0", "oci:a:b/c:1.0"),
            ("oci:/x:tag", "oci:/x:tag"),
            ("oci-archive:f.tar:v", "oci-archive:f.tar:v"),
            (
                "docker-archive:f.tar:host:5000/a/b",
                "docker-archive:f.tar:host:5000/a/b:latest",
            ),
            ("docker-archive:f.tar", "docker-archive:f.tar"),
            ("vault:1.14", "docker.io/library/vault:1.14"),
        ];
        for (text, printed) in cases {
            assert_eq!(
                text.parse::<Location>().map(|location| location.to_string()),
                Ok(printed.to_owned()),
                "{text}"
            );
        }
        for text in [
            "oci:",
            "oci::tag",
            "oci:x:",
            "docker-archive:",
            "",
            "oci:x:bad tag",
        ] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }

    #[test]
    fn destinations_are_named_in_full() {
        let printed = |text: &str| {
            text.parse::<Destination>()
                .map(|destination| destination.to_string())
        };
        assert_eq!(
            printed("127.0.0.1:5000/a"),
            Ok("127.0.0.1:5000/a:latest".to_owned())
        );
        assert!(matches!(
            printed("a:1"),
            Err(LocationError::Reference(ReferenceError::NoRegistry { .. }))
        ));
        let pinned = format!("host.example/a@sha256:{}", "a".repeat(64));
        assert!(matches!(printed(&pinned), Err(LocationError::Digest { .. })));
    }
}
