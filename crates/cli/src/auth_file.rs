//! Docker's `config.json`, edited: what is not about the registry at hand stays as it is, to the letter.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onlay_registry::{EntryNames, Secret};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::failure::Usage;
use crate::session::is_absent;

/// A docker configuration file, or a containers auth.json, which looks the same.
pub(crate) struct AuthFile {
    path: PathBuf,
    members: Members,
}

/// A JSON object, with its members in order and as they are written.
#[derive(Default)]
struct Members(Vec<(String, Box<RawValue>)>);

/// What an entry has of credentials; other members are somebody else's.
const SECRETS: [&str; 5] = ["auth", "username", "password", "identitytoken", "registrytoken"];

impl AuthFile {
    /// Reads a file; one that is not there is empty.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        // Written by rename, a link would become a file, and what it led to would stay as it was.
        let path = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let text = match fs_err::read(&path) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let members = Members::parse(&text).map_err(|error| malformed(&path, &error))?;
        Ok(Self { path, members })
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The helper that keeps a registry's credential, with the names it may have there.
    pub(crate) fn helper(&self, names: &EntryNames) -> anyhow::Result<Option<(String, Vec<String>)>> {
        let named = self.object("credHelpers")?;
        if let Some((name, helper)) = named.0.iter().find(|(name, _)| names.includes(name)) {
            let helper = serde_json::from_str(helper.get()).map_err(|error| malformed(&self.path, &error))?;
            return Ok(Some((helper, names.servers(name))));
        }
        let Some(helper) = self.members.get("credsStore") else {
            return Ok(None);
        };
        let helper: Option<String> =
            serde_json::from_str(helper.get()).map_err(|error| malformed(&self.path, &error))?;
        let helper = helper.filter(|helper| !helper.is_empty());
        Ok(helper.map(|helper| (helper, names.servers(names.written()))))
    }

    /// Writes a login into the entry of a registry, and into no other that it has.
    pub(crate) fn set(
        &mut self,
        names: &EntryNames,
        username: &str,
        password: &Secret,
    ) -> anyhow::Result<()> {
        let mut entries = self.object("auths")?;
        let before = entries.get(names.written()).map(RawValue::get).unwrap_or("{}");
        let mut entry = Members::parse(before.as_bytes()).unwrap_or_default();
        entry.0.retain(|(name, _)| !SECRETS.contains(&name.as_str()));
        let encoded = STANDARD.encode(format!("{username}:{}", password.reveal()));
        entry.set("auth", serde_json::value::to_raw_value(&encoded)?);
        entries.set(names.written(), entry.render(2)?);
        entries
            .0
            .retain(|(name, _)| name == names.written() || !names.includes(name));
        self.members.set("auths", entries.render(1)?);
        Ok(())
    }

    /// Removes the entries of a registry under whatever names, and tells whether there was one with something in it.
    pub(crate) fn remove(&mut self, names: &EntryNames) -> anyhow::Result<bool> {
        let mut entries = self.object("auths")?;
        let (removed, kept) = std::mem::take(&mut entries.0)
            .into_iter()
            .partition(|(name, _)| names.includes(name));
        entries.0 = kept;
        if !removed.is_empty() {
            self.members.set("auths", entries.render(1)?);
        }
        let has_something = |(_, entry): &(String, Box<RawValue>)| {
            Members::parse(entry.get().as_bytes()).is_ok_and(|entry| !entry.0.is_empty())
        };
        Ok(removed.iter().any(has_something))
    }

    /// Writes the file for its owner only, all of it or nothing.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let failed = || format!("failed to write `{}`", self.path.display());
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new("."));
        fs_err::create_dir_all(directory)?;
        // Temporary files are made with the mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(directory).with_context(failed)?;
        writeln!(file, "{}", self.members.render(0)?.get()).with_context(failed)?;
        if let Ok(before) = fs_err::metadata(&self.path) {
            // Under sudo it stays the user's; where that is not allowed, who runs this may have it.
            let _ = fchown(file.as_file(), Some(before.uid()), Some(before.gid()));
        }
        file.as_file().sync_all().with_context(failed)?;
        file.persist(&self.path).with_context(failed)?;
        Ok(())
    }

    /// A member that is an object; one that is not there, or null, is empty.
    fn object(&self, name: &str) -> anyhow::Result<Members> {
        let text = self
            .members
            .get(name)
            .map(RawValue::get)
            .filter(|text| *text != "null");
        Ok(Members::parse(text.unwrap_or("{}").as_bytes()).map_err(|error| malformed(&self.path, &error))?)
    }
}

