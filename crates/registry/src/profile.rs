//! What registries do differently, as data.

use std::fmt;
use std::str::FromStr;

use onlay_oci::Registry;

/// What is different about a registry. The defaults are those of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What the row of the table is called.
    pub name: &'static str,
    /// How a finished blob is sent.
    pub upload: UploadForm,
    /// Whether one PATCH of unknown length is taken, so that a blob can be sent while it is made.
    pub streams: bool,
    /// Whether a session can be asked what it has after a cut, and be gone on with from there.
    pub resumes: bool,
    /// Whether blobs may be mounted from other repositories; a registry that says no costs one request.
    pub mounts: bool,
    /// How what refers to a manifest is found and told.
    pub referrers: ReferrersForm,
    /// How many tags are asked for at a time.
    pub tags_per_page: u32,
    /// Whether blobs of no bytes are taken.
    pub empty_blobs: bool,
    /// Whether a repository may be a pull-through cache, which has an image only some time after it was asked for it.
    pub imports: bool,
}

/// How a finished blob is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadForm {
    /// POST, then one PUT with all bytes: two requests.
    Put,
    /// POST, one PATCH with all bytes, an empty PUT.
    Patch,
    /// POST, PATCHes of at most this many bytes, an empty PUT.
    Chunks(u64),
}

/// How what refers to a manifest is found and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferrersForm {
    /// The API is tried, then the tag. What a registry says of itself elsewhere is not trusted.
    Probe,
    /// The registry keeps no list: it is an index under a tag made of the digest.
    Tag,
}

/// What the specification says, and what most registries do.
const STANDARD: Profile = Profile {
    name: "standard",
    upload: UploadForm::Put,
    streams: true,
    resumes: true,
    mounts: true,
    referrers: ReferrersForm::Probe,
    tags_per_page: 1000,
    empty_blobs: true,
    imports: false,
};

/// The table: hosts (`*` stands for anything), and what is different there. The first row that matches counts.
///
/// Source: registry.md §3.2, aws.md §1.3, each with the threads where it was reported.
const TABLE: &[(&[&str], Profile)] = &[
    (
        &[
            "*.dkr.ecr.*",
            "*.dkr.ecr-fips.*",
            "*.dkr-ecr.*",
            "*.dkr-ecr-fips.*",
        ],
        // PATCH answers 201 and drops every body after the first (containers-roadmap 2831); empty blobs are refused
        // (containers-roadmap 1074). One PATCH works.
        Profile {
            name: "ecr",
            resumes: false,
            empty_blobs: false,
            imports: true,
            ..STANDARD
        },
    ),
    (
        &["public.ecr.aws", "ecr-public.aws.com"],
        Profile {
            name: "ecr-public",
            resumes: false,
            mounts: false,
            empty_blobs: false,
            ..STANDARD
        },
    ),
    (
        &["ghcr.io"],
        // Several PATCHes are broken (kitops 777); there is no referrers API.
        Profile {
            name: "ghcr",
            resumes: false,
            referrers: ReferrersForm::Tag,
            ..STANDARD
        },
    ),
    (
        &["*.pkg.dev", "gcr.io", "*.gcr.io"],
        // Bodies need a Content-Length, and sessions take one request (dotnet sdk-container-builds 287).
        Profile {
            name: "google",
            streams: false,
            resumes: false,
            ..STANDARD
        },
    ),
    (
        &["*.azurecr.io", "*.azurecr.cn", "*.azurecr.us"],
        // A request has at most 20 MB (skopeo 1101).
        Profile {
            name: "azure",
            upload: UploadForm::Chunks(16 * 1024 * 1024),
            streams: false,
            ..STANDARD
        },
    ),
    (
        &["*.jfrog.io"],
        Profile {
            name: "artifactory",
            upload: UploadForm::Patch,
            resumes: false,
            ..STANDARD
        },
    ),
    (
        &["docker.io"],
        Profile {
            name: "docker-hub",
            ..STANDARD
        },
    ),
];

impl Default for Profile {
    fn default() -> Self {
        STANDARD
    }
}

impl Profile {
    /// The row that a registry's host matches, else the specification's.
    pub fn of(registry: &Registry) -> Self {
        let host = registry.as_str().to_ascii_lowercase();
        let row = TABLE
            .iter()
            .find(|(hosts, _)| hosts.iter().any(|pattern| matches(pattern, &host)));
        row.map_or(STANDARD, |(_, profile)| profile.clone())
    }

