//! The configuration file, as it is written.

use std::collections::BTreeMap;
use std::fmt;

use onlay_dockerfile::{SourceFile, parse_instructions};
use onlay_oci::{PlatformSelection, Reference, Registry, Tag};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::naming::Naming;
use crate::select::{Pattern, TagRule};

/// What is mirrored, and how. It is the allow-list: nothing that it does not name is fetched.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Configuration of onlay mirror")]
pub struct Config {
    /// Where images are kept: a registry's host. `--registry` says it too.
    pub registry: Option<Host>,
    /// What stands in front of all repositories there.
    pub namespace: String,
    /// How registries are logged in to, by host; others are as everywhere in onlay.
    pub registries: BTreeMap<Host, RegistryRule>,
    /// What repositories are called there.
    pub naming: Naming,
    /// What holds for all images unless they say otherwise.
    pub defaults: Defaults,
    /// The images.
    pub images: Vec<ImageRule>,
    /// Lines for all images whose name matches a pattern; they come in front of an image's own.
    pub lines: Vec<LinesRule>,
    /// The Terraform module's `containers`: tags by image of Docker Hub.
    pub containers: BTreeMap<Source, Vec<TagRule>>,
    /// The Terraform module's `build_commands`: lines by image and tag.
    pub build_commands: BTreeMap<String, Vec<Line>>,
}

/// How a registry is logged in to: the password is in one of these places.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryRule {
    /// The user, unless the password's place says that, too.
    pub username: Option<String>,
    /// A secret of AWS Secrets Manager, by ARN or name: a password, or JSON with `username` and `accessToken` or `password`.
    pub secret: Option<String>,
    /// A parameter of AWS Systems Manager, by ARN or name.
    pub parameter: Option<String>,
    /// A variable of the environment.
    pub variable: Option<String>,
}

/// What holds for an image.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Platforms to keep: `all`, or a list such as `linux/amd64,linux/arm64`.
    pub platforms: Option<Platforms>,
    /// Whether signatures, SBOMs and the like come along when an image is copied.
    pub referrers: Option<bool>,
    /// Images of higher priority come first where pulls are limited.
    pub priority: Option<i64>,
    /// What becomes of platforms of which lines would have to be executed on another architecture than the machine's.
    pub cannot_run: Option<CannotRun>,
    /// Whether Docker's official images are brought from ECR Public where Docker Hub allows no more pulls and the digest is
    /// the same there; yes unless it is said.
    pub fall_back: Option<bool>,
    /// The tag that an image keeps when it is replaced, such as `{tag}-previous`.
    pub previous: Option<PreviousTag>,
    /// How many images that were replaced `onlay mirror prune` leaves; without it, all.
    pub keep: Option<usize>,
}

/// What becomes of a platform of which lines would have to be executed on another architecture than the machine's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CannotRun {
    /// The image fails.
    #[default]
    Fail,
    /// The platform is left out of the index.
    Skip,
}

/// One image, some or all of its tags.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRule {
    /// The image without a tag: `redis`, `hashicorp/vault`, `quay.io/prometheus/prometheus`.
    pub source: Source,
    /// Which tags.
    pub tags: Vec<TagRule>,
    /// Tags that are left out whatever names them: regular expressions.
    #[serde(default)]
    pub exclude: Vec<Pattern>,
    /// What the repository is called, in place of what `naming` makes of it; `{repository}` and the others work here, too.
    pub target: Option<String>,
    /// Platforms to keep.
    pub platforms: Option<Platforms>,
    /// Whether what refers to the image comes along.
    pub referrers: Option<bool>,
    /// Images of higher priority come first where pulls are limited.
    pub priority: Option<i64>,
    /// What becomes of platforms of which lines would have to be executed on another architecture than the machine's.
    pub cannot_run: Option<CannotRun>,
    /// Whether it may come from ECR Public.
    pub fall_back: Option<bool>,
    /// The tag that an image keeps when it is replaced, such as `{tag}-previous`.
    pub previous: Option<PreviousTag>,
    /// How many images that were replaced `onlay mirror prune` leaves; without it, all.
    pub keep: Option<usize>,
    /// Lines of a Dockerfile that are added to every tag.
    #[serde(default)]
    pub lines: Vec<Line>,
    /// Lines that are added to single tags, behind the others.
    #[serde(default)]
    pub tag_lines: BTreeMap<String, Vec<Line>>,
}

/// Lines for images whose name matches.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinesRule {
    /// A regular expression over `registry/repository:tag`, such as `^docker\.io/library/`.
    #[serde(rename = "match")]
    pub pattern: Pattern,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A registry's host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Host(pub Registry);

/// An image without a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Source(String);

/// Which platforms.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Platforms(pub PlatformSelection);

/// A tag made from another one, with `{tag}` in the place of that.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct PreviousTag(String);

/// A line of a Dockerfile, or several that belong together, such as one with a heredoc.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Line(String);

/// What is wrong with a configuration, and where.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {message}")]
pub struct ConfigError {
    /// The file.
    pub name: String,
    /// What is wrong.
    pub message: String,
}

