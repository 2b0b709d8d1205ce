//! The mirror: many upstream images kept in another registry, with added lines.
//!
//! A [`Config`] says what; [`entries`] are its images, [`Mirror::plan`] looks at both sides and says what is to be done, and
//! [`Mirror::carry_out`] does it. There is no state but in the registries:
//!
//! - An image as it is is unchanged if its tag names the same digest on both sides.
//! - An image with lines, or with some of its platforms, has a second tag at the destination that says what it was made from
//!   (the digest upstream, the lines, the recipe, the platforms). It is unchanged if its own tag and that one name the same.
//!
//! So a run without change costs one HEAD upstream for each image, which nobody counts, and one look at each repository of the
//! destination. Nothing is fetched that the configuration does not name.

mod bring;
mod budget;
mod config;
mod identity;
mod item;
mod module;
mod naming;
mod plan;
mod prune;
mod report;
mod run;
mod select;
mod shard;
mod stop;

pub use config::{
    CannotRun, Config, ConfigError, Defaults, Host, ImageRule, Line, LinesRule, Platforms, PreviousTag,
    RegistryRule, Source,
};
pub use item::{Entry, Item, entries};
pub use module::{ModuleError, from_environment, import};
pub use naming::Naming;
pub use plan::{Action, Plan, Planned};
pub use prune::Prunable;
pub use report::{Outcome, Report, Status};
pub use run::{Mirror, Progress};
pub use select::{Literal, Pattern, TagRule};
pub use shard::Shard;
pub use stop::Stop;
