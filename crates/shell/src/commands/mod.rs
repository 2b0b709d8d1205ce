//! The commands: one file each, one line each in the table.

mod cat;
mod chmod;
mod chown;
mod cp;
mod directory;
mod echo;
mod find;
mod install;
mod ln;
mod mkdir;
mod mv;
mod nothing;
mod path;
mod printf;
mod rm;
mod rmdir;
pub(crate) mod set;
mod test;
mod touch;
mod variables;
mod words;

use self::Grammar::{Free, Options};
use crate::errno::Errno;
use crate::halt::{Halt, Settle};
use crate::make::Make;
use crate::options::{Arguments, Opt};
use crate::outcome::Reason;
use crate::shell::Shell;

/// A command that is interpreted.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) grammar: Grammar,
    pub(crate) run: Run,
}

/// Where a command comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// POSIX's special builtins, and builtins that make no sense as programs.
    Special,
    /// Changes the shell itself, and is no program.
    Shell,
    /// Built into every shell, and a program, too.
    Builtin,
    /// A program.
    Program,
}

/// How a command takes its arguments.
#[derive(Clone, Copy)]
pub(crate) enum Grammar {
    /// Options and operands.
    Options(&'static [Opt]),
    /// In a way of its own.
    Free,
}

/// All of them.
const COMMANDS: &[Command] = &[
    special(":", Free, nothing::succeed),
    builtin("[", Free, test::bracket),
    program("basename", Options(&[]), path::basename),
    program("cat", Options(cat::CAT), cat::cat),
    of_shell("cd", Options(&[]), directory::cd),
    program("chgrp", Options(chown::OPTIONS), chown::chgrp),
    program("chmod", Options(chmod::OPTIONS), chmod::chmod),
    program("chown", Options(chown::OPTIONS), chown::chown),
    program("cp", Options(cp::OPTIONS), cp::cp),
    program("dirname", Options(&[]), path::dirname),
    builtin("echo", Free, echo::echo),
    special("exit", Options(&[]), nothing::exit),
    special("export", Options(&[]), variables::export),
    builtin("false", Free, nothing::fail),
    program("find", Free, find::find),
    program("install", Options(install::OPTIONS), install::install),
    program("ln", Options(ln::OPTIONS), ln::ln),
    program("mkdir", Options(mkdir::OPTIONS), mkdir::mkdir),
    program("mv", Options(mv::OPTIONS), mv::mv),
    builtin("printf", Free, printf::printf),
    builtin("pwd", Options(&[]), directory::pwd),
    program("rm", Options(rm::OPTIONS), rm::rm),
    program("rmdir", Options(rmdir::OPTIONS), rmdir::rmdir),
    special("set", Free, set::set),
    program("sleep", Options(&[]), nothing::sleep),
    program("sync", Options(&[]), nothing::sync),
    program("tee", Options(cat::TEE), cat::tee),
    builtin("test", Free, test::test),
    program("touch", Options(touch::OPTIONS), touch::touch),
    builtin("true", Free, nothing::succeed),
    of_shell("umask", Options(directory::UMASK), directory::umask),
    program("unlink", Options(&[]), rm::unlink),
    special("unset", Options(&[]), variables::unset),
];

/// What a command does; it gives its exit status.
type Run = fn(&mut Call<'_, '_>) -> Result<u8, Halt>;

const fn special(name: &'static str, grammar: Grammar, run: Run) -> Command {
    Command {
        name,
        kind: Kind::Special,
        grammar,
        run,
    }
}

const fn of_shell(name: &'static str, grammar: Grammar, run: Run) -> Command {
    Command {
        name,
        kind: Kind::Shell,
        grammar,
        run,
    }
}

const fn builtin(name: &'static str, grammar: Grammar, run: Run) -> Command {
    Command {
        name,
        kind: Kind::Builtin,
        grammar,
        run,
    }
}

const fn program(name: &'static str, grammar: Grammar, run: Run) -> Command {
    Command {
        name,
        kind: Kind::Program,
        grammar,
        run,
    }
}

/// Finds a command by its name, or by the last name of a path.
pub(crate) fn named(name: &str) -> Option<&'static Command> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let command = COMMANDS.iter().find(|command| command.name == last)?;
    let is_path = name.contains('/');
    (!is_path || matches!(command.kind, Kind::Builtin | Kind::Program)).then_some(command)
}

