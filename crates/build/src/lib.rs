//! The engine: the lines of a Dockerfile applied to a base image, for every wanted platform.
//!
//! A [`Recipe`] says what is built, [`BuildOptions`] what else decides the result, [`Builder::build`] does it and gives
//! a [`Built`]: finished images with the bytes of the layers that were made. For each line the engine works out what it
//! needs to know of the base, fetches that and no more, and reports it ([`BuildEvent`]):
//!
//! - a line that only edits the configuration needs manifest and configuration;
//! - a line that touches files needs listings of layers, topmost first, until its questions are answered;
//! - a line that writes a file of the base again needs that file's content.
//!
//! It deliberately executes nothing, publishes nothing, prints nothing, and reads neither environment nor clock.

mod archive;
mod build;
mod built;
mod commit;
mod contexts;
mod event;
mod execution;
mod files;
mod graph;
mod images;
mod inputs;
mod mounting;
mod options;
mod plan;
mod recipe;
mod room;
mod scope;
mod secrets;
mod stage;
mod step;
mod transfer;
mod unchanged;

pub use build::{BuildError, Builder};
pub use built::{AssembleError, Built, BuiltImage};
pub use contexts::{BuildContext, ContextListError, Contexts, TreeError};
pub use event::{BuildEvent, Events, How, Need, StageBases, StepLayer, StepReport};
pub use execution::ExecutionError;
pub use inputs::RepositoryError;
pub use options::{BuildOptions, Exceptions, Platforms, RunMode};
pub use plan::predefined_arguments;
pub use recipe::{Recipe, RecipeError};
pub use secrets::{Lent, SecretBytes};
pub use step::StepError;
