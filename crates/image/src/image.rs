use onlay_oci::{
    ConfigError, Descriptor, DiffId, Family, History, ImageConfiguration, JsonError, Manifest, MediaType,
    Platform, Timestamp,
};
use serde::de::DeserializeOwned;

use crate::environment::Environment;
use crate::{CommandForm, ConversionReason, history};

/// The most layers that an image may have.
///
/// Docker's overlay2 driver mounts at most 128 directories on top of each other, and one of them is the container's own.
pub const MAX_LAYERS: usize = 127;

/// What BuildKit puts into `Env` where the base has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image of one platform as a value.
///
/// Edits take the image and give the edited one. They are cheap: layers are descriptors, and members that are not
/// edited are carried as text. Until the first edit the image is its base, byte for byte.
///
/// The first edit also does what BuildKit does to every image that it builds on: it sets `created`, adds a `PATH` where
/// there is none, and makes the history agree with the layers.
#[derive(Clone, Debug)]
pub struct Image {
    pub(crate) base: Option<Manifest>,
    pub(crate) configuration: ImageConfiguration,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) is_edited: bool,
    /// Whether a CMD came earlier in this stage; then ENTRYPOINT leaves it alone.
    pub(crate) has_cmd_of_stage: bool,
    created: Timestamp,
}

/// A layer that somebody made or is making: what manifest and configuration need to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLayer {
    /// The layer as stored, compressed. Its media type says how; the family in it does not matter.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: DiffId,
}

impl Image {
    /// Takes an image that exists.
    ///
    /// `build_time` is what `created` and new history entries will say; without one it is the base's own `created`, else
    /// 1970-01-01.
    ///
    /// # Errors
    /// The manifest is that of an artifact, it and the configuration disagree about the number of layers, or `created`
    /// is needed and is not a time.
    pub fn from_base(
        manifest: Manifest,
        configuration: ImageConfiguration,
        build_time: Option<Timestamp>,
    ) -> Result<Self, ImageError> {
        if !manifest.is_image() {
            let media_type = manifest.config().media_type.clone();
            return Err(ImageError::NotAnImage { media_type });
        }
        let (layers, diff_ids) = (manifest.layers().len(), configuration.diff_ids().len());
        if layers != diff_ids {
            return Err(ImageError::LayerCount { layers, diff_ids });
        }
        let created = match build_time {
            Some(time) => time,
            None => configuration.created()?.unwrap_or(Timestamp::UNIX_EPOCH),
        };
        Ok(Self {
            layers: manifest.layers().to_vec(),
            base: Some(manifest),
            configuration,
            is_edited: false,
            has_cmd_of_stage: false,
            created,
        })
    }

    /// Starts from nothing, as `FROM scratch` does: no layers, `PATH` set, working directory `/`.
    ///
    /// Without a `build_time` it is 1970-01-01.
    ///
    /// # Errors
    /// Never in practice; writing JSON is fallible by its signature.
    pub fn scratch(platform: &Platform, build_time: Option<Timestamp>) -> Result<Self, ImageError> {
        let mut configuration = ImageConfiguration::scratch(platform)?;
        configuration.set_runtime("WorkingDir", &"/")?;
        let image = Self {
            base: None,
            configuration,
            layers: Vec::new(),
            is_edited: false,
            has_cmd_of_stage: false,
            created: build_time.unwrap_or(Timestamp::UNIX_EPOCH),
        };
        image.begin_edit()
    }

    /// Begins another stage on top of this image: a CMD of the stage before counts as the base's from here on.
    #[must_use]
    pub fn begin_stage(mut self) -> Self {
        self.has_cmd_of_stage = false;
        self
    }

    /// Adds the topmost layer and its history entry.
    ///
    /// # Errors
    /// The image has [`MAX_LAYERS`] layers already.
    pub fn with_layer(self, layer: NewLayer, created_by: impl Into<String>) -> Result<Self, ImageError> {
        let found = self.layers.len() + 1;
        if found > MAX_LAYERS {
            let base = self.base.as_ref().map_or(0, |base| base.layers().len());
            return Err(ImageError::TooManyLayers { found, base });
        }
        let mut image = self.begin_edit()?;
        image.layers.push(layer.descriptor);
        image.configuration.push_diff_id(layer.diff_id);
        let entry = image.entry(created_by.into());
        image.configuration.push_history(entry)?;
        Ok(image)
    }

