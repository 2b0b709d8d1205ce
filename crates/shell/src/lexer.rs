//! Text to tokens, words with their quotes and expansions included.
//!
//! A word may hold any text in its quotes and braces, so that tokens are read on demand, by the parser.

use std::ops::Range;
use std::sync::Arc;

use crate::ast::{Operation, Parameter, Part, Word};
use crate::outcome::{NotUnderstood, Reason};
use crate::parse;

/// How deeply braces, quotes and compound commands may be nested: no line that a person writes comes near, and the stack
/// holds it.
const MAX_DEPTH: usize = 64;

/// Operators, the longer ones first.
const OPERATORS: &[&str] = &[
    "<<<", "<<-", "&>>", "&&", "||", ";;", "<<", ">>", ">|", ">&", "<&", "<>", "&>", "|&", ";", "&", "|",
    "(", ")", "<", ">",
];

#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Range<usize>,
}

#[derive(Debug)]
pub(crate) enum TokenKind {
    Word(Word),
    /// Digits directly in front of a redirection.
    Number(Vec<u8>),
    Operator(&'static str),
    Newline,
    End,
}

/// A heredoc whose operator was read, and whose body follows the line.
pub(crate) struct PendingHeredoc {
    pub(crate) delimiter: Vec<u8>,
    pub(crate) quoted: bool,
    pub(crate) strips_tabs: bool,
    pub(crate) offset: usize,
}

/// What surrounds a piece of text, which decides where it ends and which bytes are special.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Surroundings {
    /// Nothing: it ends before a blank or an operator.
    None,
    /// `${x-..}`
    Braces,
    /// `".."`
    Quotes,
    /// `"${x-..}"`
    QuotedBraces,
    /// A heredoc's body, to the end of the text.
    Heredoc,
}

impl Surroundings {
    fn is_quoted(self) -> bool {
        !matches!(self, Self::None | Self::Braces)
    }

    fn ends_before(self, byte: u8) -> bool {
        match self {
            Self::None => matches!(
                byte,
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')'
            ),
            Self::Braces | Self::QuotedBraces => byte == b'}',
            Self::Quotes => byte == b'"',
            Self::Heredoc => false,
        }
    }

    /// Tells whether a backslash in front of `byte` is taken away.
    fn escapes(self, byte: u8) -> bool {
        match self {
            Self::None | Self::Braces => true,
            Self::Quotes => matches!(byte, b'$' | b'`' | b'"' | b'\\' | b'\n'),
            Self::QuotedBraces => matches!(byte, b'$' | b'`' | b'"' | b'\\' | b'\n' | b'}'),
            Self::Heredoc => matches!(byte, b'$' | b'`' | b'\\' | b'\n'),
        }
    }
}

