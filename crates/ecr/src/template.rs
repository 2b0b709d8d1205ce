//! What missing repositories are created with: a file in TOML or JSON.
//!
//! ```toml
//! tag-mutability = "IMMUTABLE"
//! tag-mutability-exclusions = ["latest*"]
//! scan-on-push = true
//! encryption = { type = "KMS", key = "alias/images" }
//! lifecycle-policy = '{"rules": [{"rulePriority": 1, "selection": {...}, "action": {"type": "expire"}}]}'
//!
//! [tags]
//! team = "platform"
//! ```
//!
//! A policy is its text, or the object that the text would be. Everything that can be known without asking AWS is
//! checked when the file is read.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability};
use serde::Deserialize;
use serde_json::Value;

/// What missing repositories are created with. The default is what ECR takes by itself: tags that move, AES256, no
/// scanning, no policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RepositoryTemplate {
    tag_mutability: TagMutability,
    tag_mutability_exclusions: Exclusions,
    pub(crate) scan_on_push: bool,
    pub(crate) encryption: Option<Encryption>,
    tags: Tags,
    lifecycle_policy: Option<Policy<100, 30_720>>,
    repository_policy: Option<Policy<1, 10_240>>,
}

/// Whether a tag may be given to another image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum TagMutability {
    #[default]
    Mutable,
    Immutable,
}

/// Tags that are treated the other way round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct Exclusions(Vec<String>);

/// How images are encrypted at rest, which cannot be changed later.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "EncryptionText")]
pub(crate) struct Encryption {
    pub(crate) kind: EncryptionKind,
    /// An identifier, an alias or an ARN; none is AWS's own key for ECR.
    pub(crate) key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncryptionText {
    #[serde(rename = "type")]
    kind: EncryptionKind,
    key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum EncryptionKind {
    #[serde(rename = "AES256")]
    Aes256,
    #[serde(rename = "KMS")]
    Kms,
    #[serde(rename = "KMS_DSSE")]
    KmsDsse,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
struct Tags(BTreeMap<String, String>);

/// The text of a policy, of so many characters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
struct Policy<const MIN: usize, const MAX: usize>(String);

/// Why a file is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}:{column}: {message}")]
pub struct TemplateError {
    /// The file.
    pub name: String,
    /// Where in it, from 1.
    pub line: usize,
    /// Where in the line, in characters from 1; in JSON this is where the value that is wrong has ended.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Source: ECR API reference, CreateRepository and ImageTagMutabilityExclusionFilter.
const MAX_EXCLUSIONS: usize = 5;
const MAX_EXCLUSION_LENGTH: usize = 128;

/// Source: AWS General Reference "Tagging AWS resources".
const MAX_TAGS: usize = 50;
const MAX_TAG_KEY_LENGTH: usize = 128;
const MAX_TAG_VALUE_LENGTH: usize = 256;

impl RepositoryTemplate {
    /// Reads the text of a file: JSON if it begins with a brace, else TOML. `name` is what errors call it.
    ///
    /// # Errors
    /// The text is malformed, has something unknown, or something that ECR is known to refuse.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| TemplateError::json(name, &error))
        } else {
            toml::from_str(text).map_err(|error| TemplateError::toml(name, text, &error))
        }
    }

    /// None is ECR's own choice, which is that tags move.
    pub(crate) fn tag_mutability(&self) -> Option<ImageTagMutability> {
        match (self.tag_mutability, self.exclusions().is_empty()) {
            (TagMutability::Mutable, true) => None,
            (TagMutability::Mutable, false) => Some(ImageTagMutability::MutableWithExclusion),
            (TagMutability::Immutable, true) => Some(ImageTagMutability::Immutable),
            (TagMutability::Immutable, false) => Some(ImageTagMutability::ImmutableWithExclusion),
        }
    }

    /// The first setting, if there is one, that only private registries have.
    pub(crate) fn private_setting(&self) -> Option<&'static str> {
        let settings = [
            ("tag-mutability", self.tag_mutability().is_some()),
            ("scan-on-push", self.scan_on_push),
            ("encryption", self.encryption.is_some()),
            ("lifecycle-policy", self.lifecycle_policy.is_some()),
            ("repository-policy", self.repository_policy.is_some()),
        ];
        let found = settings.into_iter().find(|(_, is_set)| *is_set);
        found.map(|(name, _)| name)
    }

    pub(crate) fn exclusions(&self) -> &[String] {
        &self.tag_mutability_exclusions.0
    }

    pub(crate) fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags.0
    }

