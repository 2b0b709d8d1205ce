//! The third rung: for everybody. Nothing is needed but seccomp's listener (Linux 5.9) and that a process may trace those
//! it has started.
//!
//! The command runs among the machine's files and does not see them. System calls that name paths, owners, modes or ids
//! are caught by a filter and carried out here, in the private root directory, over what is recorded of its files: the
//! kernel never sees a path of the command's. Descriptors of opened files are put into its table. Only what a process has
//! to do itself, to start a program above all, it does itself, with arguments changed while it is traced for a moment.
//! All other calls run at the kernel's speed.
//!
//! A second wall stands behind the filter where the kernel has Landlock (5.13): no file outside of the private root
//! directory can be opened or executed, whatever is tried.

mod attach;
mod attributes;
mod changes;
mod elf;
mod errno;
mod exec;
mod files;
mod ids;
mod later;
mod listener;
mod memory;
mod names;
mod permission;
mod proc_only;
mod process;
mod processes;
mod programs;
mod sockets;
mod start;
mod state;
mod table;
mod walk;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;

use nix::libc;
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use self::errno::Errno;
use self::listener::{Answer, Caught, Listener};
use self::memory::Memory;
use self::programs::Programs;
use self::state::{State, States};
use super::walls::Walls;
use super::watch::{kill_descendants, read_report, wait_serving};
use super::{Refused, errno_of, private_pipe, refused};
use crate::Command;
use crate::order::Report;
use crate::records::Records;

pub(super) use proc_only::run as run_with_proc;
pub(super) use start::probe;

/// Serves the calls of one command.
struct Guard {
    listener: Listener,
    states: States,
    records: Records,
    programs: Programs,
    /// Calls that are made again, by thread.
    approved: HashMap<i32, Approved>,
    /// The private root directory: device and inode, and where it is on the machine.
    top: (u64, u64),
    path: Vec<u8>,
    /// Who owns all files on disk.
    keeper: u32,
    /// Whether processes are played ids that they do not have.
    plays_ids: bool,
}

/// A call that may pass as it stands.
struct Approved {
    number: i64,
    arguments: [u64; 6],
    /// What its process is once it has passed.
    state: Option<State>,
}

/// A call that is served, and who makes it.
struct Call {
    caught: Caught,
    thread: i32,
    number: i64,
    arguments: [u64; 6],
    state: Rc<State>,
    process: OnceCell<i32>,
}

impl Call {
    fn memory(&self) -> Memory {
        Memory::of(self.thread)
    }

    /// A file that the process has open, as a place.
    fn descriptor(&self, number: i32) -> Result<OwnedFd, Errno> {
        let link = format!("/proc/{}/fd/{number}", self.thread);
        match openat(CWD, link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => Err(Errno::BADF),
            opened => opened,
        }
    }

    /// The number of the thread's process.
    fn process(&self) -> i32 {
        *self.process.get_or_init(|| {
            let status = fs_err::read_to_string(format!("/proc/{}/status", self.thread)).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
            line.and_then(|number| number.trim().parse().ok())
                .unwrap_or(self.thread)
        })
    }
}

/// Runs a command, and ends what it leaves. What is recorded of the files is read from a file, and written to it again.
pub(super) fn run(
    root: &Path,
    command: &Command,
    records: &Path,
    socket: &UnixStream,
) -> Result<Report, Refused> {
    // The command has the same user: it must not look into this process.
    nix::sys::prctl::set_dumpable(false).map_err(refused("prctl(PR_SET_DUMPABLE)"))?;
    let recorded = fs_err::read(records)
        .ok()
        .and_then(|bytes| Records::from_bytes(&bytes).ok());
    let recorded = recorded.ok_or_else(|| refused("reading what is recorded")(nix::errno::Errno::EINVAL))?;
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open =
        || openat(CWD, root, directory, Mode::empty()).map_err(io_refused("opening the root filesystem"));
    let top = open()?;
    let stat = fstat(&top).map_err(io_refused("opening the root filesystem"))?;
    let path =
        walk::host_path(std::os::fd::AsFd::as_fd(&top)).map_err(io_refused("reading /proc/self/fd"))?;
    let programs = start::programs_directory(root)?;

    let (reader, writer) = private_pipe()?;
    // What is made for the command gets its mode from what the command asks for.
    rustix::process::umask(Mode::empty());
    let prepare = || start::prepare(root, &programs, command.network);
    let (child, listener) = match start::spawn(command, Walls::Ptrace, writer, prepare) {
        Ok((child, Some(listener))) => (child, listener),
        Ok((_, None)) => return Err(refused("seccomp")(nix::errno::Errno::ENOSYS)),
        Err(Refused { step, errno }) => {
            return Ok(read_report(reader).unwrap_or_else(|| Report::failed(&step, errno)));
        }
    };
    let mut guard = Guard {
        listener: Listener::new(listener),
        states: States::default(),
        records: recorded,
        programs: Programs::new(programs),
        approved: HashMap::new(),
        top: (stat.st_dev, stat.st_ino),
        path,
        keeper: rustix::process::geteuid().as_raw(),
        plays_ids: true,
    };
    // Until it becomes the user, it prepares the place as root.
    let state = State::new(&crate::User::root(), top, open()?);
    guard
        .states
        .set(child.as_raw(), state)
        .map_err(io_refused("prlimit"))?;
    let source = guard.listener.duplicate().map_err(io_refused("dup"))?;
    let ended = wait_serving(child, socket, &source, &mut || guard.serve_next());
    kill_descendants();
    let bytes = guard.records.to_bytes();
    let bytes = bytes.map_err(|_| refused("writing what is recorded")(nix::errno::Errno::EINVAL))?;
    fs_err::write(records, bytes).map_err(|error| refused("writing what is recorded")(errno_of(&error)))?;
    Ok(read_report(reader).unwrap_or(ended?))
}

