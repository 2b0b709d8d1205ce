use onlay_oci::{Platform, PlatformSelection};
use onlay_store::Location;

use crate::plan::{CopySource, Plan, PlanPlatforms, PlannedBase, Start};
use crate::recipe::{Recipe, RecipeError};
use crate::{BuildOptions, Contexts, Platforms};

impl Recipe {
    /// The images that a build reads: those that needed stages start from, and those that their lines copy from; no I/O.
    ///
    /// Where platforms are those that the base has, one stands for all of them. What triggers of a base read (`ONBUILD`)
    /// is not known before the base is.
    ///
    /// # Errors
    /// Something is wrong with the lines.
    pub fn images(&self, options: &BuildOptions, contexts: &Contexts) -> Result<Vec<Location>, RecipeError> {
        let mut images = Vec::new();
        for target in platforms(options) {
            let platforms = PlanPlatforms {
                build: &options.build_platform,
                target,
            };
            let plan = self.plan(platforms, &options.build_arguments, &contexts.names())?;
            for location in plan.images() {
                if !images.contains(&location) {
                    images.push(location);
                }
            }
        }
        Ok(images)
    }
}

impl Plan {
    fn images(&self) -> Vec<Location> {
        let mut images = Vec::new();
        for (position, stage) in &self.stages {
            if let Start::Base(PlannedBase::Image { location, .. }) = &stage.start {
                images.push(location.clone());
            }
            let copied = stage.lines.iter().flat_map(|line| line.value.sources());
            for from in copied {
                if let Ok(CopySource::Image(location)) = self.copy_source(&from.value, *position) {
                    images.push(location);
                }
            }
        }
        images
    }
}

fn platforms(options: &BuildOptions) -> Vec<&Platform> {
    match &options.platforms {
        Platforms::Selected(PlatformSelection::Only(platforms)) => platforms.iter().collect(),
        others => vec![others.guess(&options.build_platform)],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use onlay_dockerfile::{Dockerfile, SourceFile};
    use onlay_layer::CompressionOptions;
    use onlay_shell::Tools;

    use super::*;

    fn images(text: &str, platforms: &[&str]) -> Vec<String> {
        let recipe = Recipe::Dockerfile {
            dockerfile: Dockerfile::parse(SourceFile::new("Dockerfile", text)).unwrap(),
            target: None,
            named_images: BTreeMap::from([("known".to_owned(), "oci:layout".parse().unwrap())]),
        };
        let platforms = platforms.iter().map(|platform| platform.parse().unwrap());
        let options = BuildOptions {
            platforms: Platforms::Selected(PlatformSelection::Only(platforms.collect())),
            build_arguments: BTreeMap::from([("VERSION".to_owned(), "3.20".to_owned())]),
            labels: Vec::new(),
            manifest_annotations: BTreeMap::new(),
            index_annotations: BTreeMap::new(),
            time: None,
            tools: Tools::Image,
            run: crate::RunMode::default(),
            compression: CompressionOptions::gzip(1),
            build_platform: Platform::new("linux", "amd64"),
            temporary_directory: None,
            lent: Default::default(),
            network: Default::default(),
            exceptions: Default::default(),
        };
        let images = recipe.images(&options, &Contexts::none()).unwrap();
        images.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_needed_stages_start_and_copy_from() {
        let text = "ARG VERSION\n\
            FROM golang AS build\n\
            FROM unneeded.example/x AS unneeded\n\
            FROM alpine:$VERSION\n\
            COPY --from=build a /\n\
            COPY --from=known b /\n\
            COPY --from=tools.example/t:1 c /\n\
            COPY --from=tools.example/t:1 d /\n";
        assert_eq!(
            images(text, &["linux/amd64"]),
            [
                "docker.io/library/golang",
                "docker.io/library/alpine:3.20",
                "oci:layout",
                "tools.example/t:1"
            ]
        );
    }

    #[test]
    fn platforms_may_start_from_different_images() {
        let text = "FROM base.example/$TARGETARCH\n";
        assert_eq!(
            images(text, &["linux/amd64", "linux/arm64"]),
            ["base.example/amd64", "base.example/arm64"]
        );
    }
}
