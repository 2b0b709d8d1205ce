//! What the commands that look at images share: options, the image that is looked at, its files, and times and names as
//! people read them.

pub(crate) mod compare;
pub(crate) mod files;
pub(crate) mod list;

use std::path::PathBuf;

use clap::Args;
use onlay_base::{Base, BaseImage, Bases};
use onlay_oci::{Platform, PlatformSelection};
use onlay_store::Location;

use crate::options::{OutputFormat, RegistryOptions, host_platform};
use crate::progress::Progress;
use crate::session::Session;

/// How images are looked at.
#[derive(Debug, Args)]
pub(crate) struct LookOptions {
    /// What is printed on standard output
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutputFormat,

    /// Where listings of layers are kept [default: ONLAY_CACHE_DIR, XDG_CACHE_HOME/onlay, HOME/.cache/onlay, else memory
    /// only]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    #[command(flatten)]
    pub registry: RegistryOptions,
}

/// An image or index that is looked at.
pub(crate) struct Looked {
    pub(crate) session: Session,
    pub(crate) base: Base,
}

impl LookOptions {
    /// Sets up registries and the cache; nothing is sent yet.
    pub(crate) fn session(&self) -> anyhow::Result<Session> {
        Session::start(
            &self.registry,
            self.cache_dir.as_deref(),
            Progress::lines().observer(),
        )
    }

    /// Finds an image.
    pub(crate) async fn open(&self, image: &Location) -> anyhow::Result<Looked> {
        let session = self.session()?;
        let base = Bases::new(session.client.clone())
            .with_cache(session.cache.clone())
            .resolve(image)
            .await?;
        Ok(Looked { session, base })
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }
}

impl Looked {
    /// The image of one platform: of a single image that one, whatever it is for, unless another is asked for.
    pub(crate) async fn image(&self, platform: Option<&Platform>) -> anyhow::Result<BaseImage> {
        let selection = match platform {
            Some(platform) => PlatformSelection::Only(vec![platform.clone()]),
            None if !self.base.is_index() => PlatformSelection::All,
            None => PlatformSelection::Only(vec![host_platform()]),
        };
        let images = self.base.platforms(&selection).await?;
        let image = images.into_iter().next();
        image.ok_or_else(|| anyhow::anyhow!("`{}` has no image", self.base.name()))
    }
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match value {
        value if value < 9.95 => format!("{value:.1} {}", UNITS[unit]),
        value => format!("{value:.0} {}", UNITS[unit]),
    }
}

/// Text of an image on one line: what would end the line or move a cursor is written as an escape.
pub(crate) fn one_line(text: &[u8]) -> String {
    let mut line = String::new();
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                character if character.is_control() => line.extend(character.escape_default()),
                character => line.push(character),
            }
        }
        for byte in chunk.invalid() {
            line.push_str(&format!("\\x{byte:02x}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_or_three_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9949, "9.9 kB"),
            (9951, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_234_000_000, "1.2 GB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(
            one_line(b"a\x1b[2J\nb\xffc \xc3\xa9"),
            "a\\u{1b}[2J\\nb\\xffc \u{e9}"
        );
    }
}
