use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Descriptor, DiffId, Family, ImageId, JsonError, MediaType, Platform, RawObject, Timestamp};

/// An image configuration: platform, runtime `config`, root file system and history.
///
/// It is a whole document, of which only edited members are written anew: Docker's `Healthcheck`, `OnBuild`, `Shell`
/// and `ArgsEscaped`, and whatever else a base carries, come out as they went in. An unedited configuration keeps its
/// bytes, and with them its digest.
///
/// Source: image-spec v1.1 config.md; moby image/spec v1.2.
#[derive(Clone, Debug)]
pub struct ImageConfiguration {
    /// The bytes it was parsed from, until the first edit.
    bytes: Option<Arc<[u8]>>,
    object: RawObject,
    runtime: RawObject,
    history: Vec<RawHistory>,
    diff_ids: Vec<DiffId>,
}

/// A history entry with the text it was parsed from, which is what is written again.
#[derive(Clone, Debug)]
struct RawHistory {
    raw: Box<RawValue>,
    entry: History,
}

/// The order in which BuildKit writes the members of a configuration.
const MEMBER_ORDER: &[&str] = &[
    "architecture",
    "author",
    "config",
    "created",
    "history",
    "os",
    "os.version",
    "rootfs",
    "variant",
];

/// The order in which BuildKit writes the members of the runtime `config`.
const RUNTIME_ORDER: &[&str] = &[
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
    "Healthcheck",
    "OnBuild",
    "Shell",
];

/// The order in which BuildKit writes the members of a history entry.
const HISTORY_ORDER: &[&str] = &["created", "created_by", "author", "comment", "empty_layer"];

/// Members that describe the image as it was before an edit: BuildKit's inline cache, and what Docker's old builder
/// noted about its last container.
const STALE_MEMBERS: &[&str] = &["moby.buildkit.cache.v0", "container_config", "container", "id"];

impl ImageConfiguration {
    /// Parses a configuration blob.
    ///
    /// # Errors
    /// Not JSON, or a member that does not have the shape that the specification gives it.
    pub fn parse(bytes: impl Into<Arc<[u8]>>) -> Result<Self, ConfigError> {
        let bytes = bytes.into();
        let object = RawObject::parse(&bytes)?;
        let runtime = object.get("config")?.unwrap_or_default();
        let history = object.get::<Vec<Box<RawValue>>>("history")?.unwrap_or_default();
        let history = history
            .iter()
            .map(|raw| RawHistory::parse(raw))
            .collect::<Result<_, _>>()?;
        let diff_ids = object.get::<RootFs>("rootfs")?.unwrap_or_default().diff_ids;
        Ok(Self {
            bytes: Some(bytes),
            object,
            runtime,
            history,
            diff_ids,
        })
    }

    /// Makes the configuration of an image without layers.
    ///
    /// # Errors
    /// Never in practice; writing JSON is fallible by its signature.
    pub fn scratch(platform: &Platform) -> Result<Self, ConfigError> {
        let mut configuration = Self {
            bytes: None,
            object: RawObject::default(),
            runtime: RawObject::default(),
            history: Vec::new(),
            diff_ids: Vec::new(),
        };
        configuration.set("architecture", &platform.architecture)?;
        configuration.set("os", &platform.os)?;
        if let Some(version) = &platform.os_version {
            configuration.set("os.version", version)?;
        }
        if let Some(variant) = &platform.variant {
            configuration.set("variant", variant)?;
        }
        Ok(configuration)
    }

    /// Gives the bytes that its digest is over: those it was parsed from if nothing was edited, else compact JSON in
    /// the base's order.
    ///
    /// # Errors
    /// Never in practice; writing JSON is fallible by its signature.
    pub fn to_bytes(&self) -> Result<Arc<[u8]>, ConfigError> {
        if let Some(bytes) = &self.bytes {
            return Ok(bytes.clone());
        }
        let mut object = self.object.clone();
        object.set("config", &self.runtime, MEMBER_ORDER)?;
        let history: Vec<&RawValue> = self.history.iter().map(|entry| &*entry.raw).collect();
        object.set("history", &history, MEMBER_ORDER)?;
        let mut rootfs: RawObject = object.get("rootfs")?.unwrap_or_default();
        rootfs.set("type", &"layers", &["type", "diff_ids"])?;
        rootfs.set("diff_ids", &self.diff_ids, &["type", "diff_ids"])?;
        object.set("rootfs", &rootfs, MEMBER_ORDER)?;
        Ok(object.to_bytes().into())
    }

