use std::borrow::Cow;

use super::{ExpandError, Quote, Scope, pattern};
use crate::directive::Escape;

/// Keeps hostile input from exhausting the stack; people nest two or three.
pub(super) const MAX_DEPTH: usize = 100;

/// What happens to quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// They group and are removed.
    Removed,
    /// They group and stay.
    Kept,
    /// They are characters like others.
    Ordinary,
}

/// How a text is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexing {
    pub(super) escape: char,
    pub(super) quotes: Quotes,
    /// Escapes stay in the text.
    pub(super) raw_escapes: bool,
    /// Unset variables stay as they are written, instead of vanishing.
    pub(super) keep_unset: bool,
}

impl Lexing {
    /// As words of most instructions are read.
    pub(super) fn word(escape: Escape) -> Self {
        Self {
            escape: escape.character(),
            quotes: Quotes::Removed,
            raw_escapes: false,
            keep_unset: false,
        }
    }
}

/// Reads a text from its start to its end.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    scope: &'a dyn Scope,
    lexing: Lexing,
    depth: usize,
    /// How many substitutions with a word of their own were read.
    substitutions: usize,
    /// How long the result may be, in bytes.
    most: usize,
}

/// A word may expand to a megabyte, or to four times its own length: a few lines that double a variable would otherwise
/// fill all memory.
const MAX_EXPANDED: usize = 1024 * 1024;

/// Refuses a result before it gets too long.
pub(super) fn expect_length(length: usize, most: usize) -> Result<(), ExpandError> {
    if length > most {
        Err(ExpandError::TooLong { most })
    } else {
        Ok(())
    }
}

/// The text so far, and the same cut into words.
#[derive(Default)]
pub(super) struct Output {
    pub(super) text: String,
    words: Vec<String>,
    word: String,
    in_word: bool,
}

