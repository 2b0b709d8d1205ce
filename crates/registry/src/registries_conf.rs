//! `registries.conf` in its second version, as the tools around `containers/image` read it.
//!
//! Left out: registries to search for short names, aliases of short names and credential helpers, none of which says
//! where an image with a full name is.
//!
//! Source: containers-registries.conf(5).

use onlay_oci::Registry;
use serde::Deserialize;
use url::Url;

use crate::mirrors::{Place, Pulls, Rule, malformed, value};
use crate::{MirrorError, Mirrors, Verification};

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<Entry>,
    /// The first version's lists.
    registries: Option<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<Mirror>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    pull_from_mirror: Option<PullFrom>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullFrom {
    All,
    DigestOnly,
    TagOnly,
}

impl Mirrors {
    /// Adds the text of a `registries.conf`; what it says of a prefix replaces what was said before.
    ///
    /// # Errors
    /// The text is malformed, or of the first version; `name` is what the error calls it.
    pub fn with_registries_conf(mut self, name: &str, text: &str) -> Result<Self, MirrorError> {
        let file: File = toml::from_str(text).map_err(|error| malformed(name, &error))?;
        if file.registries.is_some() {
            return Err(MirrorError::Unsupported {
                name: name.to_owned(),
                what: "the first version of its format (`[registries.search]`)".to_owned(),
            });
        }
        for entry in file.registry {
            self.add_entry(name, entry)?;
        }
        Ok(self)
    }

    fn add_entry(&mut self, name: &str, entry: Entry) -> Result<(), MirrorError> {
        let location = entry.location.filter(|location| !location.is_empty());
        let prefix = entry.prefix.or_else(|| location.clone()).unwrap_or_default();
        let is_well_formed = Place::parse(&prefix).is_some()
            || Place::parse(prefix.strip_prefix("*.").unwrap_or("")).is_some();
        if !is_well_formed {
            return Err(value(
                name,
                &prefix,
                "a prefix of images' names, HOST[:PORT][/PATH]",
            ));
        }
        let mut mirrors = Vec::new();
        for mirror in &entry.mirror {
            let pulls = match mirror.pull_from_mirror {
                None if entry.mirror_by_digest_only => Pulls::ByDigest,
                None | Some(PullFrom::All) => Pulls::All,
                Some(PullFrom::DigestOnly) => Pulls::ByDigest,
                Some(PullFrom::TagOnly) => Pulls::ByTag,
            };
            mirrors.extend(self.places(name, &mirror.location, mirror.insecure, pulls)?);
        }
        let prefix = canonical(&prefix);
        let location = location
            .as_deref()
            .map(canonical)
            .unwrap_or_else(|| prefix.clone());
        // A wildcard stands for the registries that match it.
        let is_elsewhere = location != prefix && !location.starts_with('*');
        let moved_to = if is_elsewhere || (entry.insecure && !location.starts_with('*')) {
            self.places(name, &location, entry.insecure, Pulls::All)?
        } else {
            Vec::new()
        };
        self.add_rule(Rule {
            prefix,
            file: name.to_owned(),
            is_blocked: entry.blocked,
            mirrors,
            moved_to,
        });
        Ok(())
    }

    /// A location; an insecure one is tried over TLS with whatever certificate, and then over plain HTTP.
    fn places(
        &mut self,
        name: &str,
        location: &str,
        insecure: bool,
        pulls: Pulls,
    ) -> Result<Vec<Place>, MirrorError> {
        let place =
            Place::parse(location).ok_or_else(|| value(name, location, "a location, HOST[:PORT][/PATH]"))?;
        let place = Place { pulls, ..place };
        if !insecure || place.registry.is_loopback() {
            return Ok(vec![place]);
        }
        let host = host(&place.registry);
        self.host_options_mut(&host).verification = Verification::Skipped;
        let over = |scheme: &str| {
            let api = Url::parse(&format!("{scheme}://{host}/v2/")).ok();
            Place { api, ..place.clone() }
        };
        Ok(vec![over("https"), over("http")])
    }
}

