//! Which tags of an image are mirrored.

use std::collections::BTreeSet;
use std::fmt;

use onlay_oci::{Digest, Tag};
use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use semver::{Version, VersionReq};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Names one tag, or some of those that there are.
#[derive(Clone, Debug)]
pub enum TagRule {
    /// One tag.
    Literal(Literal),
    /// Those that match.
    Matching(Matching),
}

/// One tag; with a digest it must name that, or the image is refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Literal {
    /// The tag.
    pub tag: Tag,
    /// What it must name.
    pub digest: Option<Digest>,
}

/// Tags that match a pattern or a range, perhaps only the newest of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matching {
    regex: Option<Pattern>,
    semver: Option<Range>,
    newest: Option<usize>,
}

impl<'de> Deserialize<'de> for TagRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TagRuleVisitor)
    }
}

struct TagRuleVisitor;

impl<'de> Visitor<'de> for TagRuleVisitor {
    type Value = TagRule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tag, or `regex`, `semver` and `newest`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TagRule, E> {
        Literal::try_from(text.to_owned())
            .map(TagRule::Literal)
            .map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<TagRule, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<TagRule, E> {
        self.visit_str(&number.to_string())
    }

    /// To YAML, 1.10 is 1.1: a tag that nobody meant.
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<TagRule, E> {
        Err(E::custom(format!(
            "{number} is a number, which has lost its last zeros; write the tag in quotes"
        )))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TagRule, A::Error> {
        Matching::deserialize(MapAccessDeserializer::new(map)).map(TagRule::Matching)
    }
}

/// A regular expression that may match anywhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Regex);

/// A range of versions, such as `>=1.13, <2`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Range(VersionReq);

impl Pattern {
    /// Whether it matches somewhere.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Regex::new(&text)
            .map(Self)
            .map_err(|error| format!("`{text}`: {error}"))
    }
}

impl TryFrom<String> for Range {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        VersionReq::parse(&text)
            .map(Self)
            .map_err(|error| format!("`{text}` is no range of versions such as `>=1.13, <2`: {error}"))
    }
}

impl TryFrom<String> for Literal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (tag, digest) = match text.split_once('@') {
            Some((tag, digest)) => {
                let digest = digest.parse().map_err(|error| format!("`{text}`: {error}"))?;
                (tag, Some(digest))
            }
            None => (text.as_str(), None),
        };
        let tag = tag.parse().map_err(|error| format!("`{tag}`: {error}"))?;
        Ok(Self { tag, digest })
    }
}

/// Whether the tags that there are must be known.
pub(crate) fn needs_list(rules: &[TagRule]) -> bool {
    rules.iter().any(|rule| matches!(rule, TagRule::Matching(_)))
}

/// The tags that rules name, each once, in the order of the rules; what is excluded is left out.
pub(crate) fn select(rules: &[TagRule], exclude: &[Pattern], there: &[Tag]) -> Vec<Literal> {
    let mut chosen = Vec::new();
    let mut seen = BTreeSet::new();
    for rule in rules {
        let named = match rule {
            TagRule::Literal(literal) => vec![literal.clone()],
            TagRule::Matching(matching) => matching.select(there, exclude),
        };
        for literal in named {
            let is_excluded = exclude
                .iter()
                .any(|pattern| pattern.matches(literal.tag.as_str()));
            if !is_excluded && seen.insert(literal.tag.clone()) {
                chosen.push(literal);
            }
        }
    }
    chosen
}

