use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use onlay_dockerfile::{
    Diagnostic, Dockerfile, ExpandedArg, Instruction, Located, Spanned, Stage, did_you_mean,
};
use onlay_oci::{Platform, Reference};
use onlay_store::Location;

use crate::recipe::{Recipe, RecipeError};
use crate::scope::StageScope;

/// What is built for one platform: the stages that the wanted one needs, and the names that lines can copy from.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The needed stages by their position in the file.
    pub(crate) stages: BTreeMap<usize, PlannedStage>,
    /// The wanted one.
    pub(crate) target: usize,
    pub(crate) global_arguments: BTreeMap<String, String>,
    names: Names,
}

/// One stage.
#[derive(Clone, Debug)]
pub(crate) struct PlannedStage {
    pub(crate) start: Start,
    pub(crate) lines: Vec<Located<Instruction>>,
    /// The stages that its lines copy from.
    pub(crate) copied_from: BTreeSet<usize>,
}

/// What a stage starts from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Start {
    /// An earlier stage.
    Stage(usize),
    Base(PlannedBase),
}

/// An image that a stage starts from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PlannedBase {
    Scratch,
    Image {
        location: Location,
        /// What `FROM --platform` asks for in place of the wanted platform.
        platform: Option<Platform>,
    },
}

impl PlannedBase {
    /// What `FROM` and this name would mean.
    fn of(location: &Location) -> Self {
        let is_scratch = matches!(
            location,
            Location::Registry(reference) if reference.familiar().to_string() == "scratch"
        );
        if is_scratch {
            return Self::Scratch;
        }
        Self::Image {
            location: location.clone(),
            platform: None,
        }
    }
}

/// What `--from` names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CopySource {
    /// An earlier stage.
    Stage(usize),
    Image(Location),
    /// A context of the user's.
    Context(String),
    /// Nothing at all: `scratch`.
    Empty,
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
        contexts: &BTreeSet<String>,
    ) -> Result<Plan, RecipeError> {
        match self {
            Self::Dockerfile {
                dockerfile,
                target,
                named_images,
            } => {
                let names = Names::new(dockerfile, named_images, contexts);
                let stages = Stages { dockerfile, names };
                stages.plan(target.as_deref(), platforms, build_arguments)
            }
            Self::Lines { base, lines } => {
                let stage = PlannedStage {
                    start: Start::Base(PlannedBase::of(base)),
                    lines: lines.clone(),
                    copied_from: BTreeSet::new(),
                };
                Ok(Plan {
                    stages: BTreeMap::from([(0, stage)]),
                    target: 0,
                    global_arguments: predefined(platforms, "default"),
                    names: Names {
                        stages: vec![None],
                        images: BTreeMap::new(),
                        contexts: contexts.clone(),
                    },
                })
            }
        }
    }
}

impl Plan {
    /// The image that the wanted stage stands on in the end.
    pub(crate) fn base(&self) -> &PlannedBase {
        let mut position = self.target;
        loop {
            match self.stages.get(&position).map(|stage| &stage.start) {
                Some(Start::Stage(earlier)) => position = *earlier,
                Some(Start::Base(base)) => return base,
                None => return &PlannedBase::Scratch,
            }
        }
    }

    /// Tells whether what a stage makes is part of the wanted image: the wanted stage itself, and those it starts from.
    pub(crate) fn is_published(&self, stage: usize) -> bool {
        let mut position = self.target;
        while position != stage {
            match self.stages.get(&position).map(|stage| &stage.start) {
                Some(Start::Stage(earlier)) => position = *earlier,
                Some(Start::Base(_)) | None => return false,
            }
        }
        true
    }

    /// Finds what a line of a stage copies from.
    pub(crate) fn copy_source(&self, from: &str, position: usize) -> Result<CopySource, NameError> {
        self.names.copy_source(from, position)
    }
}

/// What can be named in FROM and `--from`.
#[derive(Clone, Debug)]
struct Names {
    /// The name of each stage of the file.
    stages: Vec<Option<String>>,
    images: BTreeMap<String, Location>,
    contexts: BTreeSet<String>,
}

impl Names {
    fn new(
        dockerfile: &Dockerfile,
        images: &BTreeMap<String, Location>,
        contexts: &BTreeSet<String>,
    ) -> Self {
        let name = |stage: &Stage| Some(stage.from.value.name.as_ref()?.value.clone());
        Self {
            stages: dockerfile.stages.iter().map(name).collect(),
            images: images.clone(),
            contexts: contexts.clone(),
        }
    }

    /// The last stage of a name among the first `count`.
    fn stage(&self, name: &str, count: usize) -> Option<usize> {
        let names = self.stages.iter().take(count);
        names
            .collect::<Vec<_>>()
            .iter()
            .rposition(|known| known.as_deref() == Some(name))
    }