    /// Describes the configuration as a blob of this family.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes).
    pub fn descriptor(&self, family: Family) -> Result<Descriptor, ConfigError> {
        Ok(Descriptor::of(MediaType::Config(family), &self.to_bytes()?))
    }

    /// The digest of the configuration, which engines show as the image's id.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes).
    pub fn image_id(&self) -> Result<ImageId, ConfigError> {
        Ok(ImageId::new(crate::Digest::of(&self.to_bytes()?)))
    }

    /// The platform, normalised.
    ///
    /// # Errors
    /// A member is not a string.
    pub fn platform(&self) -> Result<Platform, ConfigError> {
        Ok(Platform {
            architecture: self.object.get("architecture")?.unwrap_or_default(),
            os: self.object.get("os")?.unwrap_or_default(),
            os_version: self.object.get("os.version")?,
            os_features: self.object.get("os.features")?.unwrap_or_default(),
            variant: self.object.get("variant")?,
        }
        .normalised())
    }

    /// Says that the image is for another platform.
    ///
    /// # Errors
    /// Never in practice; writing JSON is fallible by its signature.
    pub fn set_platform(&mut self, platform: &Platform) -> Result<(), ConfigError> {
        self.set("architecture", &platform.architecture)?;
        self.set("os", &platform.os)?;
        match &platform.variant {
            Some(variant) => self.set("variant", variant),
            None => {
                self.bytes = None;
                self.object.remove("variant");
                Ok(())
            }
        }
    }

    /// When the image was created, if it says so.
    ///
    /// # Errors
    /// `created` is not a time.
    pub fn created(&self) -> Result<Option<Timestamp>, ConfigError> {
        Ok(self.object.get("created")?)
    }

    /// The diff ids of the layers, base layer first.
    pub fn diff_ids(&self) -> &[DiffId] {
        &self.diff_ids
    }

    /// The history, oldest entry first.
    pub fn history(&self) -> impl ExactSizeIterator<Item = &History> {
        self.history.iter().map(|history| &history.entry)
    }

    /// Reads a top-level member.
    ///
    /// # Errors
    /// It does not have the shape of `T`.
    pub fn member<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        Ok(self.object.get(name)?)
    }

    /// Reads a member of the runtime `config`, such as `Env`.
    ///
    /// # Errors
    /// It does not have the shape of `T`.
    pub fn runtime_member<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        Ok(self.runtime.get(name)?)
    }

    /// Sets a top-level member.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn set<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), ConfigError> {
        self.edited();
        Ok(self.object.set(name, value, MEMBER_ORDER)?)
    }

    /// Sets a member of the runtime `config`.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn set_runtime<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), ConfigError> {
        self.edited();
        Ok(self.runtime.set(name, value, RUNTIME_ORDER)?)
    }

    /// Removes a member of the runtime `config`.
    pub fn remove_runtime(&mut self, name: &str) {
        self.edited();
        self.runtime.remove(name);
    }

    /// Adds the newest history entry.
    ///
    /// # Errors
    /// The entry cannot be written as JSON.
    pub fn push_history(&mut self, entry: History) -> Result<(), ConfigError> {
        let raw =
            serde_json::value::to_raw_value(&entry).map_err(|source| ConfigError::History { source })?;
        self.edited();
        self.history.push(RawHistory { raw, entry });
        Ok(())
    }

    /// Notes that a history entry, counted from the oldest, made no layer; its other members stay. An index beyond the
    /// history changes nothing.
    ///
    /// # Errors
    /// The entry cannot be written as JSON.
    pub fn mark_empty_layer(&mut self, index: usize) -> Result<(), ConfigError> {
        let Some(history) = self.history.get_mut(index) else {
            return Ok(());
        };
        history.mark_empty_layer()?;
        self.edited();
        Ok(())
    }

    /// Adds the topmost layer.
    pub fn push_diff_id(&mut self, diff_id: DiffId) {
        self.edited();
        self.diff_ids.push(diff_id);
    }

    /// Gives up the parsed bytes, and with them the members that spoke of the image as it was.
    fn edited(&mut self) {
        if self.bytes.take().is_some() {
            for stale in STALE_MEMBERS {
                self.object.remove(stale);
            }
        }
    }
}

impl RawHistory {
    fn parse(raw: &RawValue) -> Result<Self, ConfigError> {
        let entry = serde_json::from_str(raw.get()).map_err(|source| ConfigError::History { source })?;
        // Through `RawObject` the entry comes out compact, whatever white space the base was written with.
        let object = RawObject::parse(raw.get().as_bytes())?;
        let raw =
            serde_json::value::to_raw_value(&object).map_err(|source| ConfigError::History { source })?;
        Ok(Self { raw, entry })
    }