impl Matching {
    fn select(&self, there: &[Tag], exclude: &[Pattern]) -> Vec<Literal> {
        let is_excluded = |tag: &str| exclude.iter().any(|pattern| pattern.matches(tag));
        let matches = |tag: &&Tag| {
            let text = tag.as_str();
            let in_range = |range: &Range| version(text).is_some_and(|version| range.0.matches(&version));
            !is_excluded(text)
                && self.regex.as_ref().is_none_or(|regex| regex.matches(text))
                && self.semver.as_ref().is_none_or(in_range)
                // Ours, which say what an image was made from.
                && !text.starts_with(crate::identity::PREFIX)
        };
        let mut tags: Vec<&Tag> = there.iter().filter(matches).collect();
        if let Some(count) = self.newest {
            tags.retain(|tag| version(tag.as_str()).is_some());
            tags.sort_by_key(|tag| std::cmp::Reverse((version(tag.as_str()), tag.as_str())));
            tags.truncate(count);
        }
        let literal = |tag: &Tag| Literal {
            tag: tag.clone(),
            digest: None,
        };
        tags.into_iter().map(literal).collect()
    }
}

/// Reads a tag as a version: a `v` in front is left out, and what is missing is zero. What follows a dash is a
/// pre-release, as semver.org has it, which only ranges that name one contain.
pub(crate) fn version(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let (numbers, rest) = match text.find(['-', '+']) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let mut parts: Vec<&str> = numbers.split('.').collect();
    if parts.len() > 3 {
        return None;
    }
    parts.resize(3, "0");
    // Numbers with zeros in front are dates, such as 2024.01, and no versions of semver.org's.
    let numbers: Vec<u64> = parts
        .iter()
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let text = format!(
        "{}.{}.{}{rest}",
        numbers.first()?,
        numbers.get(1)?,
        numbers.get(2)?
    );
    Version::parse(&text).ok()
}

impl JsonSchema for TagRule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TagRule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One tag (with `@sha256:...` it must name that), or those that there are and match.",
            "anyOf": [
                {"type": ["string", "integer"]},
                {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                        "regex": {"type": "string", "description": "A regular expression that may match anywhere."},
                        "semver": {"type": "string", "description": "A range of versions, such as `>=1.13, <2`."},
                        "newest": {"type": "integer", "minimum": 1, "description": "Only so many, newest version first."}
                    }
                }
            ]
        })
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "regex"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &str, exclude: &str, expected: &[&str]) {
        let rules: Vec<TagRule> = serde_saphyr::from_str(rules).unwrap();
        let exclude: Vec<Pattern> = serde_saphyr::from_str(exclude).unwrap();
        let there = [
            "latest",
            "1.9",
            "1.10",
            "1.10.1",
            "v2.0.0",
            "2.0.0-rc1",
            "1.10-alpine",
            "2024.01",
            "nightly",
            "onlay-0a",
        ];
        let there: Vec<Tag> = there.iter().map(|tag| tag.parse().unwrap()).collect();
        let chosen = select(&rules, &exclude, &there);
        let chosen: Vec<&str> = chosen.iter().map(|literal| literal.tag.as_str()).collect();
        assert_eq!(chosen, expected);
    }

    #[test]
    fn tags_are_chosen() {
        check("[latest, latest, '7']", "[]", &["latest", "7"]);
        check(
            "[{regex: '^1\\.'}]",
            "[]",
            &["1.9", "1.10", "1.10.1", "1.10-alpine"],
        );
        check("[{regex: '^1\\.'}]", "['alpine$']", &["1.9", "1.10", "1.10.1"]);
        check("[{semver: '>=1.10, <3'}]", "[]", &["1.10", "1.10.1", "v2.0.0"]);
        check("[{semver: '*', newest: 2}]", "['^2024']", &["v2.0.0", "1.10.1"]);
        check("[{newest: 1}]", "[]", &["2024.01"]);
        check("[{regex: '^on'}]", "[]", &[]);
        check("[nightly, {regex: night}]", "[]", &["nightly"]);
    }

    #[test]
    fn versions_are_read_leniently() {
        assert!(version("v1") < version("1.0.1"));
        assert!(version("1.9") < version("1.10"));
        assert!(version("1.10-rc1") < version("1.10"));
        for none in ["", "latest", "1.2.3.4", "v", "1..2", "-1"] {
            assert_eq!(version(none), None, "{none}");
        }
    }
}
