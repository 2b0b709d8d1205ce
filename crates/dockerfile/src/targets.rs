use serde::Serialize;

use crate::dockerfile::Dockerfile;
use crate::json_result::{self, Location};
use crate::table;

/// The stages that a build can be told to end at, as `--call=targets` shows them.
///
/// It serialises as BuildKit's result does.
#[derive(Serialize)]
pub struct Targets {
    targets: Vec<Target>,
    sources: Vec<String>,
}

#[derive(Serialize)]
struct Target {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "default", skip_serializing_if = "std::ops::Not::not")]
    is_default: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    base: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    platform: String,
    location: Location,
}

/// Lists the stages in the order of the file; the last is the default.
pub fn targets(dockerfile: &Dockerfile) -> Targets {
    let last = dockerfile.stages.len().saturating_sub(1);
    let target = |(number, stage): (usize, &crate::Stage)| {
        let from = &stage.from.value;
        Target {
            name: from
                .name
                .as_ref()
                .map(|name| name.value.clone())
                .unwrap_or_default(),
            is_default: number == last,
            description: stage.description().unwrap_or_default().to_owned(),
            base: from.image.value.clone(),
            platform: from
                .platform
                .as_ref()
                .map(|platform| platform.value.clone())
                .unwrap_or_default(),
            location: Location::in_only_source(stage.from.lines()),
        }
    };
    Targets {
        targets: dockerfile.stages.iter().enumerate().map(target).collect(),
        sources: vec![json_result::encoded(&dockerfile.source)],
    }
}

impl Targets {
    /// The table that `--call=targets` shows.
    pub fn render(&self) -> String {
        let names: Vec<String> = self.targets.iter().map(Target::title).collect();
        let rows = names
            .iter()
            .zip(&self.targets)
            .map(|(name, target)| vec![name.as_str(), &target.description]);
        let rows: Vec<_> = std::iter::once(vec!["TARGET", "DESCRIPTION"])
            .chain(rows)
            .collect();
        table::render(&rows, 1)
    }
}

impl Target {
    fn title(&self) -> String {
        match (self.name.is_empty(), self.is_default) {
            (true, true) => "(default)".to_owned(),
            (false, true) => format!("{} (default)", self.name),
            (_, false) => self.name.clone(),
        }
    }
}
