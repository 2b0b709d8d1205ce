use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Contender, Role, Rows, version};
use crate::site::{Site, Target};

/// Only appends a layer that is ready: neither base nor lines are looked at, and nothing is kept.
struct Crane {
    program: PathBuf,
    version: String,
    layer: PathBuf,
}

pub(super) fn rows(program: &Path, site: &Site) -> Result<Rows> {
    Ok(vec![Box::new(Crane {
        program: program.to_owned(),
        version: format!("crane {}", version(program, "version")?),
        layer: site.ready_layer(),
    })])
}

impl Contender for Crane {
    fn name(&self) -> String {
        "crane append, of a ready layer".to_owned()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn prepare(&self, _: &Target) -> Result<()> {
        Ok(())
    }

    fn commands(&self, target: &Target) -> Vec<Command> {
        let mut command = Command::new(&self.program);
        command.args([
            "append",
            "--base",
            &target.base(),
            "--new_tag",
            &target.destination(),
        ]);
        command.arg("--new_layer").arg(&self.layer);
        vec![command]
    }

    fn role(&self) -> Role {
        Role::Append
    }
}
