//! The command itself, from its place to its first instruction.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Gid, Uid, execve, setgroups, setresgid, setresuid};
use rustix::fs::{Mode, mkdir};

use super::walls::{self, Walls};
use super::watch::{start, write_report};
use super::{Refused, errno_of, refused};
use crate::Command;
use crate::order::Report;

/// Where programs are looked for if the environment does not say (dockerfile.md 1.10).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts the command in a place that `enter` enters, which is all that is left of the machine then. What goes wrong
/// before its first instruction is written to `faults`.
pub(crate) fn spawn(
    command: &Command,
    walls: Walls,
    faults: OwnedFd,
    enter: impl FnOnce() -> Result<(), Refused>,
) -> Result<nix::unistd::Pid, Refused> {
    start(|| {
        let report = match enter().and_then(|()| become_command(command, walls)) {
            Ok(errno) => Report::Program(errno as i32),
            Err(Refused { step, errno }) => Report::failed(&step, errno),
        };
        write_report(faults, &report);
        // Nobody looks at it: the report says more.
        127
    })
}

/// Becomes the command; comes back only where that fails, with the reason.
pub(crate) fn become_command(command: &Command, walls: Walls) -> Result<Errno, Refused> {
    reset_signals()?;
    make_directories(&command.working_directory).map_err(refused("making the working directory"))?;
    walls::limit_capabilities(walls)?;
    let user = &command.user;
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    for output in [1, 2] {
        // As runc does, so that the user can open `/dev/stdout` (its `fixStdioPermissions`). What refuses it stays as it is.
        _ = fchown(output, user.uid);
    }
    setgroups(&groups).map_err(refused("setgroups"))?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    setresgid(gid, gid, gid).map_err(refused("setresgid"))?;
    setresuid(uid, uid, uid).map_err(refused("setresuid"))?;
    walls::raise(walls, command.network)?;
    nix::unistd::chdir(command.working_directory.as_str())
        .map_err(refused("chdir to the working directory"))?;
    let text = |text: &str| CString::new(text).map_err(|_| refused("reading the command")(Errno::EINVAL));
    let arguments: Vec<CString> = command
        .arguments
        .iter()
        .map(|argument| text(argument))
        .collect::<Result<_, _>>()?;
    let secrets = command.secret_environment.iter();
    let secrets = secrets.map(|(name, value)| (name, value.reveal()));
    let environment: Vec<CString> = command
        .environment
        .iter()
        .map(|(name, value)| (name, value.as_str()))
        .chain(secrets)
        .map(|(name, value)| text(&format!("{name}={value}")))
        .collect::<Result<_, _>>()?;
    let mut failure = Errno::ENOENT;
    for program in programs(command) {
        let program = text(&program)?;
        let Err(errno) = execve(&program, &arguments, &environment);
        // As execvp(3) does: what is there and may not be executed counts more than what is not there.
        if errno != Errno::ENOENT && errno != Errno::ENOTDIR {
            failure = errno;
        }
    }
    Ok(failure)
}

fn fchown(output: i32, uid: u32) -> Result<(), Errno> {
    // SAFETY: nothing closes the standard output and error of this process, which has one thread.
    #[expect(unsafe_code, reason = "a number as a descriptor")]
    let output = unsafe { BorrowedFd::borrow_raw(output) };
    nix::unistd::fchown(output, Some(Uid::from_raw(uid)), None)
}

/// Where the program may be.
fn programs(command: &Command) -> Vec<String> {
    let Some(name) = command.arguments.first() else {
        return Vec::new();
    };
    if name.contains('/') {
        return vec![name.clone()];
    }
    let path = command.environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(PATH, |(_, path)| path);
    path.split(':')
        .map(|directory| format!("{directory}/{name}"))
        .collect()
}

/// Signals as a new session has them: the supervisor blocks some, and Rust ignores one.
fn reset_signals() -> Result<(), Refused> {
    SigSet::all().thread_unblock().map_err(refused("sigprocmask"))?;
    // SAFETY: no handler is installed, so nothing can run at a bad moment.
    #[expect(unsafe_code, reason = "the default action is no code")]
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map_err(refused("signal"))?;
    Ok(())
}

/// Makes a directory and those above it, as root, where they are missing (dockerfile.md 1.10).
fn make_directories(path: &str) -> Result<(), Errno> {
    let names = path.split('/').filter(|name| !name.is_empty());
    let mut current = String::new();
    for name in names {
        current = format!("{current}/{name}");
        match mkdir(current.as_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(errno_of(&error.into())),
        }
    }
    Ok(())
}
