//! Words to fields: tildes, parameters and substitutions, splitting, patterns, in this order.

use onlay_layer::Content;

use crate::ast::{List, Operation, Parameter, Part, Word};
use crate::braces;
use crate::field::{Field, Fields, bytes};
use crate::glob::glob;
use crate::halt::Halt;
use crate::make::Make;
use crate::outcome::Reason;
use crate::pattern::Pattern;
use crate::shell::Shell;

/// How many bytes one word may expand to: a line that doubles a variable in a loop must end.
const MAX_SIZE: usize = 1 << 20;

impl Shell<'_> {
    /// Expands the words of a command to its arguments.
    pub(crate) fn expand_words(&mut self, words: &[Word]) -> Result<Vec<Vec<u8>>, Halt> {
        let mut arguments = Vec::new();
        for word in words {
            let words = if self.make == Make::Bash {
                braces::expand(word)?
            } else {
                vec![word.clone()]
            };
            for word in words {
                for field in self.fields(&word)? {
                    arguments.extend(if self.flags.noglob {
                        vec![bytes(&field)]
                    } else {
                        glob(&self.files, &field)?
                    });
                }
            }
        }
        Ok(arguments)
    }

    /// Expands a word to one string, neither split nor matched: of an assignment, a redirection, a heredoc.
    pub(crate) fn expand_string(&mut self, word: &Word) -> Result<Vec<u8>, Halt> {
        Ok(bytes(&self.whole_field(word)?))
    }

    /// Expands the value of an assignment, in which a tilde counts behind every colon.
    pub(crate) fn expand_assigned(&mut self, word: &Word) -> Result<Vec<u8>, Halt> {
        let later_tilde =
            |part: &Part| matches!(part, Part::Literal(bytes) if bytes.windows(2).any(|pair| pair == b":~"));
        if word.parts.iter().any(later_tilde) {
            return Err(Halt::refused(":~", Reason::Syntax("a tilde behind a colon is")));
        }
        self.expand_string(word)
    }

    /// Expands a word to a pattern.
    pub(crate) fn expand_pattern(&mut self, word: &Word) -> Result<Pattern, Halt> {
        Pattern::new(&self.whole_field(word)?)
    }

    fn fields(&mut self, word: &Word) -> Result<Vec<Field>, Halt> {
        let mut fields = Fields::splitting();
        self.word(word, &mut fields)?;
        Ok(fields.finish())
    }

    fn whole_field(&mut self, word: &Word) -> Result<Field, Halt> {
        let mut fields = Fields::whole();
        self.word(word, &mut fields)?;
        Ok(fields.finish_whole())
    }

    fn word(&mut self, word: &Word, fields: &mut Fields) -> Result<(), Halt> {
        let Some((Part::Literal(first), rest)) = word.parts.split_first() else {
            return self.parts(&word.parts, Origin::Word, fields);
        };
        let Some(behind) = first.strip_prefix(b"~") else {
            return self.parts(&word.parts, Origin::Word, fields);
        };
        let is_own = behind.first().map_or(rest.is_empty(), |byte| *byte == b'/');
        let home = self
            .variables
            .get("HOME")
            .filter(|home| is_own && !home.is_empty())
            .cloned();
        let Some(home) = home else {
            return Err(Halt::refused(first, Reason::Syntax("this tilde is")));
        };
        fields.push(&home, true);
        fields.push(behind, false);
        self.parts(rest, Origin::Word, fields)
    }

    fn parts(&mut self, parts: &[Part], origin: Origin, fields: &mut Fields) -> Result<(), Halt> {
        for part in parts {
            match part {
                Part::Literal(literal) => match origin {
                    Origin::Word => fields.push(literal, false),
                    Origin::Expansion => fields.push_split(literal),
                    Origin::Quotes => fields.push(literal, true),
                },
                Part::Quoted(literal) => fields.push(literal, true),
                Part::DoubleQuoted(inner) => {
                    if !matches!(inner.as_slice(), [Part::Parameter(parameter)] if parameter.name == "@") {
                        fields.begin();
                    }
                    self.parts(inner, Origin::Quotes, fields)?;
                }
                Part::Parameter(parameter) => self.parameter(parameter, origin, fields)?,
                Part::Substitution(list) => {
                    let output = self.substitution(list)?;
                    emit(&output, origin, fields)?;
                }
            }
        }
        Ok(())
    }

    fn parameter(&mut self, parameter: &Parameter, origin: Origin, fields: &mut Fields) -> Result<(), Halt> {
        let name = parameter.name.as_str();
        let value = self.value(name)?;
        let is_set = |or_empty: bool| value.as_ref().is_some_and(|value| !or_empty || !value.is_empty());
        match &parameter.operation {
            Operation::Default { or_empty, word } if !is_set(*or_empty) => {
                return self.operand(word, origin, fields);
            }
            Operation::Alternative { or_empty, word } => {
                return if is_set(*or_empty) {
                    self.operand(word, origin, fields)
                } else {
                    Ok(())
                };
            }
            Operation::Assign { or_empty, word } if !is_set(*or_empty) => {
                let value = self.expand_string(word)?;
                self.assign(name, value.clone())?;
                return emit(&value, origin, fields);
            }
            Operation::Demand { or_empty, word } if !is_set(*or_empty) => {
                let message = self.expand_string(word)?;
                return Err(self.parameter_missing(name, &message, *or_empty));
            }
            _ => {}
        }
        let Some(value) = value else {
            return self.unset(name);
        };
        match &parameter.operation {
            Operation::Length => emit(self.length(&value)?.to_string().as_bytes(), origin, fields),
            Operation::RemovePrefix { longest, pattern } => {
                let pattern = self.expand_pattern(pattern)?;
                let lengths = 0..=value.len();
                let matches = |length: &usize| pattern.matches(&value[..*length]);
                let length = if *longest {
                    lengths.rev().find(matches)
                } else {
                    lengths.clone().find(matches)
                };
                emit(&value[length.unwrap_or(0)..], origin, fields)
            }
            Operation::RemoveSuffix { longest, pattern } => {
                let pattern = self.expand_pattern(pattern)?;
                let starts = 0..=value.len();
                let matches = |start: &usize| pattern.matches(&value[*start..]);
                let start = if *longest {
                    starts.clone().find(matches)
                } else {
                    starts.rev().find(matches)
                };
                emit(&value[..start.unwrap_or(value.len())], origin, fields)
            }
            _ => emit(&value, origin, fields),
        }
    }

    /// Runs the commands of `$(..)`, and gives what they print without the newlines at its end.
    fn substitution(&mut self, list: &List) -> Result<Vec<u8>, Halt> {
        if self.make.is_busybox() && self.flags.errexit && list.0.len() > 1 {
            // Here busybox goes on behind a failure, where others stop.
            return Err(Halt::refused(
                "$(",
                Reason::Syntax("several commands in a substitution under `set -e` are"),
            ));
        }
        let outer = self.streams;
        self.streams.output = self.io.open_pipe();
        let pipe = self.streams.output;
        let inherits = self.is_posix();
        let status = self.in_subshell(|shell| {
            shell.flags.errexit &= inherits;
            shell.list(list)
        });
        self.streams = outer;
        self.substituted = Some(status?);
        let end = self.io.reading_end(pipe);
        match self.io.read(end) {
            Content::Bytes(bytes) if !bytes.contains(&0) => {
                let length = bytes
                    .iter()
                    .rposition(|byte| *byte != b'\n')
                    .map_or(0, |last| last + 1);
                Ok(bytes[..length].to_vec())
            }
            _ => Err(Halt::refused("$(", Reason::Contents)),
        }
    }

    /// What stands inside of an expansion's braces, in place of the value.
    fn operand(&mut self, word: &Word, origin: Origin, fields: &mut Fields) -> Result<(), Halt> {
        if matches!(word.parts.first(), Some(Part::Literal(first)) if first.starts_with(b"~")) {
            return Err(Halt::refused("~", Reason::Syntax("this tilde is")));
        }
        let inner = if origin == Origin::Quotes {
            Origin::Quotes
        } else {
            Origin::Expansion
        };
        self.parts(&word.parts, inner, fields)
    }

    fn value(&self, name: &str) -> Result<Option<Vec<u8>>, Halt> {
        Ok(match name {
            "?" => Some(self.status.to_string().into_bytes()),
            "#" => Some(b"0".to_vec()),
            "0" => Some(self.name.clone()),
            // A RUN has no positional parameters.
            "@" | "*" => Some(Vec::new()),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => None,
            name => self.variable(name)?,
        })
    }

    /// Shells differ in whether a length counts bytes or characters.
    fn length(&self, value: &[u8]) -> Result<usize, Halt> {
        match value.is_ascii() {
            true => Ok(value.len()),
            false => Err(Halt::refused(value, Reason::Syntax("the length of this is"))),
        }
    }

    fn unset(&mut self, name: &str) -> Result<(), Halt> {
        if !self.flags.nounset {
            return Ok(());
        }
        let message = if self.make == Make::Bash {
            "unbound variable"
        } else {
            "parameter not set"
        };
        Err(self.expansion_failure(name, message.as_bytes()))
    }

    fn parameter_missing(&mut self, name: &str, message: &[u8], or_empty: bool) -> Halt {
        let default = match (self.make, or_empty) {
            (Make::Bash, true) => "parameter null or not set",
            (_, true) => "parameter not set or null",
            (_, false) => "parameter not set",
        };
        let message = if message.is_empty() {
            default.as_bytes()
        } else {
            message
        };
        self.expansion_failure(name, message)
    }

    /// An expansion that fails ends the shell.
    fn expansion_failure(&mut self, name: &str, message: &[u8]) -> Halt {
        let message = [name.as_bytes(), b": ", message].concat();
        if let Err(halt) = self.complain(&message) {
            return halt;
        }
        let status = if self.make == Make::Bash { 127 } else { 2 };
        self.note_failure(status);
        Halt::Exit(status)
    }
}

/// Where parts stand, which decides whether they are split and matched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Word,
    Expansion,
    Quotes,
}

fn emit(value: &[u8], origin: Origin, fields: &mut Fields) -> Result<(), Halt> {
    if value.len() > MAX_SIZE {
        return Err(Halt::refused(
            "$",
            Reason::Limit {
                limit: MAX_SIZE,
                of: "bytes from an expansion",
            },
        ));
    }
    match origin {
        Origin::Quotes => fields.push(value, true),
        Origin::Word | Origin::Expansion => fields.push_split(value),
    }
    Ok(())
}