/// The host that speaks for a registry; Docker Hub's is another than its name.
fn host(registry: &Registry) -> String {
    match registry.is_docker_hub() {
        true => "registry-1.docker.io".to_owned(),
        false => registry.to_string(),
    }
}

/// A name's beginning as references have it, under whichever of its names Docker Hub stands there.
fn canonical(prefix: &str) -> String {
    let (host, path) = prefix.split_once('/').unwrap_or((prefix, ""));
    let host = host
        .parse::<Registry>()
        .map_or_else(|_| host.to_owned(), |registry| registry.to_string());
    match path.trim_end_matches('/') {
        "" => host,
        path => format!("{host}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
unqualified-search-registries = ["quay.io"]
short-name-mode = "permissive"

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "m.example/hub"
[[registry.mirror]]
location = "digests.example"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.example"
pull-from-mirror = "tag-only"

[[registry]]
prefix = "docker.io/library/secret"
blocked = true

[[registry]]
prefix = "old.example/team"
location = "new.example/old"

[[registry]]
prefix = "*.dev.example"
[[registry.mirror]]
location = "lab.example:5000"
insecure = true
"#;

    /// Where an image is read from, as `SCHEME HOST/REPOSITORY`, and at the end `home` if it is asked.
    fn check(reference: &str, expected: &[&str]) {
        let mirrors = Mirrors::default().with_registries_conf("x.conf", TEXT).unwrap();
        let found = mirrors.sources(&reference.parse().unwrap()).unwrap();
        let mut texts: Vec<String> = found
            .sources
            .iter()
            .map(|source| {
                let scheme = source.api.as_ref().map_or("-", |api| api.scheme());
                format!("{scheme} {}/{}", source.registry, source.repository)
            })
            .collect();
        texts.extend(found.ends_at_home.then(|| "home".to_owned()));
        assert_eq!(texts, expected, "{reference}");
    }

    #[test]
    fn places_by_reference() {
        check(
            "debian:12",
            &[
                "- m.example/hub/library/debian",
                "- tags.example/library/debian",
                "home",
            ],
        );
        let digest = format!("debian@sha256:{}", "0".repeat(64));
        check(
            &digest,
            &[
                "- m.example/hub/library/debian",
                "- digests.example/library/debian",
                "home",
            ],
        );
        check("old.example/team/app:1", &["- new.example/old/app"]);
        check("old.example/teams/app:1", &["home"]);
        check(
            "x.dev.example/app",
            &["https lab.example:5000/app", "http lab.example:5000/app", "home"],
        );
    }

    #[test]
    fn blocked_names() {
        let mirrors = Mirrors::default().with_registries_conf("x.conf", TEXT).unwrap();
        let found = mirrors.sources(&"docker.io/library/secret".parse().unwrap());
        assert_eq!(found, Err("x.conf".to_owned()));
    }

    #[test]
    fn what_is_not_read() {
        let cases = [
            ("[registries.search]\nregistries = []", "first version"),
            ("[[registry]]\nlocation = 1", "malformed"),
            ("[[registry]]\nlocation = 'a.example'\nfast = true", "malformed"),
            (
                "[[registry]]\nlocation = 'a.example/x:1'",
                "`a.example/x:1` is not",
            ),
            ("[[registry]]\nblocked = true", "`` is not"),
        ];
        for (text, words) in cases {
            let error = Mirrors::default()
                .with_registries_conf("x.conf", text)
                .unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_password_in_a_location_is_refused_and_not_shown() {
        let texts = [
            "[[registry]]\nlocation = 'user:hunter2@a.example'",
            "[[registry]]\nprefix = 'https://user:hunter2@a.example/x'",
            "[[registry]]\nprefix = 'b.example'\nlocation = 'user:hunter2@a.example/x'",
            "[[registry]]\nlocation = 'b.example'\n[[registry.mirror]]\nlocation = 'user:hunter2@a.example'",
        ];
        for text in texts {
            let error = Mirrors::default()
                .with_registries_conf("registries.conf", text)
                .unwrap_err();
            let words = "`registries.conf` has a password in the address of `a.example`";
            assert!(error.to_string().starts_with(words), "{error}");
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
        }
    }
}
