use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, try_join_all};
use onlay_base::{BaseImage, ImageSource, LayerStack};
use onlay_dockerfile::{Instruction, Located, SourceFile, parse_instructions};
use onlay_image::Image;
use onlay_layer::Tree;
use onlay_oci::Platform;
use onlay_store::Location;
use tokio::sync::OnceCell;

use crate::build::{BuildError, Builder};
use crate::commit::MadeLayer;
use crate::files::Files;
use crate::inputs::Inputs;
use crate::plan::{Plan, PlannedBase, PlannedStage, Start};
use crate::scope::StageScope;
use crate::stage::StageBuild;
use crate::{BuildEvent, BuildOptions, Events, StageBases};

/// The stages of one platform, each built once, when the first one that needs it asks.
pub(crate) struct Graph<'a> {
    pub(crate) builder: &'a Builder,
    pub(crate) options: &'a BuildOptions,
    pub(crate) plan: Plan,
    pub(crate) platform: Platform,
    /// The image that the wanted stage starts from, if finding the platform found that too.
    pub(crate) found: Option<(Location, BaseImage)>,
    pub(crate) inputs: Arc<Inputs>,
    finished: BTreeMap<usize, OnceCell<Arc<FinishedStage>>>,
}

/// How long a base is waited for where it is only good to know: a registry that is out of reach is tried again for much
/// longer.
const BASE_PATIENCE: Duration = Duration::from_secs(5);

/// The shell of images that set none.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// A stage whose last line was carried out.
#[derive(Clone)]
pub(crate) struct FinishedStage {
    pub(crate) base: Option<(ImageSource, BaseImage)>,
    pub(crate) image: Image,
    pub(crate) scope: StageScope,
    pub(crate) files: Files,
    pub(crate) made: Vec<MadeLayer>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(
        builder: &'a Builder,
        options: &'a BuildOptions,
        plan: Plan,
        platform: Platform,
        found: Option<(Location, BaseImage)>,
        inputs: Arc<Inputs>,
    ) -> Self {
        let finished = plan
            .stages
            .keys()
            .map(|position| (*position, OnceCell::new()))
            .collect();
        Self {
            builder,
            options,
            plan,
            platform,
            found,
            inputs,
            finished,
        }
    }

    pub(crate) fn events(&self) -> &Events {
        &self.builder.events
    }

    /// Builds the wanted stage, with all that it needs; stages that do not need each other at the same time.
    pub(crate) async fn target(&self) -> Result<FinishedStage, BuildError> {
        let finished = self.stage(self.plan.target).await?;
        Ok(FinishedStage::clone(&finished))
    }