    /// The names of all rows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        [STANDARD.name]
            .into_iter()
            .chain(TABLE.iter().map(|(_, profile)| profile.name))
    }

    fn named(name: &str) -> Option<Self> {
        if name == STANDARD.name {
            return Some(STANDARD);
        }
        let row = TABLE.iter().find(|(_, profile)| profile.name == name);
        row.map(|(_, profile)| profile.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), ProfileError> {
        let malformed = |expected| ProfileError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            expected,
        };
        let switch = || match value {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(malformed("`yes` or `no`")),
        };
        match key {
            "upload" => {
                self.upload =
                    upload_form(value).ok_or_else(|| malformed("`put`, `patch` or a number of bytes"))?
            }
            "streams" => self.streams = switch()?,
            "resumes" => self.resumes = switch()?,
            "mounts" => self.mounts = switch()?,
            "empty-blobs" => self.empty_blobs = switch()?,
            "imports" => self.imports = switch()?,
            "referrers" => {
                self.referrers = match value {
                    "probe" => ReferrersForm::Probe,
                    "tag" => ReferrersForm::Tag,
                    _ => return Err(malformed("`probe` or `tag`")),
                }
            }
            "tags-per-page" => {
                let count = value.parse().ok().filter(|count| *count > 0);
                self.tags_per_page = count.ok_or_else(|| malformed("a number, at least 1"))?;
            }
            _ => {
                return Err(ProfileError::Key { key: key.to_owned() });
            }
        }
        Ok(())
    }
}

fn upload_form(value: &str) -> Option<UploadForm> {
    match value {
        "put" => Some(UploadForm::Put),
        "patch" => Some(UploadForm::Patch),
        bytes => bytes
            .parse()
            .ok()
            .filter(|bytes| *bytes > 0)
            .map(UploadForm::Chunks),
    }
}

/// A row's name, and settings that differ from it: `NAME[,KEY=VALUE...]`, such as `standard,upload=patch,mounts=no`.
impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let mut profile = Self::named(name).ok_or_else(|| ProfileError::Name {
            name: name.to_owned(),
        })?;
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(|| ProfileError::Setting {
                text: part.to_owned(),
            })?;
            profile.set(key, value)?;
        }
        Ok(profile)
    }
}

/// Tells whether a host fits a pattern whose `*` stand for anything.
fn matches(pattern: &str, host: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| host.strip_prefix(first)) else {
        return false;
    };
    let mut ends_open = false;
    for part in parts {
        ends_open = part.is_empty();
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    ends_open || rest.is_empty()
}

/// Why a text is no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// No row has this name.
    #[error("unknown profile `{name}`, expected one of {}", Names)]
    Name {
        /// The name.
        name: String,
    },
    /// A setting without a value.
    #[error("`{text}` is no setting, expected KEY=VALUE")]
    Setting {
        /// The setting.
        text: String,
    },
    /// A setting that does not exist.
    #[error(
        "unknown setting `{key}`, expected upload, streams, resumes, mounts, referrers, tags-per-page, empty-blobs or imports"
    )]
    Key {
        /// The setting's name.
        key: String,
    },
    /// A setting that cannot have this value.
    #[error("`{key}={value}`: expected {expected}")]
    Value {
        /// The setting's name.
        key: String,
        /// The value.
        value: String,
        /// What it can have.
        expected: &'static str,
    },
}

struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Profile::names().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_find_their_row() {
        let cases = [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
            ("123456789012.dkr-ecr-fips.us-east-1.on.aws", "ecr"),
            ("public.ecr.aws", "ecr-public"),
            ("ghcr.io", "ghcr"),
            ("europe-docker.pkg.dev", "google"),
            ("eu.gcr.io", "google"),
            ("app.azurecr.io", "azure"),
            ("app.jfrog.io", "artifactory"),
            ("docker.io", "docker-hub"),
            ("registry.example", "standard"),
            ("notgcr.io", "standard"),
            ("ghcr.io.example", "standard"),
        ];
        for (host, name) in cases {
            assert_eq!(Profile::of(&host.parse().unwrap()).name, name, "{host}");
        }
    }

    #[test]
    fn settings_differ_from_a_row() {
        let profile: Profile = "azure,upload=patch,mounts=no,tags-per-page=50".parse().unwrap();
        assert_eq!(profile.upload, UploadForm::Patch);
        assert!(!profile.mounts && !profile.streams);
        assert_eq!(profile.tags_per_page, 50);
        let chunks: Profile = "standard,upload=5242880".parse().unwrap();
        assert_eq!(chunks.upload, UploadForm::Chunks(5_242_880));
        for (text, message) in [
            ("quay", "unknown profile `quay`"),
            ("standard,mounts", "expected KEY=VALUE"),
            ("standard,mounts=maybe", "`mounts=maybe`: expected `yes` or `no`"),
            ("standard,upload=0", "`upload=0`: expected `put`"),
            ("standard,color=red", "unknown setting `color`"),
        ] {
            let error = text.parse::<Profile>().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