/// A part of a text, expanded.
enum Piece<'a> {
    /// White space in it separates words.
    Splitting(Cow<'a, str>),
    /// It belongs to one word, white space and all.
    Whole(Cow<'a, str>),
}

impl Output {
    fn push(&mut self, piece: Piece<'_>) {
        let (Piece::Splitting(text) | Piece::Whole(text)) = &piece;
        self.text.push_str(text);
        match &piece {
            Piece::Splitting(text) => text.chars().for_each(|character| self.split(character)),
            Piece::Whole(text) => {
                self.word.push_str(text);
                self.in_word = true;
            }
        }
    }

    fn split(&mut self, character: char) {
        if !character.is_whitespace() {
            self.word.push(character);
            self.in_word = true;
        } else if self.in_word && !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
            self.in_word = false;
        }
    }

    pub(super) fn into_words(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, scope: &'a dyn Scope, lexing: Lexing) -> Self {
        Self {
            rest: text,
            scope,
            lexing,
            depth: 0,
            substitutions: 0,
            most: MAX_EXPANDED.max(4 * text.len()),
        }
    }

    pub(super) fn run(mut self) -> Result<Output, ExpandError> {
        self.until(None)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next();
        self.rest = characters.as_str();
        character
    }

    /// Reads up to the end, or past the stop character where there is one; its absence is an error.
    fn until(&mut self, stop: Option<char>) -> Result<Output, ExpandError> {
        let mut output = Output::default();
        while let Some(character) = self.peek() {
            if stop == Some(character) {
                self.next();
                return Ok(output);
            }
            let before = self.substitutions;
            let piece = self.piece(character)?;
            if self.substitutions != before {
                // BuildKit reads the inner word into the buffer of the outer one: what was there is gone.
                output.word.clear();
            }
            output.push(piece);
            expect_length(output.text.len(), self.most)?;
        }
        if stop.is_some() {
            Err(ExpandError::UnclosedBrace)
        } else {
            Ok(output)
        }
    }

    /// Reads what starts with the next character.
    fn piece(&mut self, character: char) -> Result<Piece<'a>, ExpandError> {
        let has_quotes = self.lexing.quotes != Quotes::Ordinary;
        Ok(match character {
            '$' => Piece::Splitting(self.dollar()?.into()),
            '<' => Piece::Whole(self.angle().into()),
            '\'' if has_quotes => Piece::Whole(self.single_quote()?.into()),
            '"' if has_quotes => Piece::Whole(self.double_quote()?.into()),
            escape if escape == self.lexing.escape => Piece::Whole(self.escaped().into()),
            ordinary => Piece::Splitting(self.take(ordinary.len_utf8()).into()),
        })
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// Reads the word inside a substitution.
    fn inner(&mut self, stop: char, raw_escapes: bool) -> Result<String, ExpandError> {
        if self.depth == MAX_DEPTH {
            return Err(ExpandError::TooDeep);
        }
        self.substitutions += 1;
        self.depth += 1;
        let outer = std::mem::replace(&mut self.lexing.raw_escapes, raw_escapes);
        let output = self.until(Some(stop));
        self.lexing.raw_escapes = outer;
        self.depth -= 1;
        output.map(|output| output.text)
    }

    /// An escape outside quotes: any next character loses its meaning; at the very end the escape is dropped.
    fn escaped(&mut self) -> &'a str {
        let rest = self.rest;
        let escape = self.lexing.escape.len_utf8();
        let escaped = rest[escape..].chars().next().map_or(0, char::len_utf8);
        self.rest = &rest[escape + escaped..];
        let start = if self.lexing.raw_escapes { 0 } else { escape };
        &rest[start..escape + escaped]
    }

    /// Keeps the blanks after `<<` in one word with it, so that `<< EOF` is one heredoc word.
    fn angle(&mut self) -> &'a str {
        let rest = self.rest;
        let length = match rest.strip_prefix("<<") {
            Some(after) => rest.len() - after.trim_start_matches(['\t', '\r', ' ']).len(),
            None => 1,
        };
        self.take(length)
    }

    fn single_quote(&mut self) -> Result<String, ExpandError> {
        let body = &self.rest[1..];
        let end = body.find('\'').ok_or(ExpandError::UnclosedQuote(Quote::Single))?;
        self.rest = &body[end + 1..];
        Ok(match self.lexing.quotes {
            Quotes::Kept => format!("'{}'", &body[..end]),
            Quotes::Removed | Quotes::Ordinary => body[..end].to_owned(),
        })
    }

    fn double_quote(&mut self) -> Result<String, ExpandError> {
        let mut result = String::new();
        let keep = self.lexing.quotes == Quotes::Kept;
        result.extend(self.next().filter(|_| keep));
        loop {
            match self.peek().ok_or(ExpandError::UnclosedQuote(Quote::Double))? {
                '"' => {
                    result.extend(self.next().filter(|_| keep));
                    return Ok(result);
                }
                '$' => result.push_str(&self.dollar()?),
                character => {
                    self.next();
                    if character == self.lexing.escape {
                        self.escaped_in_quotes(&mut result);
                    } else {
                        result.push(character);
                    }
                }
            }
        }
    }

    /// An escape in double quotes works on `"`, `$` and itself, and is an ordinary character elsewhere.
    fn escaped_in_quotes(&mut self, result: &mut String) {
        let escape = self.lexing.escape;
        if self.lexing.raw_escapes {
            result.push(escape);
        }
        match self.peek() {
            None => {}
            Some(next) if next == '"' || next == '$' || next == escape => {
                self.next();
                result.push(next);
            }
            Some(_) => result.push(escape),
        }
    }

    fn dollar(&mut self) -> Result<String, ExpandError> {
        self.next();
        if self.peek() == Some('{') {
            self.next();
            return self.braces();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok(match self.scope.variable(name) {
            Some(value) => value.into_owned(),
            None if self.lexing.keep_unset => format!("${name}"),
            None => String::new(),
        })
    }

    /// A variable name: letters, digits and `_`; or digits alone; or one of the shell's special parameters.
    fn name(&mut self) -> &'a str {
        let rest = self.rest;
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let length = match rest.chars().next() {
            Some(first) if first.is_numeric() => rest.find(|c: char| !c.is_numeric()).unwrap_or(rest.len()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => rest.find(|c: char| !is_name(c)).unwrap_or(rest.len()),
        };
        self.take(length)
    }

    /// What follows `${`.
    fn braces(&mut self) -> Result<String, ExpandError> {
        match self.peek() {
            None => return Err(ExpandError::UnclosedBrace),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next().ok_or(ExpandError::UnclosedBrace)? {
            '}' => Ok(match self.scope.variable(name) {
                Some(value) => value.into_owned(),
                None if self.lexing.keep_unset => format!("${{{name}}}"),
                None => String::new(),
            }),
            ':' => {
                let operator = self.next().ok_or(ExpandError::UnclosedBrace)?;
                self.conditional(name, operator, true)
            }
            operator @ ('-' | '+' | '?') => self.conditional(name, operator, false),
            operator @ ('#' | '%') => self.trim(name, operator),
            '/' => self.replace(name),
            other => Err(ExpandError::UnsupportedModifier(other.to_string())),
        }
    }

    /// `${name-word}`, `${name+word}`, `${name?word}`, each with `:` where an empty variable counts as unset.
    fn conditional(&mut self, name: &str, operator: char, colon: bool) -> Result<String, ExpandError> {
        let modifier = if colon {
            format!(":{operator}")
        } else {
            operator.to_string()
        };
        if matches!(operator, '#' | '%') {
            return Err(ExpandError::UnsupportedModifier(modifier));
        }
        let word = self.inner('}', false)?;
        let value = self.scope.variable(name);
        if self.lexing.keep_unset && value.is_none() {
            return Ok(format!("${{{name}{modifier}{word}}}"));
        }
        let usable = value.as_deref().filter(|value| !colon || !value.is_empty());
        match (operator, usable) {
            ('-', Some(value)) | ('?', Some(value)) => Ok(value.to_owned()),
            ('-', None) | ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            ('?', None) => Err(required(name, word, value.is_some())),
            _ => Err(ExpandError::UnsupportedModifier(modifier)),
        }
    }

    /// `${name#pattern}` and `${name%pattern}`; doubled, the longest match goes instead of the shortest.
    fn trim(&mut self, name: &str, operator: char) -> Result<String, ExpandError> {
        let word = self.inner('}', true)?;
        let Some(value) = self.scope.variable(name).or(self.unset()) else {
            return Ok(format!("${{{name}{operator}{word}}}"));
        };
        let (pattern, longest) = match word.strip_prefix(operator) {
            Some(pattern) => (pattern, true),
            None => (word.as_str(), false),
        };
        match operator {
            '%' => pattern::trim_end(&value, pattern, longest),
            _ => pattern::trim_start(&value, pattern, longest),
        }
    }

    /// `${name/pattern/replacement}`; with `//`, every match.
    fn replace(&mut self, name: &str) -> Result<String, ExpandError> {
        let every = self.peek() == Some('/');
        if every {
            self.next();
        }
        let pattern = self.inner('/', true).map_err(|error| match error {
            ExpandError::UnclosedBrace => ExpandError::NoReplacement(name.to_owned()),
            other => other,
        })?;
        let replacement = self.inner('}', true)?;
        let Some(value) = self.scope.variable(name).or(self.unset()) else {
            return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
        };
        pattern::replace(&value, &pattern, &replacement, every, self.most)
    }

    /// The value of an unset variable, unless it is to stay as written.
    fn unset(&self) -> Option<Cow<'a, str>> {
        (!self.lexing.keep_unset).then_some(Cow::Borrowed(""))
    }
}

fn required(name: &str, message: String, is_set: bool) -> ExpandError {
    let message = match message.as_str() {
        "" if is_set => "is not allowed to be empty".to_owned(),
        "" => "is not allowed to be unset".to_owned(),
        _ => message,
    };
    ExpandError::Required {
        name: name.to_owned(),
        message,
    }
}
