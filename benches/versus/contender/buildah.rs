use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Contender, Role, Rows, Start, need_root, version};
use crate::site::{Site, Target};
use onlay_benches::measure::succeed;

struct Buildah {
    program: PathBuf,
    version: String,
    storage: PathBuf,
    start: Start,
}

pub(super) fn rows(program: &Path, site: &Site) -> Result<Rows> {
    let version = version(program, "--version")?;
    need_root()?;
    let row = |start| -> Box<dyn Contender> {
        Box::new(Buildah {
            program: program.to_owned(),
            version: version.clone(),
            storage: site.directory().join("buildah"),
            start,
        })
    };
    Ok([Start::Warm, Start::Cold].map(row).into())
}

impl Buildah {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.storage.join("root"));
        command.arg("--runroot").arg(self.storage.join("run"));
        command.args(["--storage-driver", "overlay"]).args(arguments);
        command
    }
}

impl Contender for Buildah {
    fn name(&self) -> String {
        let state = match self.start {
            Start::Cold => "nothing cached",
            Start::Warm => "base pulled",
        };
        format!("buildah bud and push, {state}")
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn prepare(&self, target: &Target) -> Result<()> {
        succeed(&mut self.command(&["rmi", "--all", "--force"]))?;
        if self.start == Start::Warm {
            succeed(&mut self.command(&["pull", "--quiet", "--tls-verify=false", &target.base()]))?;
        }
        Ok(())
    }

    fn commands(&self, target: &Target) -> Vec<Command> {
        let destination = target.destination();
        let mut build = self.command(&[
            "bud",
            "--no-cache",
            "--layers",
            "--network=none",
            "--tls-verify=false",
        ]);
        build.args(["--tag", &destination]).arg(&target.context);
        let push = self.command(&["push", "--quiet", "--tls-verify=false", &destination]);
        vec![build, push]
    }

    fn role(&self) -> Role {
        Role::Other
    }
}
