use std::sync::Arc;

use futures_util::future::try_join_all;
use onlay_base::{Base, BaseError, BaseImage, Bases, Listings};
use onlay_dockerfile::Diagnostics;
use onlay_fetch::FetchOptions;
use onlay_image::{Image, ImageError};
use onlay_oci::{Platform, PlatformSelection};
use onlay_store::Location;

use crate::built::{AssembleError, Built, Edited};
use crate::graph::Graph;
use crate::inputs::Inputs;
use crate::plan::{Plan, PlanPlatforms, PlannedBase};
use crate::recipe::{Recipe, RecipeError};
use crate::step::StepError;
use crate::{BuildEvent, BuildOptions, Contexts, Events, Platforms, StageBases};

/// What a build reads through.
#[derive(Clone)]
pub struct Builder {
    /// Bases.
    pub bases: Bases,
    /// Listings of layers.
    pub listings: Listings,
    /// What COPY and ADD copy from.
    pub contexts: Contexts,
    /// How ADD downloads.
    pub fetch: FetchOptions,
    /// Where events go.
    pub events: Events,
}

impl Builder {
    /// Builds an image for every wanted platform.
    ///
    /// Nothing is published, nothing executed, and of the base nothing read that no line needs.
    ///
    /// # Errors
    /// Something is wrong with the lines or with what they do to the base, or the base could not be read.
    pub async fn build(&self, recipe: &Recipe, options: &BuildOptions) -> Result<Built, BuildError> {
        let plan = |target: &Platform| {
            let plan = recipe.plan(
                PlanPlatforms {
                    build: &options.build_platform,
                    target,
                },
                &options.build_arguments,
                &self.contexts.names(),
            )?;
            Ok::<_, BuildError>(plan)
        };
        let first = plan(options.platforms.guess(&options.build_platform))?;
        let targets = self.targets(&first, options).await?;
        let inputs = Arc::new(Inputs::default());
        let images = targets.into_iter().map(|target| {
            let (plan, inputs) = (&plan, inputs.clone());
            async move {
                if let Some(kept) = self.kept(&target, options).await? {
                    return Ok(Ok(kept));
                }
                let platform = target.platform.clone();
                let platform_plan = plan(&platform)?;
                match self.image(platform_plan, target, options, inputs).await {
                    Err(BuildError::Step(StepError::Foreign(reason)))
                        if options.exceptions.leave_out_foreign =>
                    {
                        Ok(Err((platform, reason)))
                    }
                    other => other.map(Ok),
                }
            }
        });
        let (mut edited, mut left_out) = (Vec::new(), Vec::new());
        for image in try_join_all(images).await? {
            match image {
                Ok(image) => edited.push(image),
                Err(reason) => left_out.push(reason),
            }
        }
        if edited.iter().all(|image| image.is_kept)
            && let Some((_, reason)) = left_out.pop()
        {
            return Err(BuildError::Step(StepError::Foreign(reason)));
        }
        let left_out = left_out.into_iter();
        let left_out = left_out
            .map(|(platform, reason)| (platform.normalised(), reason.messages()))
            .collect();
        Ok(Built::assemble(edited, left_out, options, &self.events)?)
    }

    /// What is known of the images that the stages of a recipe start from, for its first platform; one that cannot be
    /// had is left out. Nothing is built.
    ///
    /// # Errors
    /// It cannot be worked out what is to be built.
    pub async fn stage_bases(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
    ) -> Result<StageBases, RecipeError> {
        let platform = options.platforms.guess(&options.build_platform).clone();
        let platforms = PlanPlatforms {
            build: &options.build_platform,
            target: &platform,
        };
        let plan = recipe.plan(platforms, &options.build_arguments, &self.contexts.names())?;
        let graph = Graph::new(self, options, plan, platform.clone(), None, Arc::default());
        Ok(graph.bases().await)
    }

    /// The platforms that are built, in the base's order.
    async fn targets(&self, plan: &Plan, options: &BuildOptions) -> Result<Vec<Target>, BuildError> {
        let PlannedBase::Image {
            location,
            platform: None,
        } = plan.base()
        else {
            return options.platforms.without_base();
        };
        let base = self.bases.resolve(location).await?;
        let images = base.platforms(&options.platforms.selection(&base)).await?;
        if base.attestations() > 0 {
            self.warn(format!(
                "{} attestations of `{}` speak of the image as it was, and are left out",
                base.attestations(),
                base.name()
            ));
        }
        if let (Platforms::Host(host), [only]) = (&options.platforms, &images[..])
            && host.rank(&only.platform).is_none()
        {
            let platform = only.platform.clone().normalised();
            self.warn(format!(
                "`{}` is for {platform}, this machine is {host}",
                base.name()
            ));
        }
        self.events.send(BuildEvent::Base {
            name: base.name().to_owned(),
            digest: base.digest(),
            platforms: images
                .iter()
                .map(|image| image.platform.clone().normalised())
                .collect(),
        });
        let found = |image: BaseImage| Target {
            platform: image.platform.clone(),
            found: Some((location.clone(), image)),
        };
        Ok(images.into_iter().map(found).collect())
    }

