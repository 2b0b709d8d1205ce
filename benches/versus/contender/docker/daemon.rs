use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long the daemon may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(50);

/// A `dockerd` on a private socket, with private storage, without networks of its own; ended when dropped.
pub(crate) struct Daemon {
    process: Child,
    directory: PathBuf,
}

impl Daemon {
    /// Starts it in an empty directory.
    pub(super) fn start(program: &Path, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let (log, _) = fs::File::create(directory.join("log"))?.into_parts();
        let process = Command::new(program)
            .arg("--host")
            .arg(address(directory))
            .arg("--data-root")
            .arg(directory.join("data"))
            .arg("--exec-root")
            .arg(directory.join("exec"))
            .arg("--pidfile")
            .arg(directory.join("pid"))
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .args(["--insecure-registry", "127.0.0.0/8", "--config-file"])
            .arg(empty_configuration(directory)?)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| program.display().to_string())?;
        Ok(Self {
            process,
            directory: directory.to_owned(),
        })
    }

    /// What clients connect to.
    pub(super) fn address(&self) -> String {
        address(&self.directory)
    }

    /// The daemon's directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Asks until there is an answer.
    pub(super) fn wait_until<T>(&self, ask: impl Fn() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) if start.elapsed() > PATIENCE => {
                    let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                    let last = log.lines().last().unwrap_or_default().to_owned();
                    return Err(error.context(format!("dockerd does not answer: {last}")));
                }
                Err(_) => thread::sleep(POLL),
            }
        }
    }

    /// Forgets the peak so far.
    ///
    /// Source: proc_pid_clear_refs(5), value 5.
    pub(crate) fn reset_peak_memory(&self) -> Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5")?;
        Ok(())
    }

    /// The most memory that the daemon held at a time since the last reset, in bytes, resident. Its helpers
    /// (containerd, runc) are not in it.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let Some(kibibytes) =
            line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        else {
            bail!("dockerd's status has no VmHWM");
        };
        Ok(kibibytes * 1024)
    }
}

/// The machine's own daemon may have settings, which a second daemon must not have too.
fn empty_configuration(directory: &Path) -> Result<PathBuf> {
    let file = directory.join("daemon.json");
    fs::write(&file, "{}")?;
    Ok(file)
}

fn address(directory: &Path) -> String {
    format!("unix://{}", directory.join("socket").display())
}

impl Drop for Daemon {
    /// Asks it to end, so that it ends containerd too and unmounts its storage; kills it only if it does not.
    fn drop(&mut self) {
        let asked = i32::try_from(self.process.id()).map(|id| kill(Pid::from_raw(id), Signal::SIGTERM));
        let start = Instant::now();
        while matches!(asked, Ok(Ok(()))) && start.elapsed() < PATIENCE {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(POLL),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