    /// The finished stage at a position of the file.
    pub(crate) fn stage(
        &self,
        position: usize,
    ) -> LocalBoxFuture<'_, Result<Arc<FinishedStage>, BuildError>> {
        Box::pin(async move {
            let (Some(planned), Some(finished)) =
                (self.plan.stages.get(&position), self.finished.get(&position))
            else {
                return Err(BuildError::UnplannedStage { position });
            };
            let built = finished.get_or_try_init(|| async {
                self.needed(planned).await?;
                self.build(position, planned).await.map(Arc::new)
            });
            built.await.cloned()
        })
    }

    async fn needed(&self, planned: &PlannedStage) -> Result<(), BuildError> {
        let mut needed: BTreeSet<usize> = planned.copied_from.clone();
        if let Start::Stage(earlier) = planned.start {
            needed.insert(earlier);
        }
        try_join_all(needed.into_iter().map(|position| self.stage(position))).await?;
        Ok(())
    }

    async fn build(&self, position: usize, planned: &PlannedStage) -> Result<FinishedStage, BuildError> {
        let start = self.start(position, &planned.start).await?;
        let platform = start.image.platform()?;
        let mut stage = StageBuild {
            options: self.options,
            events: self.events(),
            platform,
            image: start.image,
            scope: start.scope,
            base: start.base,
            files: start.files,
            graph: self,
            position,
            inputs: self.inputs.clone(),
            made: start.made,
            execution: None,
        };
        let triggers = stage.take_triggers()?;
        for line in triggers.iter().chain(&planned.lines) {
            stage.step(line).await?;
        }
        Ok(FinishedStage {
            base: stage.base,
            image: stage.image,
            scope: stage.scope,
            files: stage.files,
            made: stage.made,
        })
    }

    async fn start(&self, position: usize, start: &Start) -> Result<FinishedStage, BuildError> {
        match start {
            Start::Stage(earlier) => Ok(FinishedStage::clone(&*self.stage(*earlier).await?)),
            Start::Base(base) => {
                let start = self.start_from(base).await?;
                self.events().send(BuildEvent::StageBase {
                    stage: position,
                    base: self.described(&start)?,
                });
                Ok(start)
            }
        }
    }

    /// What is known of the images that stages start from; one that cannot be had soon is left out, with a warning.
    pub(crate) async fn bases(&self) -> StageBases {
        let bases = self
            .plan
            .stages
            .iter()
            .filter_map(|(position, planned)| match &planned.start {
                Start::Base(base) => Some(async { Some((*position, self.base_in_time(base).await?)) }),
                Start::Stage(_) => None,
            });
        futures_util::future::join_all(bases)
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    async fn base_in_time(&self, planned: &PlannedBase) -> Option<onlay_dockerfile::BaseImage> {
        let described = async { self.described(&self.start_from(planned).await?) };
        let reason = match tokio::time::timeout(BASE_PATIENCE, described).await {
            Ok(Ok(base)) => return Some(base),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} seconds", BASE_PATIENCE.as_secs()),
        };
        let name = match planned {
            PlannedBase::Scratch => "scratch".to_owned(),
            PlannedBase::Image { location, .. } => location.to_string(),
        };
        self.events().send(BuildEvent::Warning(format!(
            "what depends on the base `{name}` was not looked at: {reason}"
        )));
        None
    }

    fn described(&self, start: &FinishedStage) -> Result<onlay_dockerfile::BaseImage, BuildError> {
        let image = &start.image;
        let shell = image.shell()?;
        Ok(onlay_dockerfile::BaseImage {
            environment: image.env()?,
            shell: if shell == DEFAULT_SHELL { Vec::new() } else { shell },
            triggers: image.clone().take_onbuild()?.0,
            platforms: Some((self.platform.clone(), image.platform()?)),
        })
    }

    async fn start_from(&self, planned: &PlannedBase) -> Result<FinishedStage, BuildError> {
        let (base, image, files) = match planned {
            PlannedBase::Scratch => {
                let image = Image::scratch(&self.platform, self.options.time)?;
                (None, image, Files::of_tree(Tree::scratch()))
            }
            PlannedBase::Image { location, platform } => {
                let (source, found) = self.image(location, platform.as_ref()).await?;
                let (manifest, configuration) = (found.manifest.clone(), found.configuration.clone());
                let image = Image::from_base(manifest, configuration, self.options.time)?;
                let files = self.files(&source, &found);
                (Some((source, found)), image, files)
            }
        };
        let scope = StageScope::new(
            &image.env()?,
            &self.options.build_arguments,
            &self.plan.global_arguments,
        );
        Ok(FinishedStage {
            base,
            image,
            scope,
            files,
            made: Vec::new(),
        })
    }

    /// Finds an image for this platform, or for another.
    pub(crate) async fn image(
        &self,
        location: &Location,
        platform: Option<&Platform>,
    ) -> Result<(ImageSource, BaseImage), BuildError> {
        let base = self.builder.bases.resolve(location).await?;
        let image = match &self.found {
            Some((known, image)) if known == location && platform.is_none() => image.clone(),
            _ => base.platform(platform.unwrap_or(&self.platform)).await?,
        };
        Ok((base.source().clone(), image))
    }

    /// The files of an image, of which nothing is read yet.
    pub(crate) fn files(&self, source: &ImageSource, image: &BaseImage) -> Files {
        self.inputs.add_image(source, image);
        Files::of_base(LayerStack::new(
            source.clone(),
            self.builder.listings.clone(),
            image,
        ))
    }
}

impl StageBuild<'_> {
    /// Takes the ONBUILD triggers that the stage's base carries, to be carried out before its own lines.
    fn take_triggers(&mut self) -> Result<Vec<Located<Instruction>>, BuildError> {
        let (triggers, image) = self.image.clone().begin_stage().take_onbuild()?;
        self.image = image;
        let mut lines = Vec::new();
        for (index, trigger) in triggers.into_iter().enumerate() {
            let source = SourceFile::new(format!("ONBUILD trigger {} of the base", index + 1), trigger);
            lines.extend(parse_instructions(source)?);
        }
        Ok(lines)
    }
}
