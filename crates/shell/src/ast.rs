//! The grammar of POSIX sh, as far as it is interpreted.
//!
//! What a type here cannot say, the parser refuses: background jobs, functions, `while`, arithmetic, backquotes.

use std::ops::Range;
use std::sync::Arc;

/// A whole script.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) list: List,
    /// The bodies of its heredocs, which stand behind the line that names them.
    pub(crate) heredocs: Vec<Word>,
}

/// Commands one after the other: `a && b; c`.
#[derive(Debug, Default)]
pub(crate) struct List(pub(crate) Vec<AndOr>);

/// Pipelines that depend on each other's status.
#[derive(Debug)]
pub(crate) struct AndOr {
    pub(crate) first: Pipeline,
    pub(crate) rest: Vec<(Connector, Pipeline)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connector {
    And,
    Or,
}

#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) negated: bool,
    pub(crate) commands: Vec<Command>,
}

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) kind: CommandKind,
    pub(crate) redirections: Vec<Redirection>,
    /// Where it stands in the text.
    pub(crate) span: Range<usize>,
    /// The line it starts in, counted from one.
    pub(crate) line: usize,
}

#[derive(Debug)]
pub(crate) enum CommandKind {
    Simple(Simple),
    Group(List),
    Subshell(List),
    If(If),
    For(For),
    Case(Case),
}

#[derive(Debug, Default)]
pub(crate) struct Simple {
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) words: Vec<Word>,
}

#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: Word,
}

/// `if` and every `elif` with what follows it, then `else`.
#[derive(Debug)]
pub(crate) struct If {
    pub(crate) branches: Vec<(List, List)>,
    pub(crate) otherwise: Option<List>,
}

#[derive(Debug)]
pub(crate) struct For {
    pub(crate) variable: String,
    pub(crate) words: Vec<Word>,
    pub(crate) body: List,
}

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) subject: Word,
    pub(crate) arms: Vec<(Vec<Word>, List)>,
}

#[derive(Debug)]
pub(crate) struct Redirection {
    pub(crate) descriptor: Descriptor,
    pub(crate) action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Descriptor {
    Input,
    Output,
    Error,
}

#[derive(Debug)]
pub(crate) enum Action {
    /// `<`
    Read(Word),
    /// `>`, `>|`
    Write(Word),
    /// `>>`
    Append(Word),
    /// `2>&1`
    Duplicate(Descriptor),
    /// `<<`: the body's number in the script.
    Heredoc(usize),
}

/// A word before expansion.
#[derive(Clone, Debug, Default)]
pub(crate) struct Word {
    pub(crate) parts: Vec<Part>,
    pub(crate) offset: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Bytes without quotes: patterns, tildes and braces in them count.
    Literal(Vec<u8>),
    /// Bytes in quotes, or behind a backslash.
    Quoted(Vec<u8>),
    /// `".."`: none of what is inside is split or matched.
    DoubleQuoted(Vec<Part>),
    Parameter(Parameter),
    /// `$(..)`: what these commands print.
    Substitution(Arc<List>),
}

#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) operation: Operation,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// `$x`
    Value,
    /// `${#x}`
    Length,
    /// `${x-w}`, with a colon `${x:-w}`
    Default { or_empty: bool, word: Word },
    /// `${x=w}`
    Assign { or_empty: bool, word: Word },
    /// `${x+w}`
    Alternative { or_empty: bool, word: Word },
    /// `${x?w}`
    Demand { or_empty: bool, word: Word },
    /// `${x#w}`, doubled for the longest
    RemovePrefix { longest: bool, pattern: Word },
    /// `${x%w}`, doubled for the longest
    RemoveSuffix { longest: bool, pattern: Word },
}

impl Word {
    /// The word, if no expansion has a say in it.
    pub(crate) fn as_constant(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        constant(&self.parts, &mut bytes).then_some(bytes)
    }

    /// The word, if it is plain text without any quotes: what keywords and names must be.
    pub(crate) fn as_plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Literal(bytes)] => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

fn constant(parts: &[Part], bytes: &mut Vec<u8>) -> bool {
    parts.iter().all(|part| match part {
        Part::Literal(literal) | Part::Quoted(literal) => {
            bytes.extend_from_slice(literal);
            true
        }
        Part::DoubleQuoted(parts) => constant(parts, bytes),
        Part::Parameter(_) | Part::Substitution(_) => false,
    })
}