    /// A name given from outside stands in for an image under any spelling of its name.
    fn image(&self, image: &str) -> Option<Location> {
        let familiar = image
            .parse::<Reference>()
            .ok()
            .map(|reference| reference.familiar().to_string());
        let without_latest = familiar.as_deref().and_then(|name| name.strip_suffix(":latest"));
        let names = [Some(image), familiar.as_deref(), without_latest];
        names
            .into_iter()
            .flatten()
            .find_map(|name| self.images.get(name))
            .cloned()
    }

    /// Contexts from outside come first, then stages by name, the last of that name in the file, then by number, then
    /// images.
    ///
    /// Source: dockerfile.md §1.7 (BuildKit, executed).
    fn copy_source(&self, from: &str, position: usize) -> Result<CopySource, NameError> {
        if from == "scratch" {
            return Ok(CopySource::Empty);
        }
        if let Some(location) = self.image(from) {
            return Ok(CopySource::Image(location));
        }
        if self.contexts.contains(from) {
            return Ok(CopySource::Context(from.to_owned()));
        }
        let named = self.stage(&from.to_lowercase(), self.stages.len());
        if let Some(stage) = named.or_else(|| usize::from_str(from).ok()) {
            return self.earlier(stage, from, position);
        }
        match from.parse::<Reference>() {
            Ok(reference) => Ok(CopySource::Image(Location::Registry(reference))),
            Err(error) => Err(NameError {
                message: error.to_string(),
                hint: self.suggestion(from, position),
            }),
        }
    }

    fn earlier(&self, stage: usize, from: &str, position: usize) -> Result<CopySource, NameError> {
        if stage < position {
            return Ok(CopySource::Stage(stage));
        }
        let (message, hint) = if stage == position {
            (format!("the stage copies from itself: `{from}`"), None)
        } else if stage < self.stages.len() {
            let hint = "move that stage in front of this one".to_owned();
            (format!("the stage `{from}` comes later in the file"), Some(hint))
        } else {
            let message = format!(
                "there is no stage {stage}, the file has {} of them, counted from 0",
                self.stages.len()
            );
            (message, None)
        };
        Err(NameError { message, hint })
    }

    fn suggestion(&self, name: &str, position: usize) -> Option<String> {
        let known = self.stages.iter().take(position).flatten().map(String::as_str);
        did_you_mean(name, known).map(|name| format!("did you mean the stage `{name}`?"))
    }
}

/// Why a name in `--from` names nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NameError {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

struct Stages<'a> {
    dockerfile: &'a Dockerfile,
    names: Names,
}

impl Stages<'_> {
    fn plan(
        self,
        target: Option<&str>,
        platforms: PlanPlatforms<'_>,
        build_arguments: &BTreeMap<String, String>,
    ) -> Result<Plan, RecipeError> {
        let target = self.target(target)?;
        let stage_name = self.name(target).unwrap_or("default");
        let mut global_arguments = predefined(platforms, stage_name);
        for (name, value) in build_arguments {
            // Predefined arguments take values from outside; others must be declared first.
            if let Some(predefined) = global_arguments.get_mut(name) {
                predefined.clone_from(value);
            }
        }
        self.declare_globals(&mut global_arguments, build_arguments)?;
        let mut stages = BTreeMap::new();
        let mut needed = vec![target];
        while let Some(position) = needed.pop() {
            if stages.contains_key(&position) {
                continue;
            }
            let stage = self.planned(position, &global_arguments)?;
            needed.extend(&stage.copied_from);
            if let Start::Stage(earlier) = stage.start {
                needed.push(earlier);
            }
            stages.insert(position, stage);
        }
        Ok(Plan {
            stages,
            target,
            global_arguments,
            names: self.names,
        })
    }

    fn target(&self, target: Option<&str>) -> Result<usize, RecipeError> {
        let count = self.names.stages.len();
        let Some(target) = target else {
            return Ok(count.saturating_sub(1));
        };
        let numbered = || usize::from_str(target).ok().filter(|number| *number < count);
        let lower = target.to_lowercase();
        self.names.stage(&lower, count).or_else(numbered).ok_or_else(|| {
            let names = self.names.stages.iter().flatten().map(String::as_str);
            RecipeError::Target {
                target: target.to_owned(),
                suggestion: did_you_mean(&lower, names).map(str::to_owned),
            }
        })
    }

    fn name(&self, position: usize) -> Option<&str> {
        self.names.stages.get(position)?.as_deref()
    }

    fn planned(
        &self,
        position: usize,
        global_arguments: &BTreeMap<String, String>,
    ) -> Result<PlannedStage, RecipeError> {
        let stage = self.dockerfile.stages.get(position).ok_or(RecipeError::NoStage)?;
        let mut copied_from = BTreeSet::new();
        for line in &stage.instructions {
            for from in line.value.sources() {
                copied_from.extend(self.copied_from(line, &from, position)?);
            }
        }
        Ok(PlannedStage {
            start: self.start(position, stage, global_arguments)?,
            lines: stage.instructions.clone(),
            copied_from,
        })
    }

    /// The stage that a line copies or mounts from, if it is one.
    fn copied_from(
        &self,
        line: &Located<Instruction>,
        from: &Spanned<String>,
        position: usize,
    ) -> Result<Option<usize>, RecipeError> {
        // Quotes and variables are dealt with when the line is expanded.
        if from.value.contains(['"', '\'', '\\', '$']) {
            return Ok(None);
        }
        match self.names.copy_source(&from.value, position) {
            Ok(CopySource::Stage(stage)) => Ok(Some(stage)),
            Ok(_) => Ok(None),
            Err(NameError { message, hint }) => Err(RecipeError::Diagnostics(
                Diagnostic {
                    message,
                    span: from.span,
                    source_file: line.source.clone(),
                    hint,
                }
                .into(),
            )),
        }
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
        if let Some(location) = self.names.image(&from.image) {
            return Ok(Start::Base(PlannedBase::Image { location, platform }));
        }
        if let Some(earlier) = self.names.stage(&from.image, position) {
            return Ok(Start::Stage(earlier));
        }
        if self.names.contexts.contains(&from.image) {
            let message = format!("the build context `{}` is no image", from.image);
            let hint =
                "copy from it with `COPY --from`; an image is named by docker-image:// or oci-layout://"
                    .to_owned();
            return Err(refuse(message, Some(hint)));
        }
        if from.image == "scratch" {
            return Ok(Start::Base(PlannedBase::Scratch));
        }
        let reference = from
            .image
            .parse::<Reference>()
            .map_err(|error| refuse(error.to_string(), self.names.suggestion(&from.image, position)))?;
        Ok(Start::Base(PlannedBase::Image {
            location: Location::Registry(reference),
            platform,
        }))
    }
}

