//! Starting programs: what the kernel would look for in the machine's files is looked for in the private root directory,
//! and the call is made again with what was found.

use std::os::fd::{AsFd, OwnedFd};

use nix::libc;
use rustix::fs::{FileType, Mode, OFlags, fstat};

use super::attach::{Again, List, make_again};
use super::elf::{Elf, Executable};
use super::errno::Errno;
use super::files::reopen;
use super::listener::Answer;
use super::memory::LONGEST_PATH;
use super::state::State;
use super::walk::{Last, host_path};
use super::{Approved, Call, Guard};

/// How often a script may name a script (fs/exec.c).
const MOST_SCRIPTS: usize = 5;

/// The longest list of arguments, in strings: each takes a pointer of the two megabytes that there may be (execve(2)).
const MOST_ARGUMENTS: u64 = 256 * 1024;

/// What is to be executed in place of what was named.
struct Program {
    /// Its path on the machine.
    path: Vec<u8>,
    /// Arguments that replace the first one.
    first: Option<Vec<Vec<u8>>>,
    /// Who it runs as, where its mode says so.
    state: Option<State>,
}

impl Guard {
    /// execve, execveat.
    pub(super) fn execute(&mut self, call: &Call) -> Result<Answer, Errno> {
        let (path_argument, list_argument) = match call.number {
            libc::SYS_execve => (0, 1),
            _ => (1, 2),
        };
        let (file, name) = self.named(call)?;
        let program = self.program(call, file, name)?;
        let mut again = Again::default();
        let path = [program.path.as_slice(), b"\0"].concat();
        if path.len() > LONGEST_PATH {
            return Err(Errno::NAMETOOLONG);
        }
        again.texts.push((path_argument, path));
        if let Some(first) = program.first {
            again.list = Some(List {
                argument: list_argument,
                first,
                others: arguments(call, call.arguments[list_argument])?
                    .into_iter()
                    .skip(1)
                    .collect(),
            });
        }
        if call.number == libc::SYS_execveat {
            again.numbers.push((4, 0));
        }
        self.make_again(call, &again, program.state)
    }

    /// Has the call made again, and lets it pass then.
    pub(super) fn make_again(
        &mut self,
        call: &Call,
        again: &Again,
        state: Option<State>,
    ) -> Result<Answer, Errno> {
        let arguments = make_again(&self.listener, &call.caught, again)?;
        self.approved.insert(
            call.thread,
            Approved {
                number: call.number,
                arguments,
                state,
            },
        );
        Ok(Answer::Answered)
    }

    /// The file that the call names, and its path as the command knows it.
    fn named(&self, call: &Call) -> Result<(OwnedFd, Vec<u8>), Errno> {
        if call.number == libc::SYS_execve {
            let path = call.memory().read_path(call.arguments[0])?;
            return Ok((self.file(call, libc::AT_FDCWD, &path, Last::Follow)?, path));
        }
        let [at, path, _, _, flags, _] = call.arguments;
        let file = self.file_at(call, at as i32, path, flags as u32)?;
        let path = call.memory().read_path(path)?;
        let at = at as i32;
        // As the kernel names them (execveat(2)).
        let name = match path.first() {
            Some(b'/') => path,
            _ if at == libc::AT_FDCWD => path,
            None => format!("/dev/fd/{at}").into_bytes(),
            Some(_) => [format!("/dev/fd/{at}/").as_bytes(), &path].concat(),
        };
        Ok((file, name))
    }

    /// Follows scripts to the program that reads them.
    fn program(&mut self, call: &Call, file: OwnedFd, name: Vec<u8>) -> Result<Program, Errno> {
        let (mut file, mut name) = (file, name);
        let mut first: Option<Vec<Vec<u8>>> = None;
        for _ in 0..MOST_SCRIPTS {
            match self.executable(call, &file)? {
                Executable::Script(program, argument) => {
                    // The script's own name takes the place of the first argument, whatever that was.
                    let mut arguments = vec![program.clone()];
                    arguments.extend(argument);
                    arguments.push(name);
                    arguments.extend(first.into_iter().flatten().skip(1));
                    first = Some(arguments);
                    file = self.file(call, libc::AT_FDCWD, &program, Last::Follow)?;
                    name = program;
                }
                Executable::Elf(elf) => {
                    let path = self.path_on_machine(call, &file, &elf)?;
                    let state = self.set_id(call, &file)?;
                    return Ok(Program { path, first, state });
                }
                Executable::Foreign => return Err(Errno::NOEXEC),
            }
        }
        Err(Errno::LOOP)
    }

    fn executable(&self, call: &Call, file: &OwnedFd) -> Result<Executable, Errno> {
        let stat = fstat(file)?;
        if FileType::from_raw_mode(self.records.of(&stat).mode) != FileType::RegularFile {
            return Err(Errno::ACCESS);
        }
        self.check(call, &stat, 1)?;
        let opened = reopen(file.as_fd(), OFlags::RDONLY, Mode::empty())?;
        Executable::read(&std::fs::File::from(opened))
    }

    /// Where the kernel finds a program: where it is, or a copy that names its loader's place.
    fn path_on_machine(&mut self, call: &Call, file: &OwnedFd, elf: &Elf) -> Result<Vec<u8>, Errno> {
        let path = host_path(file.as_fd())?;
        let Some((loader, _)) = &elf.loader else {
            return Ok(path);
        };
        let loader = self.file(call, libc::AT_FDCWD, loader, Last::Follow)?;
        let loader_path = host_path(loader.as_fd())?;
        let shown = self.shown_path(path);
        self.programs.copy(file, elf, (&loader, &loader_path), &shown)
    }

    /// Who a program runs as, if its mode says so.
    fn set_id(&self, call: &Call, file: &OwnedFd) -> Result<Option<State>, Errno> {
        let record = self.records.of(&fstat(file)?);
        let mut state = State::clone(&call.state);
        if record.mode & libc::S_ISUID != 0 {
            state.user.effective = record.uid;
        }
        if record.mode & (libc::S_ISGID | 0o010) == libc::S_ISGID | 0o010 {
            state.group.effective = record.gid;
        }
        for ids in [&mut state.user, &mut state.group] {
            ids.saved = ids.effective;
            ids.file_system = ids.effective;
        }
        let is_other = state.user != call.state.user || state.group != call.state.group;
        Ok(is_other.then_some(state))
    }
}

/// Where the strings of a list are.
fn arguments(call: &Call, list: u64) -> Result<Vec<u64>, Errno> {
    let mut addresses = Vec::new();
    if list == 0 {
        return Ok(addresses);
    }
    for index in 0..MOST_ARGUMENTS {
        match call.memory().read_number(list + 8 * index)? {
            0 => return Ok(addresses),
            address => addresses.push(address),
        }
    }
    Err(Errno::TOOBIG)
}