    pub(crate) fn lifecycle_policy(&self) -> Option<&str> {
        self.lifecycle_policy.as_ref().map(|Policy(text)| text.as_str())
    }

    pub(crate) fn repository_policy(&self) -> Option<&str> {
        self.repository_policy.as_ref().map(|Policy(text)| text.as_str())
    }
}

impl From<EncryptionKind> for EncryptionType {
    fn from(kind: EncryptionKind) -> Self {
        match kind {
            EncryptionKind::Aes256 => Self::Aes256,
            EncryptionKind::Kms => Self::Kms,
            EncryptionKind::KmsDsse => Self::KmsDsse,
        }
    }
}

impl TryFrom<EncryptionText> for Encryption {
    type Error = &'static str;

    fn try_from(EncryptionText { kind, key }: EncryptionText) -> Result<Self, Self::Error> {
        match (kind, &key) {
            (EncryptionKind::Aes256, Some(_)) => Err("`AES256` takes no `key`, expected `KMS` or `KMS_DSSE`"),
            _ => Ok(Self { kind, key }),
        }
    }
}

impl TryFrom<Vec<String>> for Exclusions {
    type Error = String;

    fn try_from(filters: Vec<String>) -> Result<Self, Self::Error> {
        let allowed =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '*' | '-');
        let is_filter =
            |text: &str| (1..=MAX_EXCLUSION_LENGTH).contains(&text.len()) && text.chars().all(allowed);
        if filters.len() > MAX_EXCLUSIONS {
            return Err(format!(
                "{} exclusions, expected at most {MAX_EXCLUSIONS}",
                filters.len()
            ));
        }
        match filters.iter().find(|text| !is_filter(text)) {
            Some(text) => Err(format!(
                "`{text}` is no exclusion, expected 1 to {MAX_EXCLUSION_LENGTH} letters, digits, `.`, `_`, `-` and `*`"
            )),
            None => Ok(Self(filters)),
        }
    }
}

impl TryFrom<BTreeMap<String, String>> for Tags {
    type Error = String;

    fn try_from(tags: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        if tags.len() > MAX_TAGS {
            return Err(format!("{} tags, expected at most {MAX_TAGS}", tags.len()));
        }
        for (key, value) in &tags {
            if !(1..=MAX_TAG_KEY_LENGTH).contains(&key.chars().count()) || key.starts_with("aws:") {
                return Err(format!(
                    "`{key}` is no key of a tag, expected 1 to {MAX_TAG_KEY_LENGTH} characters that do not begin with `aws:`"
                ));
            }
            if value.chars().count() > MAX_TAG_VALUE_LENGTH {
                return Err(format!(
                    "the value of the tag `{key}` has more than {MAX_TAG_VALUE_LENGTH} characters"
                ));
            }
        }
        Ok(Self(tags))
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<Value> for Policy<MIN, MAX> {
    type Error = String;

    /// A text is sent as it is written.
    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let text = match value {
            Value::Object(_) => value.to_string(),
            Value::String(text) => match serde_json::from_str(&text) {
                Ok(Value::Object(_)) => text,
                Ok(_) => return Err("the policy is not a JSON object".to_owned()),
                Err(error) => return Err(format!("the policy is not JSON: {error}")),
            },
            _ => return Err("expected a policy: an object, or its text".to_owned()),
        };
        match text.chars().count() {
            length if (MIN..=MAX).contains(&length) => Ok(Self(text)),
            length => Err(format!(
                "the policy has {length} characters, expected {MIN} to {MAX}"
            )),
        }
    }
}

impl TemplateError {
    fn json(name: &str, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        Self {
            name: name.to_owned(),
            line,
            column,
            message: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
        }
    }

    fn toml(name: &str, text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start);
        let before = text.get(..offset).unwrap_or(text);
        let in_line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            name: name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: in_line.chars().count() + 1,
            message: error.message().to_owned(),
        }
    }
}

