use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use onlay_base::{Base, BaseError, BaseImage, ImageSource, LayerStack, Listings};
use onlay_dockerfile::{Diagnostics, Instruction, Located, SourceFile, parse_instructions};
use onlay_image::{Image, ImageError};
use onlay_layer::Tree;
use onlay_oci::{Platform, PlatformSelection};
use onlay_registry::Client;
use onlay_store::Location;
use tokio::sync::{Mutex, OnceCell};

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
    /// Registries.
    pub client: Client,
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
        let bases = Bases::new(&self.client);
        let first = plan(options.platforms.guess(&options.build_platform))?;
        let targets = self.targets(&bases, &first, options).await?;
        let images = targets.into_iter().map(|target| {
            let (bases, plan) = (&bases, &plan);
            async move {
                let platform_plan = plan(&target)?;
                self.image(bases, platform_plan, target, options).await
            }
        });
        let images = try_join_all(images).await?;
        Ok(Built::assemble(images, options, &self.events)?)
    }

    /// The platforms that are built, in the base's order.
    async fn targets(
        &self,
        bases: &Bases<'_>,
        plan: &Plan,
        options: &BuildOptions,
    ) -> Result<Vec<Platform>, BuildError> {
        let PlannedBase::Image {
            location,
            platform: None,
        } = &plan.base
        else {
            return options.platforms.without_base();
        };
        let base = bases.resolve(location).await?;
        let images = base.platforms(&options.platforms.selection(&base)).await?;
        let platforms: Vec<Platform> = images.into_iter().map(|image| image.platform).collect();
        if let (Platforms::Host(host), [only]) = (&options.platforms, &platforms[..])
            && host.rank(only).is_none()
        {
            let message = format!("`{}` is for {only}, this machine is {host}", base.name());
            self.events.send(BuildEvent::Warning(message));
        }
        if base.attestations() > 0 {
            let message = format!(
                "{} attestations of `{}` speak of the image as it was, and are left out",
                base.attestations(),
                base.name()
            );
            self.events.send(BuildEvent::Warning(message));
        }
        self.events.send(BuildEvent::Base {
            name: base.name().to_owned(),
            digest: base.digest(),
            platforms: platforms.clone(),
        });
        Ok(platforms)
    }

    async fn image(
        &self,
        bases: &Bases<'_>,
        plan: Plan,
        target: Platform,
        options: &BuildOptions,
    ) -> Result<Edited, BuildError> {
        let (base, image) = self.start(bases, &plan.base, &target, options).await?;
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
            platform: target,
            base: stage.base,
            image,
            made: stage.made,
        })
    }

    async fn start(
        &self,
        bases: &Bases<'_>,
        planned: &PlannedBase,
        target: &Platform,
        options: &BuildOptions,
    ) -> Result<(Option<(ImageSource, BaseImage)>, Image), BuildError> {
        let PlannedBase::Image { location, platform } = planned else {
            return Ok((None, Image::scratch(target, options.time)?));
        };
        let base = bases.resolve(location).await?;
        let wanted = platform.clone().unwrap_or_else(|| target.clone());
        let images = base.platforms(&PlatformSelection::Only(vec![wanted])).await?;
        let Some(found) = images.into_iter().next() else {
            return Err(BuildError::NoPlatform {
                platform: target.clone(),
            });
        };
        let image = Image::from_base(found.manifest.clone(), found.configuration.clone(), options.time)?;
        Ok((Some((base.source().clone(), found)), image))
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
    fn without_base(&self) -> Result<Vec<Platform>, BuildError> {
        match self {
            Self::Selected(PlatformSelection::Only(platforms)) => Ok(platforms.clone()),
            Self::Selected(PlatformSelection::All) => Err(BuildError::AllOfNothing),
            Self::Host(host) => Ok(vec![host.clone()]),
        }
    }
}

/// The bases of a build, each resolved once.
struct Bases<'a> {
    client: &'a Client,
    resolved: Mutex<BTreeMap<String, Arc<OnceCell<Base>>>>,
}

impl<'a> Bases<'a> {
    fn new(client: &'a Client) -> Self {
        Self {
            client,
            resolved: Mutex::default(),
        }
    }

    async fn resolve(&self, location: &Location) -> Result<Base, BuildError> {
        let cell = self
            .resolved
            .lock()
            .await
            .entry(location.to_string())
            .or_default()
            .clone();
        let base = cell
            .get_or_try_init(|| Base::resolve(self.client, location))
            .await?;
        Ok(base.clone())
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
    /// The base has no image for a platform.
    #[error("the base has no image for {platform}")]
    NoPlatform {
        /// The platform.
        platform: Platform,
    },
    /// `--platform all` on nothing.
    #[error("`all` platforms of `scratch` are none; name them, such as `linux/amd64,linux/arm64`")]
    AllOfNothing,
}
