//! Tokens to syntax tree, by recursive descent.

use crate::ast::{
    Action, AndOr, Assignment, Case, Command, CommandKind, Connector, Descriptor, For, If, List, Pipeline,
    Redirection, Script, Simple, Word,
};
use crate::lexer::{Lexer, PendingHeredoc, Token, TokenKind};
use crate::outcome::{NotUnderstood, Reason};

/// Words that begin a command which is not interpreted, where a command may begin.
const REFUSED_KEYWORDS: &[(&str, &str)] = &[
    ("while", "a loop of this kind is"),
    ("until", "a loop of this kind is"),
    ("select", "a loop of this kind is"),
    ("function", "a function is"),
    ("[[", "this kind of test is"),
    ("time", "this keyword is"),
    ("coproc", "this keyword is"),
];

/// Words that end or part a compound command, where a command may begin.
const CLOSING_KEYWORDS: &[&str] = &["}", "then", "elif", "else", "fi", "do", "done", "esac"];

/// Parses a whole script.
///
/// # Errors
/// The first token that is not understood, be it shell or not.
pub(crate) fn parse(text: &str) -> Result<Script, NotUnderstood> {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        peeked: None,
        end: 0,
    };
    let list = parser.list()?;
    let token = parser.next()?;
    if !matches!(token.kind, TokenKind::End) {
        return Err(parser.unexpected(&token));
    }
    Ok(Script {
        list,
        heredocs: parser.lexer.heredocs,
    })
}