    /// The image as it is, if lines are not for its system.
    async fn kept(&self, target: &Target, options: &BuildOptions) -> Result<Option<Edited>, BuildError> {
        let Some((location, image)) = &target.found else {
            return Ok(None);
        };
        if target.platform.is_linux() || !options.exceptions.keep_other_systems {
            return Ok(None);
        }
        let source = self.bases.resolve(location).await?.source().clone();
        let (manifest, configuration) = (image.manifest.clone(), image.configuration.clone());
        Ok(Some(Edited {
            platform: target.platform.clone(),
            image: Image::from_base(manifest, configuration, options.time)?,
            base: Some((source, image.clone())),
            made: Vec::new(),
            is_kept: true,
        }))
    }

    fn warn(&self, message: String) {
        self.events.send(BuildEvent::Warning(message));
    }

    async fn image(
        &self,
        plan: Plan,
        target: Target,
        options: &BuildOptions,
        inputs: Arc<Inputs>,
    ) -> Result<Edited, BuildError> {
        let platform = target.platform.clone();
        // A base of the platform that was asked for keeps its own spelling of it.
        let plan_base_platform = match plan.base() {
            PlannedBase::Image { platform, .. } => platform.clone(),
            PlannedBase::Scratch => None,
        };
        let graph = Graph::new(self, options, plan, target.platform, target.found, inputs);
        let finished = graph.target().await?;
        let image = match &plan_base_platform {
            Some(_) => finished.image.for_platform(&platform)?,
            None => finished.image,
        };
        Ok(Edited {
            platform,
            base: finished.base,
            image: image.with_unrecorded_labels(&options.labels)?,
            made: finished.made,
            is_kept: false,
        })
    }
}

/// A platform that is built.
struct Target {
    platform: Platform,
    /// The image that it starts from, if finding the platform found that too.
    found: Option<(Location, BaseImage)>,
}

impl Platforms {
    /// A platform to plan with before the base is known.
    pub(crate) fn guess<'a>(&'a self, build: &'a Platform) -> &'a Platform {
        match self {
            Self::Selected(PlatformSelection::Only(platforms)) => platforms.first().unwrap_or(build),
            Self::Selected(PlatformSelection::All) => build,
            Self::Host(host) => host,
        }
    }

    fn selection(&self, base: &Base) -> PlatformSelection {
        match self {
            Self::Selected(selection) => selection.clone(),
            Self::Host(_) if !base.is_index() => PlatformSelection::All,
            Self::Host(host) => PlatformSelection::Only(vec![host.clone()]),
        }
    }

    /// The platforms where the base does not tell: on scratch, or where FROM names one.
    fn without_base(&self) -> Result<Vec<Target>, BuildError> {
        let target = |platform: &Platform| Target {
            platform: platform.clone(),
            found: None,
        };
        match self {
            Self::Selected(PlatformSelection::Only(platforms)) => Ok(platforms.iter().map(target).collect()),
            Self::Selected(PlatformSelection::All) => Err(BuildError::AllOfNothing),
            Self::Host(host) => Ok(vec![target(host)]),
        }
    }
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// It could not be worked out what is to be built.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Something is wrong with lines, known before any I/O.
    #[error(transparent)]
    Lines(#[from] Diagnostics),
    /// The base cannot be used.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A line could not be carried out.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The image could not be made.
    #[error("the image could not be made")]
    Image(#[from] ImageError),
    /// The images of the platforms could not be put together.
    #[error("the image could not be made")]
    Assemble(#[from] AssembleError),
    /// A line copies from a stage that planning did not see, as only a trigger of a base can.
    #[error("stage {position} is not built for this target; copy from it in the stage's own lines")]
    UnplannedStage {
        /// Its position in the file, counted from 0.
        position: usize,
    },
    /// `--platform all` on nothing.
    #[error("`all` platforms of `scratch` are none; name them, such as `linux/amd64,linux/arm64`")]
    AllOfNothing,
}