#[derive(Default)]
pub(crate) struct Lexer<'t> {
    pub(crate) text: &'t [u8],
    position: usize,
    depth: usize,
    pub(crate) pending: Vec<PendingHeredoc>,
    pub(crate) heredocs: Vec<Word>,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text: text.as_bytes(),
            position: 0,
            depth: 0,
            pending: Vec::new(),
            heredocs: Vec::new(),
        }
    }

    /// Reads the next token; a newline brings the heredocs of its line with it.
    pub(crate) fn token(&mut self) -> Result<Token, NotUnderstood> {
        self.skip_blanks();
        let start = self.position;
        let kind = match self.byte() {
            None => {
                self.heredoc_bodies()?;
                TokenKind::End
            }
            Some(b'\n') => {
                self.position += 1;
                self.heredoc_bodies()?;
                return Ok(Token {
                    kind: TokenKind::Newline,
                    span: start..start + 1,
                });
            }
            Some(_) => match self.operator() {
                Some(operator) => TokenKind::Operator(operator),
                None => self.word_or_number(start)?,
            },
        };
        Ok(Token {
            kind,
            span: start..self.position,
        })
    }

    /// Goes one level deeper into nested text.
    pub(crate) fn enter(&mut self) -> Result<(), NotUnderstood> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let reason = Reason::Limit {
                limit: MAX_DEPTH,
                of: "levels of nesting",
            };
            return Err(self.refuse(self.position, reason));
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(crate) fn refuse(&self, offset: usize, reason: Reason) -> NotUnderstood {
        self.refuse_span(offset..(offset + 1).min(self.text.len()), reason)
    }

    pub(crate) fn refuse_span(&self, span: Range<usize>, reason: Reason) -> NotUnderstood {
        let token = self.text.get(span.clone()).unwrap_or_default();
        NotUnderstood {
            token: String::from_utf8_lossy(token).into_owned(),
            offset: span.start,
            reason,
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn take(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix.as_bytes());
        if found {
            self.position += prefix.len();
        }
        found
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.rest() {
                [b' ' | b'\t', ..] => self.position += 1,
                [b'\\', b'\n', ..] => self.position += 2,
                [b'#', rest @ ..] => {
                    let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                    self.position += 1 + length;
                }
                _ => return,
            }
        }
    }

    fn operator(&mut self) -> Option<&'static str> {
        OPERATORS.iter().copied().find(|operator| self.take(operator))
    }

    fn word_or_number(&mut self, start: usize) -> Result<TokenKind, NotUnderstood> {
        let digits = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits > 0 && matches!(self.rest().get(digits), Some(b'<' | b'>')) {
            self.position += digits;
            return Ok(TokenKind::Number(self.text[start..self.position].to_vec()));
        }
        let parts = self.parts(Surroundings::None)?;
        Ok(TokenKind::Word(Word { parts, offset: start }))
    }

    fn parts(&mut self, surroundings: Surroundings) -> Result<Vec<Part>, NotUnderstood> {
        self.enter()?;
        let mut parts = Parts::default();
        while let Some(byte) = self.byte() {
            if surroundings.ends_before(byte) {
                break;
            }
            self.part(byte, surroundings, &mut parts)?;
        }
        self.leave();
        Ok(parts.0)
    }

    fn part(&mut self, byte: u8, surroundings: Surroundings, parts: &mut Parts) -> Result<(), NotUnderstood> {
        let quoted = surroundings.is_quoted();
        match byte {
            b'\\' => self.backslash(surroundings, parts)?,
            b'\'' if !quoted => parts.0.push(Part::Quoted(self.single_quoted()?)),
            b'"' if !quoted => parts.0.push(self.double_quoted()?),
            b'"' if surroundings == Surroundings::QuotedBraces => {
                return Err(self.refuse(
                    self.position,
                    Reason::Syntax("quotes inside of a quoted expansion are"),
                ));
            }
            b'$' => self.dollar(surroundings, parts)?,
            b'`' => {
                return Err(self.refuse(
                    self.position,
                    Reason::Syntax("command substitution with backquotes is"),
                ));
            }
            _ => {
                parts.push(byte, quoted);
                self.position += 1;
            }
        }
        Ok(())
    }

    fn backslash(&mut self, surroundings: Surroundings, parts: &mut Parts) -> Result<(), NotUnderstood> {
        let next = self.text.get(self.position + 1).copied();
        match next {
            Some(b'\n') => {}
            Some(byte) if surroundings.escapes(byte) => parts.push(byte, true),
            Some(_) if surroundings.is_quoted() => {
                parts.push(b'\\', true);
                self.position += 1;
                return Ok(());
            }
            _ => return Err(self.refuse(self.position, Reason::Unclosed("what the backslash begins"))),
        }
        self.position += 2;
        Ok(())
    }

    fn single_quoted(&mut self) -> Result<Vec<u8>, NotUnderstood> {
        let start = self.position + 1;
        let length = self.text[start..].iter().position(|byte| *byte == b'\'');
        let Some(length) = length else {
            return Err(self.refuse(self.position, Reason::Unclosed("this quote")));
        };
        self.position = start + length + 1;
        Ok(self.text[start..start + length].to_vec())
    }

    fn double_quoted(&mut self) -> Result<Part, NotUnderstood> {
        let start = self.position;
        self.position += 1;
        let parts = self.parts(Surroundings::Quotes)?;
        if !self.take("\"") {
            return Err(self.refuse(start, Reason::Unclosed("this quote")));
        }
        Ok(Part::DoubleQuoted(parts))
    }

    fn dollar(&mut self, surroundings: Surroundings, parts: &mut Parts) -> Result<(), NotUnderstood> {
        let start = self.position;
        let refuse = |lexer: &Self, what| Err(lexer.refuse_span(start..start + 2, Reason::Syntax(what)));
        match self.text.get(start + 1) {
            Some(b'(') if self.text.get(start + 2) == Some(&b'(') => return refuse(self, "arithmetic is"),
            Some(b'(') if surroundings == Surroundings::Heredoc => {
                return refuse(self, "command substitution in a heredoc is");
            }
            Some(b'(') => {
                self.position += 2;
                parts
                    .0
                    .push(Part::Substitution(Arc::new(parse::substitution(self)?)));
            }
            Some(b'\'' | b'"') if !surroundings.is_quoted() => {
                return refuse(self, "quotes with a dollar are");
            }
            Some(b'$' | b'!' | b'-') => return refuse(self, "this parameter is"),
            Some(b'{') => {
                self.position += 2;
                parts.0.push(Part::Parameter(self.braced(start, surroundings)?));
            }
            Some(b'?' | b'#' | b'@' | b'*' | b'0'..=b'9') => {
                let name = char::from(self.text[start + 1]).to_string();
                self.position += 2;
                parts.0.push(Part::Parameter(Parameter {
                    name,
                    operation: Operation::Value,
                }));
            }
            _ => {
                self.position += 1;
                match self.name() {
                    Some(name) => {
                        parts.0.push(Part::Parameter(Parameter {
                            name,
                            operation: Operation::Value,
                        }));
                    }
                    None => parts.push(b'$', surroundings.is_quoted()),
                }
            }
        }
        Ok(())
    }

    fn name(&mut self) -> Option<String> {
        let rest = self.rest();
        if rest.first().is_none_or(u8::is_ascii_digit) {
            return None;
        }
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
        self.position += length;
        (length > 0).then(|| String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    /// Reads behind `${`.
    fn braced(&mut self, start: usize, surroundings: Surroundings) -> Result<Parameter, NotUnderstood> {
        let length = matches!(self.rest(), [b'#', byte, ..] if *byte != b'}') && self.take("#");
        let name = match self.byte() {
            Some(byte @ (b'?' | b'#' | b'@' | b'*')) => {
                self.position += 1;
                Some(char::from(byte).to_string())
            }
            Some(b'0'..=b'9') => {
                let digits = self
                    .rest()
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit())
                    .count();
                let name = String::from_utf8_lossy(&self.rest()[..digits]).into_owned();
                self.position += digits;
                Some(name)
            }
            _ => self.name(),
        };
        let end = self.position;
        let Some(name) = name else {
            return Err(self.refuse_span(start..end + 1, Reason::Syntax("this expansion is")));
        };
        let operation = if length {
            Operation::Length
        } else {
            self.operation(start, surroundings)?
        };
        if !self.take("}") {
            let reason = match self.byte() {
                Some(_) => Reason::Syntax("this expansion is"),
                None => Reason::Unclosed("this expansion"),
            };
            return Err(self.refuse_span(start..self.position, reason));
        }
        Ok(Parameter { name, operation })
    }

    fn operation(&mut self, start: usize, surroundings: Surroundings) -> Result<Operation, NotUnderstood> {
        if self.byte() == Some(b'}') {
            return Ok(Operation::Value);
        }
        let or_empty = self.take(":");
        let Some(operator) = self.byte() else {
            return Ok(Operation::Value);
        };
        self.position += 1;
        let longest = matches!(operator, b'#' | b'%') && !or_empty && self.byte() == Some(operator);
        self.position += usize::from(longest);
        // Quotes around the expansion do not quote a pattern inside of it.
        let quotes = surroundings.is_quoted() && !matches!(operator, b'#' | b'%');
        let inner = if quotes {
            Surroundings::QuotedBraces
        } else {
            Surroundings::Braces
        };
        let offset = self.position;
        let word = Word {
            parts: self.parts(inner)?,
            offset,
        };
        Ok(match operator {
            b'-' => Operation::Default { or_empty, word },
            b'=' => Operation::Assign { or_empty, word },
            b'+' => Operation::Alternative { or_empty, word },
            b'?' => Operation::Demand { or_empty, word },
            b'#' if !or_empty => Operation::RemovePrefix {
                longest,
                pattern: word,
            },
            b'%' if !or_empty => Operation::RemoveSuffix {
                longest,
                pattern: word,
            },
            _ => return Err(self.refuse_span(start..offset, Reason::Syntax("this expansion is"))),
        })
    }

    fn heredoc_bodies(&mut self) -> Result<(), NotUnderstood> {
        for heredoc in std::mem::take(&mut self.pending) {
            let offset = self.position;
            let body = self.heredoc_body(&heredoc)?;
            let parts = if heredoc.quoted {
                vec![Part::Quoted(body)]
            } else {
                let mut inner = Lexer {
                    text: &body,
                    position: 0,
                    depth: 0,
                    pending: vec![],
                    heredocs: vec![],
                };
                let parts = inner.parts(Surroundings::Heredoc);
                parts.map_err(|refusal| NotUnderstood {
                    offset: refusal.offset + offset,
                    ..refusal
                })?
            };
            self.heredocs.push(Word { parts, offset });
        }
        Ok(())
    }

    fn heredoc_body(&mut self, heredoc: &PendingHeredoc) -> Result<Vec<u8>, NotUnderstood> {
        let mut body = Vec::new();
        while self.position < self.text.len() {
            let rest = self.rest();
            let end = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(rest.len(), |end| end + 1);
            self.position += end;
            let tabs = if heredoc.strips_tabs {
                rest.iter().take_while(|byte| **byte == b'\t').count()
            } else {
                0
            };
            let line = &rest[tabs.min(end)..end];
            if line.strip_suffix(b"\n").unwrap_or(line) == heredoc.delimiter {
                return Ok(body);
            }
            body.extend_from_slice(line);
        }
        Err(self.refuse(heredoc.offset, Reason::Unclosed("this heredoc")))
    }
}

/// Parts in the making: bytes of a kind are collected in one part.
#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn push(&mut self, byte: u8, quoted: bool) {
        match (self.0.last_mut(), quoted) {
            (Some(Part::Quoted(bytes)), true) | (Some(Part::Literal(bytes)), false) => bytes.push(byte),
            (_, true) => self.0.push(Part::Quoted(vec![byte])),
            (_, false) => self.0.push(Part::Literal(vec![byte])),
        }
    }
}