/// Parses the commands of `$(..)`, from behind the opening parenthesis to behind the closing one.
///
/// # Errors
/// As [`parse`].
pub(crate) fn substitution(lexer: &mut Lexer<'_>) -> Result<List, NotUnderstood> {
    let mut parser = Parser {
        lexer: std::mem::take(lexer),
        peeked: None,
        end: 0,
    };
    let list = parser.list()?;
    let token = parser.next()?;
    if !matches!(token.kind, TokenKind::Operator(")")) {
        return Err(parser.unexpected(&token));
    }
    *lexer = parser.lexer;
    Ok(list)
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    peeked: Option<Token>,
    /// Where the last token taken ends.
    end: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> Result<&Token, NotUnderstood> {
        let token = match self.peeked.take() {
            Some(token) => token,
            None => self.lexer.token()?,
        };
        Ok(self.peeked.insert(token))
    }

    fn next(&mut self) -> Result<Token, NotUnderstood> {
        let token = match self.peeked.take() {
            Some(token) => token,
            None => self.lexer.token()?,
        };
        self.end = token.span.end;
        Ok(token)
    }

    fn unexpected(&self, token: &Token) -> NotUnderstood {
        self.lexer.refuse_span(token.span.clone(), Reason::Unexpected)
    }

    fn take_operator(&mut self, operator: &str) -> Result<bool, NotUnderstood> {
        let found = matches!(self.peek()?.kind, TokenKind::Operator(found) if found == operator);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    /// The plain text of the next token, if it is a word that could be a keyword.
    fn keyword(&mut self) -> Result<Option<String>, NotUnderstood> {
        Ok(match &self.peek()?.kind {
            TokenKind::Word(word) => word.as_plain().map(str::to_owned),
            _ => None,
        })
    }

    fn take_keyword(&mut self, keyword: &str) -> Result<bool, NotUnderstood> {
        let found = self.keyword()?.as_deref() == Some(keyword);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    fn expect_keyword(&mut self, keyword: &str) -> Result<(), NotUnderstood> {
        if self.take_keyword(keyword)? {
            return Ok(());
        }
        let token = self.next()?;
        Err(self.unexpected(&token))
    }

    fn skip_newlines(&mut self) -> Result<(), NotUnderstood> {
        while matches!(self.peek()?.kind, TokenKind::Newline) {
            self.next()?;
        }
        Ok(())
    }

    /// Reads commands up to the end, a closing parenthesis, `;;` or a closing keyword.
    fn list(&mut self) -> Result<List, NotUnderstood> {
        self.lexer.enter()?;
        let mut list = List::default();
        loop {
            self.skip_newlines()?;
            if self.at_end_of_list()? {
                break;
            }
            list.0.push(self.and_or()?);
            let token = self.peek()?;
            match token.kind {
                TokenKind::Operator(";") | TokenKind::Newline => {
                    self.next()?;
                }
                TokenKind::Operator("&") => {
                    let span = token.span.clone();
                    return Err(self
                        .lexer
                        .refuse_span(span, Reason::Syntax("a background job is")));
                }
                _ => {
                    if !self.at_end_of_list()? {
                        let token = self.next()?;
                        return Err(self.unexpected(&token));
                    }
                }
            }
        }
        self.lexer.leave();
        Ok(list)
    }

    fn at_end_of_list(&mut self) -> Result<bool, NotUnderstood> {
        Ok(match &self.peek()?.kind {
            TokenKind::End | TokenKind::Operator(")" | ";;") => true,
            TokenKind::Word(word) => word
                .as_plain()
                .is_some_and(|word| CLOSING_KEYWORDS.contains(&word)),
            _ => false,
        })
    }

    /// Reads a list that has at least one command.
    fn full_list(&mut self) -> Result<List, NotUnderstood> {
        let list = self.list()?;
        if list.0.is_empty() {
            let token = self.next()?;
            return Err(self.unexpected(&token));
        }
        Ok(list)
    }

    fn and_or(&mut self) -> Result<AndOr, NotUnderstood> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            let connector = match self.peek()?.kind {
                TokenKind::Operator("&&") => Connector::And,
                TokenKind::Operator("||") => Connector::Or,
                _ => return Ok(AndOr { first, rest }),
            };
            self.next()?;
            self.skip_newlines()?;
            rest.push((connector, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, NotUnderstood> {
        let negated = self.take_keyword("!")?;
        let mut commands = vec![self.command()?];
        while self.take_operator("|")? {
            self.skip_newlines()?;
            commands.push(self.command()?);
        }
        Ok(Pipeline { negated, commands })
    }

    fn command(&mut self) -> Result<Command, NotUnderstood> {
        let start = self.peek()?.span.start;
        let line = 1 + self.lexer.text[..start]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        let mut redirections = Vec::new();
        let kind = match self.compound()? {
            Some(kind) => {
                while let Some(redirection) = self.redirection()? {
                    redirections.push(redirection);
                }
                kind
            }
            None => CommandKind::Simple(self.simple(&mut redirections)?),
        };
        Ok(Command {
            kind,
            redirections,
            span: start..self.end,
            line,
        })
    }

    fn compound(&mut self) -> Result<Option<CommandKind>, NotUnderstood> {
        if self.take_operator("(")? {
            let list = self.full_list()?;
            let token = self.next()?;
            return match token.kind {
                TokenKind::Operator(")") => Ok(Some(CommandKind::Subshell(list))),
                _ => Err(self.unexpected(&token)),
            };
        }
        let Some(keyword) = self.keyword()? else {
            return Ok(None);
        };
        if let Some((_, what)) = REFUSED_KEYWORDS.iter().find(|(refused, _)| *refused == keyword) {
            let span = self.next()?.span;
            return Err(self.lexer.refuse_span(span, Reason::Syntax(what)));
        }
        Ok(Some(match keyword.as_str() {
            "{" => self.group()?,
            "if" => self.condition()?,
            "for" => self.for_loop()?,
            "case" => self.case()?,
            closing if CLOSING_KEYWORDS.contains(&closing) => {
                let token = self.next()?;
                return Err(self.unexpected(&token));
            }
            _ => return Ok(None),
        }))
    }

    fn group(&mut self) -> Result<CommandKind, NotUnderstood> {
        self.next()?;
        let list = self.full_list()?;
        self.expect_keyword("}")?;
        Ok(CommandKind::Group(list))
    }

    fn condition(&mut self) -> Result<CommandKind, NotUnderstood> {
        let mut branches = Vec::new();
        while branches.is_empty() && self.take_keyword("if")? || self.take_keyword("elif")? {
            let condition = self.full_list()?;
            self.expect_keyword("then")?;
            branches.push((condition, self.full_list()?));
        }
        let otherwise = if self.take_keyword("else")? {
            Some(self.full_list()?)
        } else {
            None
        };
        self.expect_keyword("fi")?;
        Ok(CommandKind::If(If { branches, otherwise }))
    }

    fn for_loop(&mut self) -> Result<CommandKind, NotUnderstood> {
        self.next()?;
        let token = self.next()?;
        let variable = match &token.kind {
            TokenKind::Word(word) => word
                .as_plain()
                .filter(|name| is_name(name.as_bytes()))
                .map(str::to_owned),
            _ => None,
        };
        let Some(variable) = variable else {
            return Err(self.unexpected(&token));
        };
        self.skip_newlines()?;
        // Without `in` it goes over the positional parameters, and a RUN has none.
        let mut words = Vec::new();
        if self.take_keyword("in")? {
            while let TokenKind::Word(_) = self.peek()?.kind {
                words.push(self.word()?);
            }
        }
        self.take_operator(";")?;
        self.skip_newlines()?;
        self.expect_keyword("do")?;
        let body = self.full_list()?;
        self.expect_keyword("done")?;
        Ok(CommandKind::For(For {
            variable,
            words,
            body,
        }))
    }

    fn case(&mut self) -> Result<CommandKind, NotUnderstood> {
        self.next()?;
        let subject = self.word()?;
        self.skip_newlines()?;
        self.expect_keyword("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.take_keyword("esac")? {
                return Ok(CommandKind::Case(Case { subject, arms }));
            }
            arms.push(self.arm()?);
        }
    }

    fn arm(&mut self) -> Result<(Vec<Word>, List), NotUnderstood> {
        self.take_operator("(")?;
        let mut patterns = vec![self.word()?];
        while self.take_operator("|")? {
            patterns.push(self.word()?);
        }
        if !self.take_operator(")")? {
            let token = self.next()?;
            return Err(self.unexpected(&token));
        }
        let list = self.list()?;
        if !self.take_operator(";;")? && self.keyword()?.as_deref() != Some("esac") {
            let token = self.next()?;
            return Err(self.unexpected(&token));
        }
        Ok((patterns, list))
    }

    fn simple(&mut self, redirections: &mut Vec<Redirection>) -> Result<Simple, NotUnderstood> {
        let mut simple = Simple::default();
        loop {
            if let Some(redirection) = self.redirection()? {
                redirections.push(redirection);
                continue;
            }
            let token = self.peek()?;
            match &token.kind {
                TokenKind::Word(_) => {
                    let word = self.word()?;
                    match assignment(&word) {
                        Some(assignment) if simple.words.is_empty() => simple.assignments.push(assignment),
                        _ => simple.words.push(word),
                    }
                }
                TokenKind::Operator("(") if !simple.words.is_empty() => {
                    let span = token.span.clone();
                    return Err(self.lexer.refuse_span(span, Reason::Syntax("a function is")));
                }
                _ if simple.words.is_empty() && simple.assignments.is_empty() && redirections.is_empty() => {
                    let token = self.next()?;
                    return Err(self.unexpected(&token));
                }
                _ => return Ok(simple),
            }
        }
    }

    fn word(&mut self) -> Result<Word, NotUnderstood> {
        let token = self.next()?;
        match token.kind {
            TokenKind::Word(word) => Ok(word),
            _ => Err(self.unexpected(&token)),
        }
    }

    fn redirection(&mut self) -> Result<Option<Redirection>, NotUnderstood> {
        let start = self.peek()?.span.start;
        let number = match &self.peek()?.kind {
            TokenKind::Number(digits) => Some(digits.clone()),
            TokenKind::Operator(operator) if operator.contains(['<', '>']) => None,
            _ => return Ok(None),
        };
        if number.is_some() {
            self.next()?;
        }
        let token = self.next()?;
        let TokenKind::Operator(operator) = token.kind else {
            return Err(self.unexpected(&token));
        };
        let descriptor = match number.as_deref() {
            None if operator.starts_with('<') => Descriptor::Input,
            None => Descriptor::Output,
            Some(digits) => self.descriptor(digits, start)?,
        };
        let action = match operator {
            "<" => Action::Read(self.word()?),
            ">" | ">|" => Action::Write(self.word()?),
            ">>" => Action::Append(self.word()?),
            ">&" => self.duplicate()?,
            "<<" | "<<-" => self.heredoc(operator == "<<-")?,
            _ => {
                return Err(self
                    .lexer
                    .refuse_span(token.span, Reason::Syntax("this redirection is")));
            }
        };
        Ok(Some(Redirection { descriptor, action }))
    }

    fn descriptor(&self, digits: &[u8], offset: usize) -> Result<Descriptor, NotUnderstood> {
        match digits {
            b"0" => Ok(Descriptor::Input),
            b"1" => Ok(Descriptor::Output),
            b"2" => Ok(Descriptor::Error),
            _ => {
                let span = offset..offset + digits.len();
                Err(self
                    .lexer
                    .refuse_span(span, Reason::Syntax("a descriptor beyond 2 is")))
            }
        }
    }

    fn duplicate(&mut self) -> Result<Action, NotUnderstood> {
        let word = self.word()?;
        match word.as_plain() {
            Some("1") => Ok(Action::Duplicate(Descriptor::Output)),
            Some("2") => Ok(Action::Duplicate(Descriptor::Error)),
            _ => Err(self
                .lexer
                .refuse_span(word.offset..self.end, Reason::Syntax("this redirection is"))),
        }
    }

    fn heredoc(&mut self, strips_tabs: bool) -> Result<Action, NotUnderstood> {
        let word = self.word()?;
        let Some(delimiter) = word.as_constant() else {
            return Err(self
                .lexer
                .refuse_span(word.offset..self.end, Reason::Syntax("such a delimiter is")));
        };
        let quoted = word.as_plain().is_none();
        let number = self.lexer.heredocs.len() + self.lexer.pending.len();
        self.lexer.pending.push(PendingHeredoc {
            delimiter,
            quoted,
            strips_tabs,
            offset: word.offset,
        });
        Ok(Action::Heredoc(number))
    }
}

/// Takes `name=value` apart.
pub(crate) fn assignment(word: &Word) -> Option<Assignment> {
    use crate::ast::Part;
    let (Part::Literal(first), rest) = word.parts.split_first()? else {
        return None;
    };
    let equals = first.iter().position(|byte| *byte == b'=')?;
    let name = &first[..equals];
    if !is_name(name) {
        return None;
    }
    let value = Some(first[equals + 1..].to_vec())
        .filter(|value| !value.is_empty())
        .map(Part::Literal);
    let parts = value.into_iter().chain(rest.iter().cloned()).collect();
    let name = String::from_utf8_lossy(name).into_owned();
    Some(Assignment {
        name,
        value: Word {
            parts,
            offset: word.offset + equals + 1,
        },
    })
}

/// Tells whether these bytes can name a variable.
pub(crate) fn is_name(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|byte| !byte.is_ascii_digit())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}
