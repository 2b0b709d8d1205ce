use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use fs_err as fs;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::{Contender, Role, Rows, need_root, version};
use crate::site::{Site, Target};

/// kaniko unpacks the base over its own root directory, so it gets one of its own, and its own mounts and processes.
struct Kaniko {
    program: PathBuf,
    version: String,
    root: PathBuf,
}

pub(super) fn rows(program: &Path, site: &Site) -> Result<Rows> {
    let version = version(program, "version")?;
    need_root()?;
    Ok(vec![Box::new(Kaniko {
        program: which(program),
        version,
        root: site.directory().join("kaniko"),
    })])
}

/// Where a program on the search path is, since it is copied.
fn which(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        return program.to_owned();
    }
    let found =
        onlay_benches::measure::succeed(Command::new("sh").args(["-c", "command -v \"$0\""]).arg(program));
    found.map_or_else(|_| program.to_owned(), PathBuf::from)
}

impl Contender for Kaniko {
    fn name(&self) -> String {
        "kaniko, nothing cached".to_owned()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn prepare(&self, target: &Target) -> Result<()> {
        if self.root.exists() {
            fs::remove_dir_all(&self.root)?;
        }
        for directory in ["dev", "kaniko", "proc", "workspace"] {
            fs::create_dir_all(self.root.join(directory))?;
        }
        // The one device that a RUN line cannot do without; a node, not a mount, so that nothing of the host is in reach.
        let null = self.root.join("dev/null");
        mknod(
            &null,
            SFlag::S_IFCHR,
            Mode::from_bits_truncate(0o666),
            makedev(1, 3),
        )?;
        fs::copy(&self.program, self.root.join("kaniko/executor"))?;
        fs::copy(
            target.context.join("Dockerfile"),
            self.root.join("workspace/Dockerfile"),
        )?;
        Ok(())
    }

    fn commands(&self, target: &Target) -> Vec<Command> {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc=/proc",
            "--wd=/workspace",
            "--root",
        ]);
        command.arg(&self.root).args(["/kaniko/executor", "--force"]);
        command.args(["--insecure", "--insecure-pull", "--context=/workspace"]);
        command.args([
            "--dockerfile=/workspace/Dockerfile",
            "--destination",
            &target.destination(),
        ]);
        vec![command]
    }

    fn role(&self) -> Role {
        Role::Other
    }
}