    /// Adds a history entry that made no layer: of a configuration instruction, or of one whose changes are part of
    /// another's layer.
    ///
    /// # Errors
    /// Never in practice; writing JSON is fallible by its signature.
    pub fn with_history(self, created_by: impl Into<String>) -> Result<Self, ImageError> {
        let mut image = self.begin_edit()?;
        let entry = History {
            empty_layer: true,
            ..image.entry(created_by.into())
        };
        image.configuration.push_history(entry)?;
        Ok(image)
    }

    /// The variables that a process in the image starts with, in the order of `Env`; an entry without `=` is a name
    /// without a value.
    ///
    /// The `PATH` that the first edit adds is among them before that edit, since instructions can use it.
    ///
    /// # Errors
    /// `Env` is not a list of texts.
    pub fn env(&self) -> Result<Vec<(String, String)>, ImageError> {
        Ok(self.environment()?.into_pairs())
    }

    /// The user, perhaps with a group, as written; empty means root.
    ///
    /// # Errors
    /// `User` is not a text.
    pub fn user(&self) -> Result<String, ImageError> {
        self.runtime("User")
    }

    /// The working directory as written; `/` where the image has none.
    ///
    /// # Errors
    /// `WorkingDir` is not a text.
    pub fn working_dir(&self) -> Result<String, ImageError> {
        let directory: String = self.runtime("WorkingDir")?;
        Ok(if directory.is_empty() {
            "/".to_owned()
        } else {
            directory
        })
    }

    /// The shell that shell forms are given to, with its arguments.
    ///
    /// # Errors
    /// `Shell` is not a list of texts.
    pub fn shell(&self) -> Result<Vec<String>, ImageError> {
        let shell: Vec<String> = self.runtime("Shell")?;
        if !shell.is_empty() {
            return Ok(shell);
        }
        let default: &[&str] = if self.is_windows()? {
            &["cmd", "/S", "/C"]
        } else {
            &["/bin/sh", "-c"]
        };
        Ok(default.iter().map(|&word| word.to_owned()).collect())
    }

    /// The words that are executed for a command: a shell form gets the image's shell in front.
    ///
    /// # Errors
    /// As [`shell`](Self::shell).
    pub fn command_line(&self, command: &CommandForm) -> Result<Vec<String>, ImageError> {
        match command {
            CommandForm::Exec(words) => Ok(words.clone()),
            CommandForm::Shell(text) => {
                let mut words = self.shell()?;
                words.push(text.clone());
                Ok(words)
            }
        }
    }

    /// The instructions that a build on top of this image begins with, in order.
    ///
    /// # Errors
    /// `OnBuild` is not a list of texts.
    pub fn onbuild(&self) -> Result<Vec<String>, ImageError> {
        self.runtime("OnBuild")
    }

    /// The platform, normalised.
    ///
    /// # Errors
    /// A member that says so is not a text.
    pub fn platform(&self) -> Result<Platform, ImageError> {
        Ok(self.configuration.platform()?)
    }

    /// Makes it an image for this platform, where its base is for another one: what `FROM --platform` in the last stage
    /// leaves of a build for this platform (dockerfile.md §1.7).
    ///
    /// # Errors
    /// The configuration cannot be edited.
    pub fn for_platform(self, platform: &Platform) -> Result<Self, ImageError> {
        let platform = platform.clone().normalised();
        let own = self.platform()?;
        if own.os == platform.os
            && own.architecture == platform.architecture
            && own.variant == platform.variant
        {
            return Ok(self);
        }
        let mut image = self.begin_edit()?;
        image.configuration.set_platform(&platform)?;
        Ok(image)
    }

    /// What `created` and new history entries say once the image is edited.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Tells whether the image differs from its base.
    pub fn is_edited(&self) -> bool {
        self.is_edited
    }

    /// The layers as stored, base layer first.
    pub fn layers(&self) -> &[Descriptor] {
        &self.layers
    }

    /// The digests of the layers' tars, base layer first.
    pub fn diff_ids(&self) -> &[DiffId] {
        self.configuration.diff_ids()
    }