impl Members {
    fn parse(text: &[u8]) -> serde_json::Result<Self> {
        let is_empty = text.trim_ascii().is_empty();
        serde_json::from_slice(if is_empty { b"{}" } else { text })
    }

    fn get(&self, name: &str) -> Option<&RawValue> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| &**value)
    }

    /// Sets a member where it stands, or at the end.
    fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => *own = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The text, indented by tabs as docker does it.
    fn render(&self, depth: usize) -> serde_json::Result<Box<RawValue>> {
        let indent = "\t".repeat(depth);
        let members = self.0.iter().map(|(name, value)| {
            let name = serde_json::to_string(name)?;
            Ok(format!("\n{indent}\t{name}: {}", value.get()))
        });
        let members = members.collect::<serde_json::Result<Vec<_>>>()?;
        RawValue::from_string(match members.is_empty() {
            true => "{}".to_owned(),
            false => format!("{{{}\n{indent}}}", members.join(",")),
        })
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// What stands there is not shown: it may be a secret in the wrong place.
fn malformed(path: &Path, error: &serde_json::Error) -> Usage {
    Usage(format!(
        "`{}` is not a docker configuration file: line {}, column {}",
        path.display(),
        error.line(),
        error.column()
    ))
}

#[cfg(test)]
mod tests {
    use onlay_oci::Registry;

    use super::*;

    fn edited(text: &str, registry: &str, edit: impl FnOnce(&mut AuthFile, &EntryNames)) -> String {
        let mut file = AuthFile {
            path: PathBuf::from("config.json"),
            members: Members::parse(text.as_bytes()).unwrap(),
        };
        let registry: Registry = registry.parse().unwrap();
        edit(&mut file, &EntryNames::of(&registry, None));
        file.members.render(0).unwrap().get().to_owned()
    }

    fn set(text: &str, registry: &str) -> String {
        edited(text, registry, |file, names| {
            file.set(names, "a", &Secret::new("1")).unwrap();
        })
    }

    fn remove(text: &str, registry: &str) -> (String, bool) {
        let mut removed = false;
        let text = edited(text, registry, |file, names| {
            removed = file.remove(names).unwrap()
        });
        (text, removed)
    }

    #[test]
    fn a_new_file_looks_like_dockers() {
        let expected = "{\n\t\"auths\": {\n\t\t\"h.example\": {\n\t\t\t\"auth\": \"YTox\"\n\t\t}\n\t}\n}";
        for text in [
            "",
            "{}",
            r#"{"auths": null}"#,
            r#"{"auths":{"https://h.example/v2/":{"auth":"x"}}}"#,
        ] {
            assert_eq!(set(text, "h.example"), expected, "{text}");
        }
        assert!(set("", "docker.io").contains(r#""https://index.docker.io/v1/": {"#));
    }

    #[test]
    fn all_else_stays_as_it_is() {
        let text = r#"{"x": 1.50, "auths": {"z": { "auth":"" },
  "h.example": {"email": "e", "auth": "b", "identitytoken": "c"}, "a/h.example": {}}, "big": 123456789012345678901234567890,
  "proxies" : { "default": {"a" :"\u00e9"} }}"#;
        let expected = r#"{
	"x": 1.50,
	"auths": {
		"z": { "auth":"" },
		"h.example": {
			"email": "e",
			"auth": "YTox"
		},
		"a/h.example": {}
	},
	"big": 123456789012345678901234567890,
	"proxies": { "default": {"a" :"\u00e9"} }
}"#;
        assert_eq!(set(text, "h.example"), expected);
    }

    #[test]
    fn entries_are_removed_under_every_name() {
        let text = r#"{"auths":{"docker.io":{},"https://index.docker.io/v1/":{"auth":"x"},"index.docker.io":{"auth":"y"},
            "h.example":{},"docker.io/library":{"auth":"z"}}}"#;
        let (hub, removed) = remove(text, "docker.io");
        assert!(removed && !hub.contains("index.docker.io") && !hub.contains("\"docker.io\""));
        assert!(hub.contains("\"docker.io/library\"") && hub.contains("\"h.example\": {}"));
        // An entry without anything in it is no login.
        assert!(!remove(text, "h.example").1);
        let same = r#"{"auths":{}}"#;
        assert_eq!(
            remove(same, "h.example"),
            ("{\n\t\"auths\": {}\n}".to_owned(), false)
        );
    }
}