impl Config {
    /// Reads YAML, of which JSON is a part.
    ///
    /// # Errors
    /// Something is not understood; the message names the line.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        serde_saphyr::from_str(text).map_err(|error| {
            let plain = error.render_with_options(serde_saphyr::render_options! {
                snippets: serde_saphyr::SnippetMode::Off,
            });
            match error.location() {
                Some(place) => {
                    let (line, column) = (place.line(), place.column());
                    let said_again = format!(" at line {line}, column {column}");
                    ConfigError {
                        name: format!("{name}:{line}:{column}"),
                        message: plain.trim_end_matches(&said_again).to_owned(),
                    }
                }
                None => ConfigError {
                    name: name.to_owned(),
                    message: plain,
                },
            }
        })
    }

    /// The schema of the file, as JSON.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

impl Source {
    /// The image with a tag or a digest.
    pub fn reference(&self) -> Option<Reference> {
        self.0.parse().ok()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let reference: Reference = text.parse().map_err(|error| format!("`{text}`: {error}"))?;
        match (reference.tag(), reference.digest()) {
            (None, None) => Ok(Self(text)),
            _ => Err(format!(
                "`{text}` has a tag or a digest, expected the image alone; `tags` says which"
            )),
        }
    }
}

impl PreviousTag {
    pub(crate) fn of(&self, tag: &Tag) -> Option<Tag> {
        self.0.replace("{tag}", tag.as_str()).parse().ok()
    }
}

impl TryFrom<String> for PreviousTag {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let made = text.replace("{tag}", "1").parse::<Tag>();
        match made {
            Ok(_) if text.contains("{tag}") && text != "{tag}" => Ok(Self(text)),
            _ => Err(format!(
                "`{text}`: expected a tag with `{{tag}}` in it, such as `{{tag}}-previous`"
            )),
        }
    }
}

impl Line {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Line {
    type Error = String;

    /// Lines that cannot be understood are wrong wherever they would be used.
    fn try_from(text: String) -> Result<Self, String> {
        match parse_instructions(SourceFile::new("line", text.as_str())) {
            Ok(_) => Ok(Self(text)),
            Err(wrong) => Err(wrong.messages()),
        }
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|error| format!("`{text}`: {error}"))
    }
}

impl TryFrom<String> for Platforms {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|error| format!("`{text}`: {error}"))
    }
}

macro_rules! schema_of_text {
    ($($type:ident: $description:literal),*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "description": $description})
            }
        }
    )*};
}

schema_of_text! {
    Host: "The host of a registry.",
    Line: "An instruction of a Dockerfile, such as `RUN mkdir /etc/vault`.",
    Source: "An image without tag and digest.",
    PreviousTag: "A tag with `{tag}` in it, such as `{tag}-previous`.",
    Platforms: "`all`, or a list of platforms between commas."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let check = |text: &str, words: &[&str]| {
            let error = Config::parse(text, "mirror.yaml").unwrap_err().to_string();
            for word in words {
                assert!(error.contains(word), "{word}: {error}");
            }
        };
        check(
            "images:\n  - source: redis\n    tagz: []\n",
            &["mirror.yaml:3:", "tagz"],
        );
        check(
            "images:\n  - source: redis:7\n    tags: []\n",
            &["mirror.yaml:2:", "redis:7", "alone"],
        );
        check("registry: 'UPPER CASE'\n", &["mirror.yaml:1:"]);
        check(
            "images:\n  - source: redis\n    tags:\n      - regex: '('\n",
            &["mirror.yaml:4:"],
        );
        check(
            "images:\n  - source: redis\n    tags:\n      - semver: 'no'\n",
            &["mirror.yaml:4:"],
        );
        check(
            "images:\n  - source: redis\n    tags: []\n    lines:\n      - RUNN x\n",
            &["mirror.yaml:5:", "RUNN", "did you mean"],
        );
        check("naming: sideways\n", &["mirror.yaml:1:", "sideways"]);
        check("images:\n  - tags: []\n", &["source"]);
        check("images: [\n", &["mirror.yaml:1:"]);
    }

    #[test]
    fn the_modules_maps_are_taken_as_they_are() {
        let text = r#"{"containers": {"redis": ["latest"], "hashicorp/vault": ["1.14", "1.13.3"]},
            "build_commands": {"hashicorp/vault:1.14": ["RUN mkdir /etc/vault"]}}"#;
        let config = Config::parse(text, "-").unwrap();
        assert_eq!(config.containers.len(), 2);
        let unquoted = Config::parse("containers:\n  redis: [8]\n", "-").unwrap();
        let tags = &unquoted.containers[&Source("redis".to_owned())];
        assert!(matches!(&tags[0], TagRule::Literal(literal) if literal.tag.as_str() == "8"));
        let number = Config::parse("containers:\n  redis: [7.10]\n", "-").unwrap_err();
        assert!(number.to_string().contains("in quotes"), "{number}");
    }
}