    /// The configuration as it is now.
    pub fn configuration(&self) -> &ImageConfiguration {
        &self.configuration
    }

    pub(crate) fn environment(&self) -> Result<Environment, ImageError> {
        let mut environment: Environment = self.runtime("Env")?;
        if !environment.contains("PATH") && !self.is_windows()? {
            environment.set("PATH", DEFAULT_PATH);
        }
        Ok(environment)
    }

    /// Makes the image ready for an edit; only the first one finds anything to do.
    pub(crate) fn begin_edit(mut self) -> Result<Self, ImageError> {
        if !self.is_edited {
            self.is_edited = true;
            self.repair_history()?;
            self.configuration.set("created", &self.created)?;
            let environment = self.environment()?;
            if self.runtime::<Environment>("Env")? != environment {
                self.configuration.set_runtime("Env", &environment)?;
            }
        }
        Ok(self)
    }

    /// Makes the history mention every layer once: readers pair the entries that are not empty with the layers.
    ///
    /// Source: BuildKit `exporter/containerimage/writer.go`, which marks the newest entries empty where there are too
    /// many, and appends entries where there are too few.
    fn repair_history(&mut self) -> Result<(), ImageError> {
        let of_layers: Vec<usize> = (self.configuration.history().enumerate())
            .filter(|(_, entry)| !entry.empty_layer)
            .map(|(index, _)| index)
            .collect();
        for &surplus in of_layers.iter().skip(self.layers.len()) {
            self.configuration.mark_empty_layer(surplus)?;
        }
        for _ in of_layers.len()..self.layers.len() {
            self.configuration.push_history(History {
                created: Some(self.created),
                comment: Some(history::MISSING_COMMENT.to_owned()),
                ..History::default()
            })?;
        }
        Ok(())
    }

    fn entry(&self, created_by: String) -> History {
        History {
            created: Some(self.created),
            created_by: Some(created_by),
            comment: Some(history::COMMENT.to_owned()),
            ..History::default()
        }
    }

    fn is_windows(&self) -> Result<bool, ImageError> {
        Ok(self.platform()?.os == "windows")
    }

    fn runtime<T: DeserializeOwned + Default>(&self, member: &str) -> Result<T, ImageError> {
        Ok(self.configuration.runtime_member(member)?.unwrap_or_default())
    }
}

/// Why an image cannot be edited or finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The manifest is an artifact's.
    #[error("manifest is not an image's: its config has media type `{media_type}`")]
    NotAnImage {
        /// The media type of its config.
        media_type: MediaType,
    },
    /// Manifest and configuration do not belong together.
    #[error("manifest has {layers} layers, but the configuration has {diff_ids} diff ids")]
    LayerCount {
        /// How many layers the manifest has.
        layers: usize,
        /// How many diff ids the configuration has.
        diff_ids: usize,
    },
    /// One layer more than [`MAX_LAYERS`].
    #[error("image would have {found} layers, expected at most {MAX_LAYERS}")]
    TooManyLayers {
        /// How many it would have.
        found: usize,
        /// How many of them are the base's.
        base: usize,
    },
    /// A time of a health check that does not fit 63 bits of nanoseconds.
    #[error("health check has a time of {} seconds, expected less than 292 years", duration.as_secs())]
    DurationTooLong {
        /// The time.
        duration: std::time::Duration,
    },
    /// Docker's media types were asked for, and something in the image has none there.
    #[error("image cannot use Docker's media types: {reason}")]
    NeedsOci {
        /// What has none.
        reason: ConversionReason,
    },
    /// A member of the configuration is malformed, or cannot be written.
    #[error("image configuration cannot be read or edited")]
    Configuration(#[from] ConfigError),
    /// The manifest cannot be written.
    #[error("{family} manifest cannot be written")]
    Manifest {
        /// Whose media types it was to use.
        family: Family,
        /// Why not.
        source: JsonError,
    },
}

impl ImageError {
    /// Tells whether one layer for all new changes would do.
    pub fn is_helped_by_squashing(&self) -> bool {
        matches!(self, Self::TooManyLayers { base, .. } if *base < MAX_LAYERS)
    }
}