/// One command at work.
pub(crate) struct Call<'s, 'l> {
    pub(crate) shell: &'s mut Shell<'l>,
    pub(crate) name: &'static str,
    /// The name that it was called by, a path perhaps.
    called: &'s str,
    pub(crate) kind: Kind,
    pub(crate) make: Make,
    pub(crate) arguments: Arguments,
    /// What it will exit with, as far as it has got.
    pub(crate) status: u8,
}

impl<'s, 'l> Call<'s, 'l> {
    pub(crate) fn new(
        shell: &'s mut Shell<'l>,
        command: &Command,
        called: &'s str,
        make: Make,
        arguments: Arguments,
    ) -> Self {
        Self {
            shell,
            name: command.name,
            called,
            kind: command.kind,
            make,
            arguments,
            status: 0,
        }
    }

    pub(crate) fn has(&self, option: u8) -> bool {
        self.arguments.has(option)
    }

    pub(crate) fn is_busybox(&self) -> bool {
        self.make.is_busybox()
    }

    /// The operands, of which there must be at least `count`.
    pub(crate) fn operands(&self, count: usize) -> Result<Vec<Vec<u8>>, Halt> {
        match self.arguments.operands.len() >= count {
            true => Ok(self.arguments.operands.clone()),
            // What usage a command prints then depends on its version.
            false => Err(self.refuse(self.name)),
        }
    }

    /// A use of the command that is not interpreted.
    pub(crate) fn refuse(&self, token: impl AsRef<[u8]>) -> Halt {
        Halt::refused(token, Reason::Usage { command: self.name })
    }

    /// Says what went wrong, and goes on.
    pub(crate) fn fail(&mut self, message: impl AsRef<[u8]>) -> Result<(), Halt> {
        self.status = 1;
        let message = message.as_ref();
        if matches!(self.make, Make::Dash | Make::Bash) {
            return self
                .shell
                .complain(&[self.name.as_bytes(), b": ", message].concat());
        }
        // GNU's speak of themselves as they were called, busybox by the name alone; its shell does so for its builtins.
        let name = match (self.is_busybox(), self.kind) {
            (false, _) => self.called.as_bytes(),
            (true, Kind::Program) => self.name.as_bytes(),
            (true, _) => words::base_name(&self.shell.name),
        };
        let line = [name, b": ", message, b"\n"].concat();
        self.shell.print_error(&line)
    }

    /// Says that the kernel refused something: `lead 'path': reason`.
    pub(crate) fn fail_at(&mut self, lead: &str, path: &[u8], errno: Errno) -> Result<(), Halt> {
        let lead = if lead.is_empty() {
            String::new()
        } else {
            format!("{lead} ")
        };
        let reason = format!(": {errno}");
        self.fail([lead.as_bytes(), &words::quoted(path), reason.as_bytes()].concat())
    }

    /// A name in the quotes of the locale, which GNU's use in some messages.
    pub(crate) fn quoted_by_locale(&self, name: &[u8]) -> Vec<u8> {
        let set = |variable: &&str| {
            self.shell
                .variables
                .get(*variable)
                .filter(|value| !value.is_empty())
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
        let utf8 = locale.is_some_and(|locale| matches!(locale.as_slice(), b"C.UTF-8" | b"C.utf8"));
        words::quoted_by_locale(name, utf8 && !self.is_busybox())
    }

    /// Tells whether a path names a symbolic link.
    pub(crate) fn is_link(&self, path: &[u8]) -> Result<bool, Halt> {
        let found = self.shell.files.lstat(path).settle()?;
        Ok(found.is_ok_and(|found| found.node.symlink_target().is_some()))
    }

    /// Picks the words of the make at hand.
    pub(crate) fn says(&self, busybox: &'static str, gnu: &'static str) -> &'static str {
        if self.is_busybox() { busybox } else { gnu }
    }
}