/// The arguments that every Dockerfile has, for one platform and the wanted stage's name (`default` if it has none).
///
/// Source: Dockerfile reference, "Automatic platform ARGs in the global scope"; dockerfile.md §1.6.
pub fn predefined_arguments(build: &Platform, target: &Platform, stage: &str) -> BTreeMap<String, String> {
    predefined(PlanPlatforms { build, target }, stage)
}

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

#[cfg(test)]
mod tests {
    use onlay_dockerfile::SourceFile;

    use super::*;

    fn plan(text: &str, target: Option<&str>) -> Result<Plan, RecipeError> {
        let recipe = Recipe::Dockerfile {
            dockerfile: Dockerfile::parse(SourceFile::new("Dockerfile", text)).unwrap(),
            target: target.map(str::to_owned),
            named_images: BTreeMap::from([("known".to_owned(), "oci:layout".parse().unwrap())]),
        };
        let platform = Platform::new("linux", "amd64");
        let platforms = PlanPlatforms {
            build: &platform,
            target: &platform,
        };
        recipe.plan(platforms, &BTreeMap::new(), &BTreeSet::from(["files".to_owned()]))
    }

    const STAGES: &str = "\
        FROM scratch AS a\n\
        FROM scratch AS b\nCOPY --from=a x /\n\
        FROM a AS c\nCOPY --from=1 x /\n\
        FROM scratch AS unneeded\nCOPY --from=known x /\n\
        FROM scratch\nCOPY --from=C x /\n";

    #[test]
    fn only_what_the_target_needs_is_planned() {
        let needed = |target| {
            plan(STAGES, target)
                .unwrap()
                .stages
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(needed(None), [0, 1, 2, 4]);
        assert_eq!(needed(Some("b")), [0, 1]);
        assert_eq!(needed(Some("3")), [3]);
        assert_eq!(*plan(STAGES, Some("c")).unwrap().base(), PlannedBase::Scratch);
    }

    #[test]
    fn names_mean_contexts_then_stages_then_images() {
        let plan = plan(STAGES, None).unwrap();
        let source = |name: &str| plan.copy_source(name, 4);
        assert_eq!(source("scratch"), Ok(CopySource::Empty));
        assert_eq!(source("files"), Ok(CopySource::Context("files".to_owned())));
        assert_eq!(source("B"), Ok(CopySource::Stage(1)));
        assert_eq!(source("2"), Ok(CopySource::Stage(2)));
        assert!(matches!(
            source("known"),
            Ok(CopySource::Image(Location::Layout { .. }))
        ));
        assert!(matches!(
            source("alpine"),
            Ok(CopySource::Image(Location::Registry(_)))
        ));
        assert!(source("9").unwrap_err().message.contains("no stage 9"));
        assert!(source("4").unwrap_err().message.contains("copies from itself"));
    }

    #[test]
    fn names_that_cannot_be_are_refused_where_they_stand() {
        for (text, words) in [
            (
                "FROM scratch AS a\nCOPY --from=b x /\nFROM scratch AS b\nFROM a",
                "comes later",
            ),
            ("FROM files", "is no image"),
            ("FROM scratch AS a\nCOPY --from=a x /", "copies from itself"),
        ] {
            match plan(text, None) {
                Err(RecipeError::Diagnostics(diagnostics)) => {
                    let shown = diagnostics.render();
                    assert!(shown.contains(words) && shown.contains("Dockerfile:"), "{shown}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(
            plan("FROM scratch AS alpha", Some("alhpa")),
            Err(RecipeError::Target { .. })
        ));
    }
}