impl fmt::Display for EncryptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EncryptionType::from(*self).as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}"#;

    fn error(text: &str) -> String {
        RepositoryTemplate::parse("t", text).unwrap_err().to_string()
    }

    #[test]
    fn both_formats_say_the_same() {
        let toml = format!(
            "tag-mutability = \"IMMUTABLE\"\ntag-mutability-exclusions = [\"latest*\"]\nscan-on-push = true\n\
             encryption = {{ type = \"KMS_DSSE\", key = \"alias/x\" }}\nlifecycle-policy = '{POLICY}'\n\
             [tags]\nteam = \"a\"\n[repository-policy]\nVersion = \"2012-10-17\"\n"
        );
        let json = format!(
            r#" {{"tag-mutability": "IMMUTABLE", "tag-mutability-exclusions": ["latest*"], "scan-on-push": true,
              "encryption": {{"type": "KMS_DSSE", "key": "alias/x"}}, "lifecycle-policy": {POLICY},
              "tags": {{"team": "a"}}, "repository-policy": "{{\"Version\":\"2012-10-17\"}}"}}"#
        );
        let template = RepositoryTemplate::parse("t", &toml).unwrap();
        assert_eq!(RepositoryTemplate::parse("t", &json), Ok(template.clone()));
        assert_eq!(
            template.tag_mutability(),
            Some(ImageTagMutability::ImmutableWithExclusion)
        );
        assert_eq!(template.exclusions(), ["latest*"]);
        assert_eq!(template.lifecycle_policy(), Some(POLICY));
        assert_eq!(template.repository_policy(), Some(r#"{"Version":"2012-10-17"}"#));
        assert!(template.scan_on_push);
        assert_eq!(template.encryption.unwrap().kind.to_string(), "KMS_DSSE");
    }

    #[test]
    fn nothing_said_is_what_ecr_takes_by_itself() {
        assert_eq!(
            RepositoryTemplate::parse("t", ""),
            Ok(RepositoryTemplate::default())
        );
        let template = RepositoryTemplate::parse("t", "tag-mutability-exclusions = ['v*']").unwrap();
        assert_eq!(
            template.tag_mutability(),
            Some(ImageTagMutability::MutableWithExclusion)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let many_tags: String = (0..51).map(|number| format!("k{number} = 'v'\n")).collect();
        let long = "x".repeat(10_240);
        let cases = [
            (
                "scan-on-push = true\ncolour = 1\n".to_owned(),
                "t:2:1: unknown field `colour`, expected one of `tag-mutability`, `tag-mutability-exclusions`, \
                 `scan-on-push`, `encryption`, `tags`, `lifecycle-policy`, `repository-policy`",
            ),
            (
                "\ntag-mutability = 'FIXED'\n".to_owned(),
                "t:2:18: unknown variant `FIXED`, expected `MUTABLE` or `IMMUTABLE`",
            ),
            (
                "encryption = { type = 'AES256', key = 'x' }".to_owned(),
                "t:1:14: `AES256` takes no `key`, expected `KMS` or `KMS_DSSE`",
            ),
            (
                "tag-mutability-exclusions = ['a b']".to_owned(),
                "t:1:29: `a b` is no exclusion, expected 1 to 128 letters, digits, `.`, `_`, `-` and `*`",
            ),
            (
                "tag-mutability-exclusions = ['a', 'b', 'c', 'd', 'e', 'f']".to_owned(),
                "t:1:29: 6 exclusions, expected at most 5",
            ),
            (
                format!("[tags]\n{many_tags}"),
                "t:1:1: 51 tags, expected at most 50",
            ),
            (
                "tags = { 'aws:x' = 'y' }".to_owned(),
                "t:1:8: `aws:x` is no key of a tag, expected 1 to 128 characters that do not begin with `aws:`",
            ),
            (
                "lifecycle-policy = '{}'".to_owned(),
                "t:1:20: the policy has 2 characters, expected 100 to 30720",
            ),
            (
                "lifecycle-policy = 'expire'".to_owned(),
                "t:1:20: the policy is not JSON: expected value at line 1 column 1",
            ),
            (
                format!("repository-policy = {{ x = '{long}' }}"),
                "t:1:21: the policy has 10248 characters, expected 1 to 10240",
            ),
            (
                "repository-policy = 5".to_owned(),
                "t:1:21: expected a policy: an object, or its text",
            ),
            (
                "{\"scan-on-push\": true,\n \"tag-mutability-exclusions\": [\"a b\"]}".to_owned(),
                "t:2:38: `a b` is no exclusion, expected 1 to 128 letters, digits, `.`, `_`, `-` and `*`",
            ),
            (
                "{\"scan-on-push\": 1}".to_owned(),
                "t:1:18: invalid type: integer `1`, expected a boolean",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(error(&text), expected, "{text}");
        }
    }
}
