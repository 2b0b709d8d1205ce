use std::collections::BTreeMap;
use std::ops::Range;

use onlay_layer::ImagePath;

use crate::ast::Script;
use crate::files::Files;
use crate::halt::Halt;
use crate::io::{Io, Sink, Streams};
use crate::make::{Make, Toolbox};
use crate::outcome::{FailureCause, Reason};

/// Variables that change how a shell or its commands work, beyond what is interpreted.
const REFUSED_VARIABLES: &[&str] = &[
    "IFS",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "GLOBIGNORE",
    "POSIXLY_CORRECT",
];

/// Variables that some shell sets to something, or computes whenever they are read.
const SHELL_VARIABLES: &[&str] = &[
    "COLUMNS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "HOSTNAME",
    "HOSTTYPE",
    "IFS",
    "LINENO",
    "LINES",
    "MACHTYPE",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "OSTYPE",
    "PIPESTATUS",
    "PPID",
    "PS1",
    "PS2",
    "PS4",
    "RANDOM",
    "REPLY",
    "SECONDS",
    "SHELL",
    "SHLVL",
    "SRANDOM",
    "TERM",
    "UID",
    "_",
];

/// How many simple commands a line may run: loops in loops must end.
const MAX_STEPS: usize = 20_000;

/// A shell at work.
pub(crate) struct Shell<'l> {
    pub(crate) script: &'l Script,
    pub(crate) text: &'l str,
    pub(crate) files: Files,
    pub(crate) io: Io,
    pub(crate) streams: Streams,
    pub(crate) toolbox: Toolbox,
    pub(crate) make: Make,
    /// `$0`, in front of what it says.
    pub(crate) name: Vec<u8>,
    pub(crate) variables: BTreeMap<String, Vec<u8>>,
    pub(crate) flags: Flags,
    /// `$?`
    pub(crate) status: u8,
    /// Where the command at work stands.
    pub(crate) span: Range<usize>,
    pub(crate) line: usize,
    /// How many conditions surround it: `set -e` does not count there.
    pub(crate) conditions: usize,
    /// The simple command that failed last.
    pub(crate) last_failure: Option<LastFailure>,
    /// The status of the last command substitution of the command at work.
    pub(crate) substituted: Option<u8>,
    steps: usize,
}

/// What `set` sets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) errexit: bool,
    pub(crate) nounset: bool,
    pub(crate) xtrace: bool,
    pub(crate) noglob: bool,
    pub(crate) pipefail: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct LastFailure {
    pub(crate) span: Range<usize>,
    pub(crate) cause: FailureCause,
}

/// What a subshell changes for itself only.
pub(crate) struct Saved {
    variables: BTreeMap<String, Vec<u8>>,
    flags: Flags,
    directory: ImagePath,
    umask: u32,
}

impl<'l> Shell<'l> {
    pub(crate) fn new(script: &'l Script, text: &'l str, files: Files, toolbox: Toolbox, make: Make) -> Self {
        Self {
            script,
            text,
            files,
            io: Io::default(),
            streams: Streams::OF_A_RUN,
            toolbox,
            make,
            name: b"/bin/sh".to_vec(),
            variables: BTreeMap::new(),
            flags: Flags::default(),
            status: 0,
            span: 0..0,
            line: 1,
            conditions: 0,
            last_failure: None,
            substituted: None,
            steps: 0,
        }
    }

    /// Tells whether POSIX's rules hold where bash has softer ones of its own.
    pub(crate) fn is_posix(&self) -> bool {
        self.make != Make::Bash || self.name.ends_with(b"/sh")
    }

    /// Sets a variable.
    pub(crate) fn assign(&mut self, name: &str, value: Vec<u8>) -> Result<(), Halt> {
        if REFUSED_VARIABLES.contains(&name) || name.starts_with("BASH_FUNC_") {
            return Err(Halt::refused(name, Reason::Variable));
        }
        self.variables.insert(name.to_owned(), value);
        Ok(())
    }

    /// The value of a variable, if it has one.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<Vec<u8>>, Halt> {
        let value = self.variables.get(name).cloned();
        let computed = value.is_none() || matches!(name, "RANDOM" | "SECONDS" | "LINENO" | "_");
        match computed && (SHELL_VARIABLES.contains(&name) || name.starts_with("BASH")) {
            true => Err(Halt::refused(name, Reason::Variable)),
            false => Ok(value),
        }
    }

    /// Writes to standard output.
    pub(crate) fn print(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        self.io.write(&mut self.files, self.streams.output, bytes)
    }

    /// Writes to standard error.
    pub(crate) fn print_error(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        self.io.write(&mut self.files, self.streams.error, bytes)
    }

    /// Says on standard error what went wrong, in the shell's own name.
    pub(crate) fn complain(&mut self, message: &[u8]) -> Result<(), Halt> {
        let place = match self.make {
            Make::Dash => format!("{}: ", self.line),
            Make::Bash => format!("line {}: ", self.line),
            Make::Busybox | Make::Gnu => String::new(),
        };
        let message = [&self.name, b": ".as_slice(), place.as_bytes(), message, b"\n"].concat();
        self.print_error(&message)
    }

    /// Keeps in mind which command failed.
    pub(crate) fn note_failure(&mut self, status: u8) {
        if status != 0 {
            self.last_failure = Some(LastFailure {
                span: self.span.clone(),
                cause: FailureCause::Command,
            });
        }
    }

    /// Counts one more command.
    pub(crate) fn step(&mut self) -> Result<(), Halt> {
        self.steps += 1;
        match self.steps > MAX_STEPS {
            true => Err(Halt::refused(
                self.source(),
                Reason::Limit {
                    limit: MAX_STEPS,
                    of: "commands",
                },
            )),
            false => Ok(()),
        }
    }

    /// The text of the command at work.
    pub(crate) fn source(&self) -> &'l str {
        self.text.get(self.span.clone()).unwrap_or_default()
    }

    /// Shows a command before it runs, if `set -x` asks for that.
    pub(crate) fn trace(&mut self, words: &[Vec<u8>]) -> Result<(), Halt> {
        if !self.flags.xtrace {
            return Ok(());
        }
        // Into a file or a pipe the trace would have to be right to the byte, and shells quote in their own ways.
        if !matches!(self.streams.error, Sink::Log | Sink::Nowhere) {
            return Err(Halt::refused("-x", Reason::Syntax("a trace into a file is")));
        }
        let quotes = self.make != Make::Dash;
        let words: Vec<Vec<u8>> = words
            .iter()
            .map(|word| if quotes { quoted(word) } else { word.clone() })
            .collect();
        let line = [b"+ ".as_slice(), &words.join(&b' '), b"\n"].concat();
        self.print_error(&line)
    }

    pub(crate) fn save(&self) -> Saved {
        Saved {
            variables: self.variables.clone(),
            flags: self.flags,
            directory: self.files.directory.clone(),
            umask: self.files.umask,
        }
    }

    pub(crate) fn restore(&mut self, saved: Saved) {
        self.variables = saved.variables;
        self.flags = saved.flags;
        self.files.directory = saved.directory;
        self.files.umask = saved.umask;
    }
}

/// Puts quotes around a word that a shell would take apart.
fn quoted(word: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(byte);
    if !word.is_empty() && word.iter().all(plain) {
        return word.to_vec();
    }
    let mut quoted = b"'".to_vec();
    for byte in word {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}
