use std::collections::BTreeMap;
use std::str::FromStr;

use onlay_dockerfile::{
    Diagnostic, Diagnostics, Dockerfile, ExpandedArg, Instruction, Located, Stage, did_you_mean,
};
use onlay_oci::{Platform, Reference};
use onlay_store::Location;

use crate::scope::StageScope;

/// What is built: lines on a base.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// A Dockerfile, of which one stage is wanted: by name or number, else the last.
    Dockerfile {
        /// The file.
        dockerfile: Dockerfile,
        /// The wanted stage.
        target: Option<String>,
        /// Images that stand in for names in FROM, by name (`--build-context`).
        named_images: BTreeMap<String, Location>,
    },
    /// Lines on one image: what a Dockerfile of `FROM base` and these lines means.
    Lines {
        /// The image.
        base: Location,
        /// The lines.
        lines: Vec<Located<Instruction>>,
    },
}

/// What is built for one platform: the base, and the lines of all stages that lead to the wanted one.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) base: PlannedBase,
    /// The lines of each stage, the one on the base first.
    pub(crate) stages: Vec<Vec<Located<Instruction>>>,
    pub(crate) global_arguments: BTreeMap<String, String>,
}

/// What the first stage starts from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PlannedBase {
    Scratch,
    Image {
        location: Location,
        /// What `FROM --platform` asks for in place of the wanted platform.
        platform: Option<Platform>,
    },
}

/// The platforms that FROM and ARG see.
#[derive(Clone, Copy)]
pub(crate) struct PlanPlatforms<'a> {
    pub(crate) build: &'a Platform,
    pub(crate) target: &'a Platform,
}

impl Recipe {
    /// Works out what is built for one platform; no I/O.
    pub(crate) fn plan(
        &self,
        platforms: PlanPlatforms<'_>,
        build_arguments: &BTreeMap<String, String>,
    ) -> Result<Plan, RecipeError> {
        match self {
            Self::Dockerfile {
                dockerfile,
                target,
                named_images,
            } => {
                let stages = Stages {
                    dockerfile,
                    named_images,
                };
                stages.plan(target.as_deref(), platforms, build_arguments)
            }
            Self::Lines { base, lines } => Ok(Plan {
                base: PlannedBase::Image {
                    location: base.clone(),
                    platform: None,
                },
                stages: vec![lines.clone()],
                global_arguments: predefined(platforms, "default"),
            }),
        }
    }
}

struct Stages<'a> {
    dockerfile: &'a Dockerfile,
    named_images: &'a BTreeMap<String, Location>,
}

