//! `--load`: the image into Docker, by its own program.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use onlay_build::Built;
use onlay_oci::Reference;
use onlay_push::Pusher;
use onlay_store::{Destination, Location};
use tempfile::TempDir;

use crate::commands::build::destinations::one_platform;
use crate::delivery::publication;
use crate::environment;

/// Docker's own program.
const DOCKER: &str = "docker";

/// Fails where there is no Docker, which is better known before the build than after it.
pub(crate) fn verify_docker() -> anyhow::Result<()> {
    if environment::has_program(DOCKER) {
        return Ok(());
    }
    bail!(
        "there is no `docker` program in PATH to load the image with; write an archive with `-o type=docker,dest=FILE`"
    )
}

/// Writes an archive for each name and gives it to `docker load`.
pub(crate) async fn load(pusher: &Pusher, built: &Built, names: &[Reference]) -> anyhow::Result<()> {
    if built.images.len() > 1 {
        return Err(one_platform().into());
    }
    let directory = pusher.temporary_directory.as_ref();
    let directory = directory.context("there is no temporary directory for the archive")?;
    let directory = TempDir::with_prefix_in("onlay-", directory)?;
    let publication = publication(built);
    // Without a name Docker keeps it under its digest alone.
    let names: Vec<Option<Reference>> = match names {
        [] => vec![None],
        names => names.iter().cloned().map(Some).collect(),
    };
    for (number, name) in names.into_iter().enumerate() {
        let file = directory.path().join(format!("{number}.tar"));
        let location = Location::DockerArchive {
            file: file.clone(),
            name,
        };
        let archive = [Destination::try_from(location)?];
        for written in pusher.push(&publication, &archive, |_, _| ()).await {
            written?;
        }
        let loaded = tokio::task::spawn_blocking(move || docker_load(&file));
        loaded.await??;
    }
    Ok(())
}

fn docker_load(file: &Path) -> anyhow::Result<()> {
    let mut docker = Command::new(DOCKER);
    docker.args(["load", "--quiet", "--input"]).arg(file);
    let output = docker
        .output()
        .context("failed to run `docker`, which loads the image")?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    bail!("`docker load` failed: {}", message.trim());
}