    fn mark_empty_layer(&mut self) -> Result<(), ConfigError> {
        let mut object = RawObject::parse(self.raw.get().as_bytes())?;
        object.set("empty_layer", &true, HISTORY_ORDER)?;
        self.raw =
            serde_json::value::to_raw_value(&object).map_err(|source| ConfigError::History { source })?;
        self.entry.empty_layer = true;
        Ok(())
    }
}

#[derive(Default, Deserialize)]
struct RootFs {
    #[serde(default, deserialize_with = "crate::descriptor::null_is_default")]
    diff_ids: Vec<DiffId>,
}

/// One entry of an image's history: one instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When the instruction was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The instruction as its builder tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who carried it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A note of the builder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it made no layer.
    #[serde(
        default,
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "crate::descriptor::null_is_default"
    )]
    pub empty_layer: bool,
}

/// Why bytes are not an image configuration, or cannot be written as one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not JSON, or a member of the wrong shape.
    #[error("image configuration is malformed")]
    Json(#[from] JsonError),
    /// A history entry of the wrong shape.
    #[error("image configuration has a malformed history entry")]
    History {
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"{
        "os": "linux", "architecture": "arm64", "variant": "v8", "created": "2023-06-13T10:00:00.5Z",
        "config": {"Env": ["PATH=/bin"], "Healthcheck": {"Test": ["CMD", "x"], "StartInterval": 5}, "X": 1.50, "OnBuild": null},
        "container_config": {"Cmd": ["x"]}, "x-unknown": {"n": 1.50},
        "history": [{"created": "2023-06-13T10:00:00.50Z", "created_by": "a \u003c b", "odd": 1}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"]}
    }"#;

    fn base() -> ImageConfiguration {
        ImageConfiguration::parse(BASE.as_bytes()).unwrap()
    }

    #[test]
    fn an_unedited_configuration_keeps_its_bytes() {
        assert_eq!(&*base().to_bytes().unwrap(), BASE.as_bytes());
    }

    #[test]
    fn an_edit_keeps_every_other_member() {
        let mut edited = base();
        edited
            .set_runtime("Volumes", &serde_json::json!({"/data": {}}))
            .unwrap();
        edited
            .push_history(History {
                created_by: Some("VOLUME [/data]".to_owned()),
                empty_layer: true,
                ..History::default()
            })
            .unwrap();
        let text = String::from_utf8(edited.to_bytes().unwrap().to_vec()).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"os":"linux","architecture":"arm64","variant":"v8","created":"2023-06-13T10:00:00.5Z","#,
                r#""config":{"Env":["PATH=/bin"],"Volumes":{"/data":{}},"Healthcheck":{"Test":["CMD","x"],"StartInterval":5},"X":1.50,"OnBuild":null},"#,
                r#""x-unknown":{"n":1.50},"history":[{"created":"2023-06-13T10:00:00.50Z","created_by":"a \u003c b","odd":1},"#,
                r#"{"created_by":"VOLUME [/data]","empty_layer":true}],"#,
                r#""rootfs":{"type":"layers","diff_ids":["sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"]}}"#
            )
        );
    }

    #[test]
    fn a_history_entry_marked_empty_keeps_its_other_members() {
        let mut edited = base();
        edited.mark_empty_layer(0).unwrap();
        edited.mark_empty_layer(7).unwrap();
        assert!(edited.history().all(|entry| entry.empty_layer));
        let text = String::from_utf8(edited.to_bytes().unwrap().to_vec()).unwrap();
        let expected = r#""created_by":"a \u003c b","empty_layer":true,"odd":1}"#;
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn platform_and_time_are_read() {
        let base = base();
        assert_eq!(base.platform().unwrap().to_string(), "linux/arm64");
        assert_eq!(
            base.created().unwrap().map(|time| time.to_string()).as_deref(),
            Some("2023-06-13T10:00:00.5Z")
        );
        assert_eq!(base.history().len(), 1);
    }

    #[test]
    fn scratch_has_empty_lists_not_null() {
        let scratch = ImageConfiguration::scratch(&Platform::new("linux", "amd64")).unwrap();
        let text = String::from_utf8(scratch.to_bytes().unwrap().to_vec()).unwrap();
        let expected = r#"{"architecture":"amd64","config":{},"history":[],"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn malformed_configurations_are_refused() {
        for text in [
            "",
            "[]",
            r#"{"config":[]}"#,
            r#"{"history":{}}"#,
            r#"{"rootfs":{"diff_ids":["x"]}}"#,
        ] {
            assert!(ImageConfiguration::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