impl Stages<'_> {
    fn plan(
        &self,
        target: Option<&str>,
        platforms: PlanPlatforms<'_>,
        build_arguments: &BTreeMap<String, String>,
    ) -> Result<Plan, RecipeError> {
        let mut position = self.target(target)?;
        let stage_name = self.name(position).unwrap_or("default");
        let mut global_arguments = predefined(platforms, stage_name);
        for (name, value) in build_arguments {
            // Predefined arguments take values from outside; others must be declared first.
            if let Some(predefined) = global_arguments.get_mut(name) {
                predefined.clone_from(value);
            }
        }
        self.declare_globals(&mut global_arguments, build_arguments)?;
        let mut stages = Vec::new();
        loop {
            let stage = self.stage(position)?;
            stages.push(stage.instructions.clone());
            match self.start(position, stage, &global_arguments)? {
                Start::Stage(earlier) => position = earlier,
                Start::Base(base) => {
                    stages.reverse();
                    return Ok(Plan {
                        base,
                        stages,
                        global_arguments,
                    });
                }
            }
        }
    }

    fn target(&self, target: Option<&str>) -> Result<usize, RecipeError> {
        let stages = &self.dockerfile.stages;
        let Some(target) = target else {
            return Ok(stages.len().saturating_sub(1));
        };
        let named = |name: &str| {
            (0..stages.len())
                .rev()
                .find(|position| self.name(*position) == Some(name))
        };
        let numbered = || {
            usize::from_str(target)
                .ok()
                .filter(|number| *number < stages.len())
        };
        named(&target.to_lowercase()).or_else(numbered).ok_or_else(|| {
            let names = (0..stages.len()).filter_map(|position| self.name(position));
            let suggestion = did_you_mean(&target.to_lowercase(), names).map(str::to_owned);
            RecipeError::Target {
                target: target.to_owned(),
                suggestion,
            }
        })
    }

    fn stage(&self, position: usize) -> Result<&Stage, RecipeError> {
        self.dockerfile.stages.get(position).ok_or(RecipeError::NoStage)
    }

    fn name(&self, position: usize) -> Option<&str> {
        let name = self.dockerfile.stages.get(position)?.from.value.name.as_ref()?;
        Some(&name.value)
    }

    /// ARGs in front of the first FROM; each sees those before it.
    fn declare_globals(
        &self,
        global_arguments: &mut BTreeMap<String, String>,
        build_arguments: &BTreeMap<String, String>,
    ) -> Result<(), RecipeError> {
        for arg in &self.dockerfile.global_args {
            let environment: Vec<_> = global_arguments.clone().into_iter().collect();
            let scope = StageScope::new(&environment, build_arguments, global_arguments);
            let arg = arg.clone().map(Instruction::Arg);
            let onlay_dockerfile::ExpandedInstruction::Arg(values) = arg.expand(&scope)? else {
                continue;
            };
            for ExpandedArg { name, value } in values {
                if let Some(value) = value {
                    global_arguments.insert(name, value);
                }
            }
        }
        Ok(())
    }

    fn start(
        &self,
        position: usize,
        stage: &Stage,
        global_arguments: &BTreeMap<String, String>,
    ) -> Result<Start, RecipeError> {
        let environment: Vec<_> = global_arguments.clone().into_iter().collect();
        let scope = StageScope::new(&environment, &BTreeMap::new(), global_arguments);
        let from = stage.from.expand(&scope)?;
        let refuse = |message: String, hint: Option<String>| {
            let span = stage.from.value.image.span;
            RecipeError::Diagnostics(
                Diagnostic {
                    message,
                    span,
                    source_file: stage.from.source.clone(),
                    hint,
                }
                .into(),
            )
        };
        let platform = from.platform.map(|text| text.parse::<Platform>());
        let platform = platform
            .transpose()
            .map_err(|error| refuse(error.to_string(), None))?;
        if let Some(location) = self.named_image(&from.image) {
            return Ok(Start::Base(PlannedBase::Image { location, platform }));
        }
        if let Some(earlier) = (0..position)
            .rev()
            .find(|earlier| self.name(*earlier) == Some(&*from.image))
        {
            return Ok(Start::Stage(earlier));
        }
        if from.image == "scratch" {
            return Ok(Start::Base(PlannedBase::Scratch));
        }
        let reference = from.image.parse::<Reference>().map_err(|error| {
            let names = (0..position).filter_map(|earlier| self.name(earlier));
            let hint =
                did_you_mean(&from.image, names).map(|name| format!("did you mean the stage `{name}`?"));
            refuse(error.to_string(), hint)
        })?;
        Ok(Start::Base(PlannedBase::Image {
            location: Location::Registry(reference),
            platform,
        }))
    }

    /// A name given from outside stands in for an image under any spelling of its name.
    fn named_image(&self, image: &str) -> Option<Location> {
        let familiar = image
            .parse::<Reference>()
            .ok()
            .map(|reference| reference.familiar().to_string());
        let without_latest = familiar.as_deref().and_then(|name| name.strip_suffix(":latest"));
        let names = [Some(image), familiar.as_deref(), without_latest];
        names
            .into_iter()
            .flatten()
            .find_map(|name| self.named_images.get(name))
            .cloned()
    }
}

enum Start {
    Stage(usize),
    Base(PlannedBase),
}

/// The arguments that every Dockerfile has.
///
/// Source: Dockerfile reference, "Automatic platform ARGs in the global scope"; dockerfile.md §1.6.
fn predefined(platforms: PlanPlatforms<'_>, stage: &str) -> BTreeMap<String, String> {
    let (build, target) = (
        platforms.build.clone().normalised(),
        platforms.target.clone().normalised(),
    );
    let of = |prefix: &str, platform: &Platform| {
        let version = platform.os_version.clone().unwrap_or_default();
        [
            (format!("{prefix}PLATFORM"), platform.to_string()),
            (format!("{prefix}OS"), platform.os.clone()),
            (format!("{prefix}OSVERSION"), version),
            (format!("{prefix}ARCH"), platform.architecture.clone()),
            (
                format!("{prefix}VARIANT"),
                platform.variant.clone().unwrap_or_default(),
            ),
        ]
    };
    let stage = [("TARGETSTAGE".to_owned(), stage.to_owned())];
    of("BUILD", &build)
        .into_iter()
        .chain(of("TARGET", &target))
        .chain(stage)
        .collect()
}

/// Why it cannot be worked out what is to be built; known before any I/O.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// Something is wrong with the lines.
    #[error(transparent)]
    Diagnostics(#[from] Diagnostics),
    /// There is no stage of that name.
    #[error("the Dockerfile has no stage `{target}`")]
    Target {
        /// The name or number.
        target: String,
        /// A name that is nearly the same.
        suggestion: Option<String>,
    },
    /// There is no stage at all, which parsing refuses.
    #[error("the Dockerfile has no stage")]
    NoStage,
}
