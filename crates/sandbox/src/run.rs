//! The building process's side: it starts the supervisor, passes on what the command prints, and waits.

use std::fs::Permissions;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::order::{Order, Report, receive, send};
use crate::records::Records;
use crate::stubs::{SCRIPTS, Stubs};
use crate::supervisor::NAME;
use crate::{Command, Root, Sandbox, SandboxError, Status};

/// The hosts file of a command.
const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Where the machine says how names are looked up.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Ends a command from another thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Mutex<Stopping>>);

#[derive(Debug, Default)]
struct Stopping {
    is_stopped: bool,
    socket: Option<UnixStream>,
}

impl Stop {
    /// Kills the command that is running, or the next that is about to.
    pub fn stop(&self) {
        let mut stopping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stopping.is_stopped = true;
        if let Some(socket) = stopping.socket.take() {
            // One that is closed has no command any more.
            _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Tells whether it was asked for.
    pub fn is_stopped(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_stopped
    }

    fn watch(&self, socket: &UnixStream) -> io::Result<()> {
        let mut stopping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stopping.is_stopped {
            return Err(io::ErrorKind::Interrupted.into());
        }
        stopping.socket = Some(socket.try_clone()?);
        Ok(())
    }
}

impl Sandbox {
    /// Runs a command in a root directory and passes what it prints to `output`, standard output and standard error as
    /// they come. Blocking; it ends when the command has, and all that it started is gone by then.
    ///
    /// # Errors
    /// The command could not be started. That it failed is a [`Status`].
    pub fn run(
        &self,
        root: &mut Root,
        command: &Command,
        stop: &Stop,
        output: &mut dyn FnMut(&[u8]),
    ) -> Result<Status, SandboxError> {
        let setup = |step: &str| {
            let step = step.to_owned();
            move |source: io::Error| SandboxError::Setup { step, source }
        };
        let place = root.directory().parent().unwrap_or(root.directory());
        let aside = tempfile::Builder::new()
            .prefix("aside-")
            .tempdir_in(place)
            .map_err(setup("making room beside the root filesystem"))?;
        let file = |name: &str, content: &[u8]| -> Result<PathBuf, SandboxError> {
            let path = aside.path().join(name);
            let written = fs_err::write(&path, content);
            // Whatever the caller's umask, it is for every user.
            written
                .and_then(|()| fs_err::set_permissions(&path, Permissions::from_mode(0o644)))
                .map_err(setup("writing a file for the command"))?;
            Ok(path)
        };
        // A machine that has none looks no names up either.
        let resolv_conf = fs_err::read(RESOLV_CONF).unwrap_or_default();
        let mut files = vec![
            ("etc/hosts".to_owned(), file("hosts", HOSTS.as_bytes())?),
            ("etc/resolv.conf".to_owned(), file("resolv.conf", &resolv_conf)?),
        ];
        if let Some(script) = &command.script {
            let path = file("script", script.content.as_bytes())?;
            fs_err::set_permissions(&path, Permissions::from_mode(0o755))
                .map_err(setup("writing the script"))?;
            files.push((format!("{SCRIPTS}/{}", script.name), path));
        }
        let mut records = root.records();
        let mut stubs = Stubs::make(root.directory(), self.rung, &files, aside.path(), &mut records)
            .map_err(setup("making the places for mounts"))?;
        let recorded = aside.path().join("records");
        write_records(&recorded, stubs.records()).map_err(setup("writing what is recorded of files"))?;
        let order = Order::Run {
            rung: self.rung,
            root: root.directory().to_owned(),
            command: command.clone(),
            files,
            records: recorded.clone(),
        };
        let report = ask(&order, stop, output);
        stubs.remove().map_err(setup("removing the places for mounts"))?;
        let records = read_records(&recorded).map_err(setup("reading what is recorded of files"))?;
        root.set_records(records);
        status(report?, command)
    }
}

fn write_records(path: &Path, records: &Records) -> io::Result<()> {
    fs_err::write(path, records.to_bytes()?)
}

fn read_records(path: &Path) -> io::Result<Records> {
    Ok(Records::from_bytes(&fs_err::read(path)?)?)
}

fn status(report: Report, command: &Command) -> Result<Status, SandboxError> {
    match report {
        Report::Exited(code) => Ok(Status::Exited(code)),
        Report::Killed(signal) => Ok(Status::Killed(signal)),
        Report::Program(errno) => Err(SandboxError::Program {
            program: command.arguments.first().cloned().unwrap_or_default(),
            source: io::Error::from_raw_os_error(errno),
        }),
        Report::Failed { step, errno } => Err(SandboxError::Setup {
            step,
            source: io::Error::from_raw_os_error(errno),
        }),
        Report::Possible => Err(SandboxError::Supervisor {
            source: io::ErrorKind::InvalidData.into(),
        }),
    }
}

/// Gives a supervisor an order, and waits for what it reports.
pub(crate) fn ask(order: &Order, stop: &Stop, output: &mut dyn FnMut(&[u8])) -> Result<Report, SandboxError> {
    talk(order, stop, output).map_err(|source| SandboxError::Supervisor { source })
}

fn talk(order: &Order, stop: &Stop, output: &mut dyn FnMut(&[u8])) -> io::Result<Report> {
    let (mut ours, theirs) = UnixStream::pair()?;
    stop.watch(&ours)?;
    let (mut printed, writer) = io::pipe()?;
    let mut supervisor = Process::new("/proc/self/exe")
        .arg0(NAME)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    send(&mut ours, order)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // It ends when the supervisor and all that the command started have ended.
        match printed.read(&mut buffer)? {
            0 => break,
            count => output(&buffer[..count]),
        }
    }
    let report = receive(&mut ours);
    supervisor.wait()?;
    report
}
