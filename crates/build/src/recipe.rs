use std::collections::BTreeMap;

use onlay_dockerfile::{Diagnostics, Dockerfile, Instruction, Located};
use onlay_store::Location;

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
