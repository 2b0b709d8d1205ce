use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use fs_err as fs;

use super::{Contender, Role, Rows, version};
use crate::site::{CONFIG_LINES, Site, Target, VAULT_LINES};
use onlay_benches::measure::succeed;

struct Onlay {
    program: PathBuf,
    version: String,
    cache: PathBuf,
    role: Role,
}

pub(super) fn rows(program: &Path, site: &Site) -> Result<Rows> {
    let version = version(program, "--version")?;
    let row = |role| -> Box<dyn Contender> {
        Box::new(Onlay {
            program: program.to_owned(),
            version: version.clone(),
            cache: site.directory().join("onlay-cache"),
            role,
        })
    };
    Ok([Role::OnlayWarm, Role::OnlayCold, Role::OnlayConfigOnly]
        .map(row)
        .into())
}

impl Onlay {
    fn apply(&self, target: &Target, destination: &str) -> Command {
        let lines: &[&str] = if self.role == Role::OnlayConfigOnly {
            &CONFIG_LINES
        } else {
            &VAULT_LINES
        };
        let mut command = Command::new(&self.program);
        command.args(["apply", &target.base()]).args(lines);
        command.args(["-t", destination, "--cache-dir"]).arg(&self.cache);
        command
    }
}

impl Contender for Onlay {
    fn name(&self) -> String {
        let state = match self.role {
            Role::OnlayWarm => "listing cached",
            Role::OnlayConfigOnly => "VOLUME only, nothing cached",
            _ => "nothing cached",
        };
        format!("onlay apply, {state}")
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn prepare(&self, target: &Target) -> Result<()> {
        if self.cache.exists() {
            fs::remove_dir_all(&self.cache)?;
        }
        if self.role == Role::OnlayWarm {
            succeed(&mut self.apply(target, &format!("{}/{}-first:1", target.host, target.repository)))?;
        }
        Ok(())
    }

    fn commands(&self, target: &Target) -> Vec<Command> {
        vec![self.apply(target, &target.destination())]
    }

    fn role(&self) -> Role {
        self.role
    }
}
