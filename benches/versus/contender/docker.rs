mod daemon;

pub(crate) use daemon::Daemon;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context as _, Result};

use super::{Contender, Role, Rows, Start, need_root, version};
use crate::options::Options;
use crate::site::{Site, Target};
use onlay_benches::measure::succeed;

struct Docker {
    client: Rc<Client>,
    version: String,
    builder: Builder,
    start: Start,
}

/// Docker has two builders, which differ in speed and result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Builder {
    Legacy,
    BuildKit,
}

/// A client and the daemon it speaks to.
struct Client {
    program: PathBuf,
    daemon: Daemon,
}

pub(super) fn rows(options: &Options, site: &Site) -> Result<Rows> {
    let client = find_client(options.docker.as_deref())?;
    version(&options.dockerd, "--version")?;
    need_root()?;
    let daemon = Daemon::start(&options.dockerd, &site.directory().join("docker"))?;
    let client = Rc::new(Client {
        program: client,
        daemon,
    });
    let engine = client.wait_until_ready()?;
    let row = |(builder, start)| -> Box<dyn Contender> {
        let version = match builder {
            Builder::Legacy => format!("legacy builder of Docker {engine}"),
            Builder::BuildKit => format!("BuildKit of Docker {engine}"),
        };
        Box::new(Docker {
            client: client.clone(),
            version,
            builder,
            start,
        })
    };
    let rows = [
        (Builder::Legacy, Start::Warm),
        (Builder::BuildKit, Start::Warm),
        (Builder::Legacy, Start::Cold),
        (Builder::BuildKit, Start::Cold),
    ];
    Ok(rows.map(row).into())
}

/// Newer clients build by a plugin that may not be installed; Debian's own client needs none.
fn find_client(given: Option<&Path>) -> Result<PathBuf> {
    let usual = [Path::new("docker"), Path::new("/usr/bin/docker")];
    let candidates = given.as_ref().map_or(usual.as_slice(), std::slice::from_ref);
    let builds = |program: &&&Path| {
        let mut help = Command::new(program);
        help.args(["build", "--help"]).env("DOCKER_BUILDKIT", "1");
        succeed(&mut help).is_ok_and(|help| help.contains("--secret"))
    };
    let found = candidates.iter().find(builds);
    found
        .map(|program| program.to_path_buf())
        .context("no client that speaks BuildKit is installed")
}

impl Client {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--host").arg(self.daemon.address()).args(arguments);
        // The user's own credentials and proxies stay out of it.
        command.env("DOCKER_CONFIG", self.daemon.directory());
        command
    }

    fn wait_until_ready(&self) -> Result<String> {
        self.daemon
            .wait_until(|| succeed(&mut self.command(&["version", "--format", "{{.Server.Version}}"])))
    }
}

impl Contender for Docker {
    fn name(&self) -> String {
        let builder = match self.builder {
            Builder::Legacy => "legacy",
            Builder::BuildKit => "BuildKit",
        };
        let state = match self.start {
            Start::Cold => "nothing cached",
            Start::Warm => "base pulled",
        };
        format!("docker build ({builder}) and push, {state}")
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn prepare(&self, target: &Target) -> Result<()> {
        succeed(&mut self.client.command(&["system", "prune", "--all", "--force"]))?;
        succeed(&mut self.client.command(&["builder", "prune", "--all", "--force"]))?;
        if self.start == Start::Warm {
            succeed(&mut self.client.command(&["pull", "--quiet", &target.base()]))?;
        }
        Ok(())
    }

    fn commands(&self, target: &Target) -> Vec<Command> {
        let destination = target.destination();
        let mut build =
            self.client
                .command(&["build", "--no-cache", "--network=none", "--tag", &destination]);
        build.arg(&target.context);
        let build_kit = if self.builder == Builder::BuildKit {
            "1"
        } else {
            "0"
        };
        build.env("DOCKER_BUILDKIT", build_kit);
        vec![build, self.client.command(&["push", "--quiet", &destination])]
    }

    fn daemon(&self) -> Option<&Daemon> {
        Some(&self.client.daemon)
    }

    fn role(&self) -> Role {
        match self.start {
            Start::Cold => Role::DockerCold,
            Start::Warm => Role::Other,
        }
    }
}
