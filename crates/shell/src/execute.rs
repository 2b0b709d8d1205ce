//! The shell's grammar at work: lists, pipelines, compound commands.

use crate::ast::{AndOr, Case, Command, CommandKind, Connector, For, If, List, Pipeline};
use crate::halt::Halt;
use crate::io::Source;
use crate::outcome::Reason;
use crate::shell::Shell;

impl Shell<'_> {
    /// Runs commands one after the other; the status is the last one's.
    pub(crate) fn list(&mut self, list: &List) -> Result<u8, Halt> {
        let mut status = 0;
        for and_or in &list.0 {
            status = self.and_or(and_or)?;
        }
        Ok(status)
    }

    fn and_or(&mut self, and_or: &AndOr) -> Result<u8, Halt> {
        let mut status = self.pipeline(&and_or.first, and_or.rest.is_empty())?;
        for (index, (connector, pipeline)) in and_or.rest.iter().enumerate() {
            let runs = match connector {
                Connector::And => status == 0,
                Connector::Or => status != 0,
            };
            if runs {
                status = self.pipeline(pipeline, index + 1 == and_or.rest.len())?;
            }
        }
        Ok(status)
    }

    /// Runs a pipeline. `set -e` counts for it only in the last place of its list, and not behind `!`.
    fn pipeline(&mut self, pipeline: &Pipeline, is_last: bool) -> Result<u8, Halt> {
        let tested = !is_last || pipeline.negated;
        self.conditions += usize::from(tested);
        let status = match pipeline.commands.as_slice() {
            [command] => self.command(command),
            commands => self.stages(commands),
        };
        self.conditions -= usize::from(tested);
        let status = status?;
        // A failure inside of a group or a compound command was judged where it happened.
        let judged = match pipeline.commands.as_slice() {
            [command] => matches!(command.kind, CommandKind::Simple(_) | CommandKind::Subshell(_)),
            _ => true,
        };
        self.status = if pipeline.negated {
            u8::from(status == 0)
        } else {
            status
        };
        if self.flags.errexit && judged && self.status != 0 && !tested && self.conditions == 0 {
            return Err(Halt::Exit(self.status));
        }
        if pipeline.negated && self.status != 0 {
            self.note_failure(self.status);
        }
        Ok(self.status)
    }

    /// Runs the commands of a pipeline in subshells, each to its end: all that are interpreted read all there is.
    fn stages(&mut self, commands: &[Command]) -> Result<u8, Halt> {
        if self.flags.pipefail && self.flags.errexit && commands.len() > 2 {
            return Err(Halt::refused(
                "|",
                Reason::Syntax("so long a pipeline with pipefail is"),
            ));
        }
        let outer = self.streams;
        let mut statuses = Vec::new();
        let mut input = outer.input;
        for (index, command) in commands.iter().enumerate() {
            let is_last = index + 1 == commands.len();
            self.streams.input = input;
            self.streams.output = if is_last {
                outer.output
            } else {
                self.io.open_pipe()
            };
            let pipe = self.streams.output;
            let status = self.in_subshell(|shell| shell.command(command));
            self.streams = outer;
            statuses.push(status?);
            input = if is_last {
                Source::Empty
            } else {
                self.io.reading_end(pipe)
            };
        }
        let last = statuses.last().copied().unwrap_or(0);
        let failed = statuses.iter().rev().copied().find(|status| *status != 0);
        Ok(if self.flags.pipefail {
            failed.unwrap_or(0)
        } else {
            last
        })
    }

    /// Runs something whose variables, directory and exit are its own.
    pub(crate) fn in_subshell(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<u8, Halt>,
    ) -> Result<u8, Halt> {
        let saved = self.save();
        let conditions = self.conditions;
        let status = match body(self) {
            Err(Halt::Exit(status)) => Ok(status),
            other => other,
        };
        self.conditions = conditions;
        self.restore(saved);
        status
    }

    fn command(&mut self, command: &Command) -> Result<u8, Halt> {
        let (span, line) = (self.span.clone(), self.line);
        self.span = command.span.clone();
        self.line = command.line;
        let status = match &command.kind {
            CommandKind::Simple(simple) => self.simple(simple, &command.redirections),
            compound => self.compound(compound, command),
        };
        let status = status.map_err(|halt| halt.at(self.span.start));
        (self.span, self.line) = (span, line);
        status
    }

    fn compound(&mut self, compound: &CommandKind, command: &Command) -> Result<u8, Halt> {
        let outer = self.streams;
        let status = match self.redirect(&command.redirections)? {
            Err(status) => Ok(status),
            Ok(()) => match compound {
                CommandKind::Group(list) => self.list(list),
                CommandKind::Subshell(list) => self.in_subshell(|shell| shell.list(list)),
                CommandKind::If(condition) => self.condition(condition),
                CommandKind::For(for_loop) => self.for_loop(for_loop),
                CommandKind::Case(case) => self.case(case),
                CommandKind::Simple(simple) => self.simple(simple, &command.redirections),
            },
        };
        self.streams = outer;
        status
    }

    fn condition(&mut self, condition: &If) -> Result<u8, Halt> {
        for (condition, body) in &condition.branches {
            self.conditions += 1;
            let status = self.list(condition);
            self.conditions -= 1;
            if status? == 0 {
                return self.list(body);
            }
        }
        condition.otherwise.as_ref().map_or(Ok(0), |body| self.list(body))
    }

    fn for_loop(&mut self, for_loop: &For) -> Result<u8, Halt> {
        let mut status = 0;
        for value in self.expand_words(&for_loop.words)? {
            self.step()?;
            self.assign(&for_loop.variable, value)?;
            status = self.list(&for_loop.body)?;
        }
        Ok(status)
    }

    fn case(&mut self, case: &Case) -> Result<u8, Halt> {
        let subject = self.expand_string(&case.subject)?;
        for (patterns, body) in &case.arms {
            for pattern in patterns {
                if self.expand_pattern(pattern)?.matches(&subject) {
                    return self.list(body);
                }
            }
        }
        Ok(0)
    }
}
