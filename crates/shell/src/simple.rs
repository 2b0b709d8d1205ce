//! Simple commands: assignments, redirections, and finding out what a name runs.

use crate::ast::{Action, Descriptor, Redirection, Simple, Word};
use crate::commands::{self, Call, Command, Grammar, Kind};
use crate::errno::Errno;
use crate::halt::{Halt, Settle};
use crate::io::{Sink, Source};
use crate::make::{Lookup, Make};
use crate::options::Arguments;
use crate::outcome::{FailureCause, Reason};
use crate::parse::assignment;
use crate::shell::{LastFailure, Shell};

impl Shell<'_> {
    /// Runs a simple command.
    pub(crate) fn simple(&mut self, simple: &Simple, redirections: &[Redirection]) -> Result<u8, Halt> {
        self.step()?;
        self.substituted = None;
        let outer = self.streams;
        let status = self.simple_inside(simple, redirections);
        self.streams = outer;
        status
    }

    fn simple_inside(&mut self, simple: &Simple, redirections: &[Redirection]) -> Result<u8, Halt> {
        let words = self.command_words(&simple.words)?;
        let mut assigned = Vec::new();
        for assignment in &simple.assignments {
            assigned.push((assignment.name.as_str(), self.expand_assigned(&assignment.value)?));
        }
        let shown = assigned
            .iter()
            .map(|(name, value)| [name.as_bytes(), b"=", value].concat());
        self.trace(&shown.chain(words.iter().cloned()).collect::<Vec<_>>())?;
        let Some((name, arguments)) = words.split_first() else {
            return self.assign_only(assigned, redirections);
        };
        let name = std::str::from_utf8(name).map_err(|_| Halt::refused(name, Reason::Command))?;
        let command = commands::named(name).ok_or_else(|| Halt::refused(name, Reason::Command))?;
        if let Err(status) = self.redirect(redirections)? {
            self.note_failure(status);
            // A special builtin takes the shell with it.
            let exits = command.kind == Kind::Special && self.is_posix();
            return if exits {
                Err(Halt::Exit(status))
            } else {
                Ok(status)
            };
        }
        // What stands in front of a command is for that command only, unless it is a special builtin.
        let lasts = assigned.is_empty() || command.kind == Kind::Special && self.is_posix();
        let before = (!lasts).then(|| self.variables.clone());
        for (name, value) in assigned {
            self.assign(name, value)?;
        }
        let status = match self.lookup(command, name)? {
            Lookup::Found(make) => self.call(command, name, make, arguments)?,
            Lookup::Missing => self.command_missing(name)?,
        };
        if let Some(before) = before {
            self.variables = before;
        }
        Ok(status)
    }

    /// Expands the words; `export a=$b` is an assignment, too.
    fn command_words(&mut self, words: &[Word]) -> Result<Vec<Vec<u8>>, Halt> {
        let exports = words.first().and_then(Word::as_plain) == Some("export");
        if !exports {
            return self.expand_words(words);
        }
        let mut expanded = Vec::new();
        for word in words {
            let fields = self.expand_words(std::slice::from_ref(word))?;
            match assignment(word) {
                Some(assignment) => {
                    let value = self.expand_assigned(&assignment.value)?;
                    let whole = [assignment.name.as_bytes(), b"=", &value].concat();
                    // Older shells split here, newer ones do not.
                    if fields != [whole.clone()] && self.make != Make::Bash {
                        return Err(Halt::refused(
                            assignment.name,
                            Reason::Usage { command: "export" },
                        ));
                    }
                    expanded.push(whole);
                }
                None => expanded.extend(fields),
            }
        }
        Ok(expanded)
    }

    fn assign_only(
        &mut self,
        assigned: Vec<(&str, Vec<u8>)>,
        redirections: &[Redirection],
    ) -> Result<u8, Halt> {
        for (name, value) in assigned {
            self.assign(name, value)?;
        }
        let substituted = self.substituted.unwrap_or(0);
        let status = self
            .redirect(redirections)?
            .map_or_else(|status| status, |()| substituted);
        self.note_failure(status);
        Ok(status)
    }

    /// Runs a command that was found under this name.
    pub(crate) fn call(
        &mut self,
        command: &'static Command,
        name: &str,
        make: Make,
        arguments: &[Vec<u8>],
    ) -> Result<u8, Halt> {
        let arguments = match command.grammar {
            Grammar::Free => Arguments {
                options: Vec::new(),
                operands: arguments.to_vec(),
            },
            Grammar::Options(options) => Arguments::parse(command.name, options, make, arguments)?,
        };
        let status = (command.run)(&mut Call::new(self, command, name, make, arguments))?;
        self.note_failure(status);
        Ok(status)
    }

    fn lookup(&self, command: &Command, name: &str) -> Result<Lookup, Halt> {
        if command.kind != Kind::Program && !name.contains('/') {
            return Ok(Lookup::Found(self.make));
        }
        let search = self.variables.get("PATH").map(Vec::as_slice);
        self.toolbox.program(&self.files, search, name)
    }

    fn command_missing(&mut self, name: &str) -> Result<u8, Halt> {
        let message = if self.make == Make::Bash {
            "command not found"
        } else {
            "not found"
        };
        self.complain(format!("{name}: {message}").as_bytes())?;
        self.last_failure = Some(LastFailure {
            span: self.span.clone(),
            cause: FailureCause::NoCommand,
        });
        Ok(127)
    }

    /// Carries redirections out, one after the other; the inner error is the status of the command.
    pub(crate) fn redirect(&mut self, redirections: &[Redirection]) -> Result<Result<(), u8>, Halt> {
        for redirection in redirections {
            if let Err(status) = self.redirect_one(redirection)? {
                return Ok(Err(status));
            }
        }
        Ok(Ok(()))
    }

    fn redirect_one(&mut self, redirection: &Redirection) -> Result<Result<(), u8>, Halt> {
        match &redirection.action {
            Action::Duplicate(source) => {
                let sink = match source {
                    Descriptor::Input => {
                        return Err(Halt::refused("&0", Reason::Syntax("this redirection is")));
                    }
                    Descriptor::Output => self.streams.output,
                    Descriptor::Error => self.streams.error,
                };
                self.set_sink(redirection.descriptor, sink)?;
            }
            Action::Heredoc(number) => {
                let Some(word) = self.script.heredocs.get(*number) else {
                    return Ok(Ok(()));
                };
                let content = self.expand_string(word)?;
                self.streams.input = self.io.open_source(onlay_layer::Content::Bytes(content.into()));
            }
            Action::Read(word) => {
                let path = self.expand_target(word)?;
                return self.open_for_reading(&path);
            }
            Action::Write(word) | Action::Append(word) => {
                let path = self.expand_target(word)?;
                let appends = matches!(redirection.action, Action::Append(_));
                return match self.open_for_writing(&path, appends)? {
                    Ok(sink) => self.set_sink(redirection.descriptor, sink).map(Ok),
                    Err(errno) => self.redirection_failure("create", &path, errno).map(Err),
                };
            }
        }
        Ok(Ok(()))
    }

    /// Where a redirection goes; a pattern there is matched by some shells and not by others.
    fn expand_target(&mut self, word: &Word) -> Result<Vec<u8>, Halt> {
        let path = self.expand_string(word)?;
        match self.expand_words(std::slice::from_ref(word))?.as_slice() {
            [only] if *only == path => Ok(path),
            _ => Err(Halt::refused(
                path,
                Reason::Syntax("such a target of a redirection is"),
            )),
        }
    }

    fn set_sink(&mut self, descriptor: Descriptor, sink: Sink) -> Result<(), Halt> {
        match descriptor {
            Descriptor::Input => return Err(Halt::refused("0>", Reason::Syntax("this redirection is"))),
            Descriptor::Output => self.streams.output = sink,
            Descriptor::Error => self.streams.error = sink,
        }
        Ok(())
    }

    /// Opens what a redirection or a command writes to.
    pub(crate) fn open_for_writing(
        &mut self,
        path: &[u8],
        appends: bool,
    ) -> Result<Result<Sink, Errno>, Halt> {
        match path {
            b"/dev/null" => return Ok(Ok(Sink::Nowhere)),
            b"/dev/stdout" if self.streams.output == Sink::Log => return Ok(Ok(Sink::Log)),
            b"/dev/stderr" if self.streams.error == Sink::Log => return Ok(Ok(Sink::Log)),
            _ => {}
        }
        let place = match self.files.open(path, 0o666).settle()? {
            Ok(place) => place,
            Err(errno) => return Ok(Err(errno)),
        };
        if !appends && let Err(errno) = self.files.write(&place, onlay_layer::Content::empty()).settle()? {
            return Ok(Err(errno));
        }
        Ok(Ok(self.io.open_file(place, appends)))
    }

    fn open_for_reading(&mut self, path: &[u8]) -> Result<Result<(), u8>, Halt> {
        if path == b"/dev/null" {
            self.streams.input = Source::Empty;
            return Ok(Ok(()));
        }
        match self.files.read(path).settle()? {
            Ok(content) => {
                self.streams.input = self.io.open_source(content);
                Ok(Ok(()))
            }
            Err(Errno::IsADirectory) => {
                Err(Halt::refused(path, Reason::Syntax("reading from a directory is")))
            }
            Err(errno) => self.redirection_failure("open", path, errno).map(Err),
        }
    }

    fn redirection_failure(&mut self, action: &str, path: &[u8], errno: Errno) -> Result<u8, Halt> {
        let missing = matches!(errno, Errno::NotFound | Errno::NotADirectory);
        let reason = match (self.make, missing, action) {
            (Make::Dash, true, "create") => "Directory nonexistent".to_owned(),
            (Make::Dash, true, _) => "No such file".to_owned(),
            (Make::Busybox, true, "create") => "nonexistent directory".to_owned(),
            (Make::Busybox, true, _) => "no such file".to_owned(),
            _ => errno.to_string(),
        };
        let lead = match self.make {
            Make::Dash => format!("cannot {action} "),
            Make::Busybox => format!("can't {action} "),
            Make::Bash | Make::Gnu => String::new(),
        };
        self.complain(&[lead.as_bytes(), path, b": ", reason.as_bytes()].concat())?;
        Ok(if self.make == Make::Dash { 2 } else { 1 })
    }
}