/// Names the step that failed, for errors of `rustix`.
fn io_refused(step: &str) -> impl FnOnce(Errno) -> Refused + '_ {
    move |errno| refused(step)(nix::errno::Errno::from_raw(errno.raw_os_error()))
}

impl Guard {
    /// Serves one call.
    fn serve_next(&mut self) {
        let Ok(Some(caught)) = self.listener.next() else {
            return;
        };
        let answer = self.states.of(caught.thread).and_then(|state| {
            let call = Call {
                thread: caught.thread,
                number: caught.number,
                arguments: caught.arguments,
                caught,
                state,
                process: OnceCell::new(),
            };
            self.answer(&call)
        });
        self.listener.answer(&caught, answer);
    }

    fn answer(&mut self, call: &Call) -> Result<Answer, Errno> {
        if let Some(approved) = self.approved.remove(&call.thread)
            && approved.number == call.number
            && approved.arguments == call.arguments
        {
            if let Some(state) = approved.state {
                self.states.set(call.thread, state)?;
            }
            return Ok(Answer::Continue);
        }
        // Numbers of threads are used again: what follows is about the one that waits.
        if !self.listener.is_waiting(&call.caught) {
            return Ok(Answer::Answered);
        }
        self.serve(call)
    }

    fn serve(&mut self, call: &Call) -> Result<Answer, Errno> {
        match call.number {
            libc::SYS_open | libc::SYS_creat | libc::SYS_openat | libc::SYS_openat2 => self.open(call),
            libc::SYS_stat | libc::SYS_lstat | libc::SYS_fstat | libc::SYS_newfstatat => self.stat(call),
            libc::SYS_statx => self.statx(call),
            libc::SYS_access | libc::SYS_faccessat | libc::SYS_faccessat2 => self.access(call),
            libc::SYS_readlink | libc::SYS_readlinkat => self.read_link(call),
            libc::SYS_statfs => self.file_system(call),
            libc::SYS_getcwd => self.working_directory(call),
            libc::SYS_chdir | libc::SYS_fchdir => self.change_directory(call),
            libc::SYS_chroot => self.change_root(call),
            libc::SYS_mkdir | libc::SYS_mkdirat => self.make_directory(call),
            libc::SYS_mknod | libc::SYS_mknodat => self.make_node(call),
            libc::SYS_symlink | libc::SYS_symlinkat => self.make_symlink(call),
            libc::SYS_link | libc::SYS_linkat => self.link(call),
            libc::SYS_unlink | libc::SYS_rmdir | libc::SYS_unlinkat => self.remove(call),
            libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => self.rename(call),
            libc::SYS_chmod | libc::SYS_fchmod | libc::SYS_fchmodat | libc::SYS_fchmodat2 => {
                self.change_mode(call)
            }
            libc::SYS_chown | libc::SYS_lchown | libc::SYS_fchown | libc::SYS_fchownat => {
                self.change_owner(call)
            }
            libc::SYS_truncate => self.truncate(call),
            libc::SYS_utime | libc::SYS_utimes | libc::SYS_futimesat | libc::SYS_utimensat => {
                self.change_times(call)
            }
            libc::SYS_setxattr | libc::SYS_lsetxattr | libc::SYS_fsetxattr => self.set_attribute(call),
            libc::SYS_getxattr | libc::SYS_lgetxattr | libc::SYS_fgetxattr => self.attribute(call),
            libc::SYS_listxattr | libc::SYS_llistxattr | libc::SYS_flistxattr => self.attributes(call),
            libc::SYS_removexattr | libc::SYS_lremovexattr | libc::SYS_fremovexattr => {
                self.remove_attribute(call)
            }
            libc::SYS_execve | libc::SYS_execveat => self.execute(call),
            libc::SYS_bind | libc::SYS_connect | libc::SYS_sendto => self.address(call),
            libc::SYS_sendmsg | libc::SYS_sendmmsg => self.message(call),
            libc::SYS_inotify_add_watch => self.watch(call),
            libc::SYS_getuid | libc::SYS_geteuid | libc::SYS_getgid | libc::SYS_getegid => self.id(call),
            libc::SYS_getresuid | libc::SYS_getresgid => self.three_ids(call),
            libc::SYS_setuid | libc::SYS_setreuid | libc::SYS_setresuid => self.set_user(call),
            libc::SYS_setgid | libc::SYS_setregid | libc::SYS_setresgid => self.set_group(call),
            libc::SYS_setfsuid | libc::SYS_setfsgid => self.set_file_system_id(call),
            libc::SYS_getgroups => self.groups(call),
            libc::SYS_setgroups => self.set_groups(call),
            libc::SYS_umask => self.umask(call),
            libc::SYS_capget => self.capabilities(call),
            libc::SYS_capset => self.set_capabilities(call),
            libc::SYS_prctl => self.process_option(call),
            libc::SYS_uname => self.machine(call),
            libc::SYS_prlimit64 | libc::SYS_getrlimit | libc::SYS_setrlimit => self.limit(call),
            number if table::SIGNALS.contains(&number) => self.signal(call),
            _ => Err(Errno::NOSYS),
        }
    }
}
