use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The operating system and processor that an image is for.
///
/// Parsing and [`normalised`](Self::normalised) use containerd's spellings: `x86_64` is `amd64`, `aarch64` is `arm64`,
/// `arm` means `arm/v7`, and the variants `amd64/v1` and `arm64/v8` are left out.
///
/// Source: image-spec v1.1 image-index.md "platform"; containerd `platforms` package documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The processor, as Go's `GOARCH` spells it.
    #[serde(default)]
    pub architecture: String,
    /// The operating system, as Go's `GOOS` spells it.
    #[serde(default)]
    pub os: String,
    /// The version of the operating system; Windows only.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What the operating system must have; Windows only.
    #[serde(
        rename = "os.features",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::descriptor::null_is_default"
    )]
    pub os_features: Vec<String>,
    /// The variant of the processor, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Makes a platform from an operating system and an architecture, normalised.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            ..Self::default()
        }
        .normalised()
    }

    /// Tells whether this is the `unknown/unknown` that attestations carry, or no platform at all.
    pub fn is_unknown(&self) -> bool {
        let unknown = |text: &str| text.is_empty() || text == "unknown";
        unknown(&self.os) || unknown(&self.architecture)
    }

    /// Tells whether file and RUN instructions can be applied to images of this platform.
    pub fn is_linux(&self) -> bool {
        self.os == "linux"
    }

    /// Spells the platform in the one way that comparison needs.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        self.os = match self.os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        let variant = self.variant.take().unwrap_or_default().to_ascii_lowercase();
        let (architecture, variant) = normalise_cpu(&self.architecture.to_ascii_lowercase(), &variant);
        self.architecture = architecture;
        self.variant = (!variant.is_empty()).then_some(variant);
        self
    }

    /// Ranks how well an image of platform `offered` runs where `self` is asked for: 0 is an exact match, higher is an
    /// older variant of the same processor, `None` does not run.
    pub fn rank(&self, offered: &Self) -> Option<u8> {
        let (wanted, offered) = (self.clone().normalised(), offered.clone().normalised());
        let same_version = wanted.os_version.is_none() || wanted.os_version == offered.os_version;
        if wanted.os != offered.os || wanted.architecture != offered.architecture || !same_version {
            return None;
        }
        level(&wanted)?.checked_sub(level(&offered)?)
    }
}

/// The variant as a number: an older variant of one architecture runs on a newer one.
fn level(platform: &Platform) -> Option<u8> {
    match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("amd64", None) => Some(1),
        ("arm64", None) => Some(8),
        (_, None) => Some(0),
        (_, Some(variant)) => variant.strip_prefix('v')?.split('.').next()?.parse().ok(),
    }
}

fn normalise_cpu(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("x86_64" | "x86-64" | "amd64", "v1" | "") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0" | "") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        ("i386" | "i486" | "i586" | "i686", _) => ("386", ""),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .iter()
            .try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let error = || PlatformError {
            text: text.to_owned(),
        };
        let parts: Vec<&str> = text.split('/').collect();
        let well_formed = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        if !parts.iter().all(well_formed) {
            return Err(error());
        }
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return Err(error()),
        };
        let platform = Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant,
            ..Self::default()
        };
        Ok(platform.normalised())
    }
}

/// Which platforms of an index are worked on: `all`, or a list in which each must be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlatformSelection {
    /// Every platform, in the base's order.
    All,
    /// These; the result has them in the base's order.
    Only(Vec<Platform>),
}

impl FromStr for PlatformSelection {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.split(',')
            .map(|part| part.trim().parse())
            .collect::<Result<_, _>>()
            .map(Self::Only)
    }
}

/// A text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a platform, expected `os/architecture[/variant]` such as `linux/arm64`")]
pub struct PlatformError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_normalised() {
        let cases = [
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("Linux/ARM/V6", "linux/arm/v6"),
            ("linux/i686", "linux/386"),
            ("linux/s390x", "linux/s390x"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                text.parse::<Platform>().map(|platform| platform.to_string()),
                Ok(expected.to_owned())
            );
        }
        for text in ["", "linux", "a/b/c/d", "linux/", "linux/a b", "/amd64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn older_variants_run_on_newer_processors() {
        let rank = |wanted: &str, offered: &str| {
            wanted
                .parse::<Platform>()
                .unwrap()
                .rank(&offered.parse().unwrap())
        };
        assert_eq!(rank("linux/arm/v7", "linux/arm/v7"), Some(0));
        assert_eq!(rank("linux/arm/v7", "linux/arm/v6"), Some(1));
        assert_eq!(rank("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(rank("linux/amd64", "linux/amd64/v2"), None);
        assert_eq!(rank("linux/amd64", "linux/arm64"), None);
        assert_eq!(rank("linux/arm64", "linux/arm64/v8"), Some(0));
    }

    #[test]
    fn selections() {
        assert_eq!("all".parse(), Ok(PlatformSelection::All));
        let two = PlatformSelection::Only(vec![
            Platform::new("linux", "amd64"),
            Platform::new("linux", "arm64"),
        ]);
        assert_eq!("linux/amd64, linux/aarch64".parse(), Ok(two));
        assert!("linux/amd64,".parse::<PlatformSelection>().is_err());
    }
}
