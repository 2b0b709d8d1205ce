//! `--load`: the image into Docker, by its own program.

use std::process::Command;

use anyhow::{Context, bail};
use onlay_build::Built;
use onlay_push::push;
use onlay_registry::Client;
use onlay_store::Destination;
use tempfile::TempDir;

use crate::failure::Usage;
use crate::publish::publication;

/// Writes an archive for each name and gives it to `docker load`.
pub(crate) async fn load(
    client: &Client,
    built: &Built,
    names: &[String],
    directory: Option<std::path::PathBuf>,
) -> anyhow::Result<()> {
    if built.images.len() > 1 {
        return Err(
            Usage("docker loads an image of one platform; choose it with `--platform`".to_owned()).into(),
        );
    }
    if names.is_empty() {
        return Err(Usage("docker loads images by name; give it one with -t".to_owned()).into());
    }
    let directory = directory.context("there is no temporary directory for the archive")?;
    let directory = TempDir::with_prefix_in("onlay-", directory)?;
    let publication = publication(built);
    for (number, name) in names.iter().enumerate() {
        let file = directory.path().join(format!("{number}.tar"));
        let destination = format!("docker-archive:{}:{name}", file.display());
        let destination: Destination = destination.parse().map_err(|error| Usage(format!("{error}")))?;
        push(client, &publication, &destination).await?;
        let loaded = tokio::task::spawn_blocking(move || docker_load(&file));
        loaded.await??;
    }
    Ok(())
}

fn docker_load(file: &std::path::Path) -> anyhow::Result<()> {
    let mut docker = Command::new("docker");
    docker.args(["load", "--quiet", "--input"]).arg(file);
    let output = docker.output().context(
        "failed to run `docker`, which loads the image; use `-o type=docker,dest=FILE` where there is none",
    )?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    bail!("`docker load` failed: {}", message.trim());
}
