use clap::Args;
use onlay_oci::Reference;
use serde_json::json;

use crate::failure::Usage;
use crate::look::LookOptions;
use crate::terminal::print;

/// List the tags of a repository
///
/// One on each line, in the order in which the registry gives them. Lists of any length are read to their end.
#[derive(Debug, Args)]
pub(crate) struct Tags {
    /// The repository: HOST/REPOSITORY, or a name on Docker Hub
    pub(super) repository: Reference,

    #[command(flatten)]
    pub(super) look: LookOptions,
}

impl Tags {
    /// Lists the tags.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let reference = &self.repository;
        if reference.tag().is_some() || reference.digest().is_some() {
            return Err(Usage(format!("`{reference}` names an image, expected a repository")).into());
        }
        let tags = self.look.session()?.client.source(reference)?.tags().await?;
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        if self.look.is_json() {
            return print(&json!({ "name": reference.to_string(), "tags": tags }).to_string());
        }
        match tags.is_empty() {
            true => Ok(()),
            false => print(&tags.join("\n")),
        }
    }
}
