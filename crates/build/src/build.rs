use futures_util::future::try_join_all;
use onlay_base::{Base, BaseError, BaseImage, Bases, ImageSource, LayerStack, Listings};
use onlay_dockerfile::{Diagnostics, Instruction, Located, SourceFile, parse_instructions};
use onlay_image::{Image, ImageError};
use onlay_layer::Tree;
use onlay_oci::{Platform, PlatformSelection};
use onlay_store::Location;

use crate::built::{AssembleError, Built, Edited};
use crate::recipe::{Plan, PlanPlatforms, PlannedBase, Recipe, RecipeError};
use crate::refusal::refuse_unsupported;
use crate::scope::StageScope;
use crate::stage::StageBuild;
use crate::step::StepError;
use crate::{BuildEvent, BuildOptions, Events, Platforms};

/// What a build reads through.
#[derive(Clone)]
pub struct Builder {
    /// Bases.
    pub bases: Bases,
    /// Listings of layers.
    pub listings: Listings,
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
            )?;
            refuse_unsupported(plan.stages.iter().flatten())?;
            Ok::<_, BuildError>(plan)
        };
        let first = plan(options.platforms.guess(&options.build_platform))?;
        let targets = self.targets(&first, options).await?;
        let images = targets.into_iter().map(|target| {
            let plan = &plan;
            async move {
                let platform_plan = plan(&target.platform)?;
                self.image(platform_plan, target, options).await
            }
        });
        let images = try_join_all(images).await?;
        Ok(Built::assemble(images, options, &self.events)?)
    }

    /// The platforms that are built, in the base's order.
    async fn targets(&self, plan: &Plan, options: &BuildOptions) -> Result<Vec<Target>, BuildError> {
        let PlannedBase::Image {
            location,
            platform: None,
        } = &plan.base
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

    fn warn(&self, message: String) {
        self.events.send(BuildEvent::Warning(message));
    }

    async fn image(&self, plan: Plan, target: Target, options: &BuildOptions) -> Result<Edited, BuildError> {
        let (base, image) = self.start(&plan.base, &target, options).await?;
        let stack = base
            .as_ref()
            .map(|(source, image)| LayerStack::new(source.clone(), self.listings.clone(), image));
        let tree = stack.as_ref().map_or_else(Tree::scratch, LayerStack::unread_tree);
        let platform = image.platform()?;
        let scope = StageScope::new(&image.env()?, &options.build_arguments, &plan.global_arguments);
        let mut stage = StageBuild {
            options,
            events: &self.events,
            platform,
            image,
            scope,
            base,
            stack,
            tree,
            made: Vec::new(),
        };
        for lines in &plan.stages {
            let triggers = stage.take_triggers()?;
            for line in triggers.iter().chain(lines) {
                stage.step(line).await?;
            }
        }
        let image = stage.image.with_unrecorded_labels(&options.labels)?;
        Ok(Edited {
            platform: target.platform,
            base: stage.base,
            image,
            made: stage.made,
        })
    }

    async fn start(
        &self,
        planned: &PlannedBase,
        target: &Target,
        options: &BuildOptions,
    ) -> Result<(Option<(ImageSource, BaseImage)>, Image), BuildError> {
        let PlannedBase::Image { location, platform } = planned else {
            return Ok((None, Image::scratch(&target.platform, options.time)?));
        };
        let base = self.bases.resolve(location).await?;
        let found = match &target.found {
            Some((known, image)) if known == location && platform.is_none() => image.clone(),
            _ => {
                let wanted = platform.clone().unwrap_or_else(|| target.platform.clone());
                base.platform(&wanted).await?
            }
        };
        let image = Image::from_base(found.manifest.clone(), found.configuration.clone(), options.time)?;
        Ok((Some((base.source().clone(), found)), image))
    }
}

/// A platform that is built.
struct Target {
    platform: Platform,
    /// The image that it starts from, if finding the platform found that too.
    found: Option<(Location, BaseImage)>,
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
        refuse_unsupported(&lines)?;
        Ok(lines)
    }
}

impl Platforms {
    /// A platform to plan with before the base is known.
    fn guess<'a>(&'a self, build: &'a Platform) -> &'a Platform {
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
    /// `--platform all` on nothing.
    #[error("`all` platforms of `scratch` are none; name them, such as `linux/amd64,linux/arm64`")]
    AllOfNothing,
}
