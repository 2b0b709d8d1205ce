//! Variables, quotes and escapes in the words of instructions.
//!
//! The rules are a shell's, with BuildKit's differences. Names are letters, digits and `_`; the shell's one-character
//! names (`$$`, `$1`, `$@`) exist and are always unset. An unset variable is the empty string. The forms are `$v`,
//! `${v}`, `${v:-w}`, `${v-w}`, `${v:+w}`, `${v+w}`, `${v:?w}`, `${v?w}`, `${v#p}`, `${v##p}`, `${v%p}`, `${v%%p}`,
//! `${v/p/w}` and `${v//p/w}`, where `w` and `p` are expanded in turn. There are no substrings, no arrays, no case
//! changes, no bracket expressions in patterns, no arithmetic and no command substitution.

mod pattern;

use std::borrow::Cow;

use crate::directive::Escape;

/// The variables that an instruction sees.
///
/// A closure from names to values is a scope. Unset and empty are different: `${v-default}` asks whether `v` is set.
pub trait Scope {
    /// The value of a variable, or nothing where it is unset.
    fn variable(&self, name: &str) -> Option<Cow<'_, str>>;

    /// The value given for an ARG of this name from outside (`--build-arg`), which wins over its default.
    fn build_argument(&self, name: &str) -> Option<Cow<'_, str>> {
        let _ = name;
        None
    }

    /// The value that an ARG without a default takes from the ARGs in front of the first FROM.
    fn global_argument(&self, name: &str) -> Option<Cow<'_, str>> {
        let _ = name;
        None
    }
}

impl<F: Fn(&str) -> Option<String>> Scope for F {
    fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        self(name).map(Cow::Owned)
    }
}

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandError {
    /// A quote is opened and never closed.
    #[error("missing the closing {0}")]
    UnclosedQuote(Quote),
    /// `${` without a name.
    #[error("bad substitution: expected a variable name after `${{`")]
    BadSubstitution,
    /// `${` without its `}`.
    #[error("missing `}}` to end the substitution")]
    UnclosedBrace,
    /// `${v/pattern` without the `/` in front of the replacement.
    #[error("missing `/` in front of the replacement in `${{{0}/...}}`")]
    NoReplacement(String),
    /// Something after the name that is none of the known forms.
    #[error("unsupported modifier `{0}` in the substitution")]
    UnsupportedModifier(String),
    /// `${v:?message}` and the variable is unset, or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The word after `?`, or what is wrong if there is none.
        message: String,
    },
    /// A pattern of `#`, `%` or `/` that has an unknown escape, or is too large.
    #[error("invalid pattern `{pattern}` in the substitution: {reason}")]
    InvalidPattern {
        /// The pattern, its variables expanded.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Substitutions within substitutions, deeper than anyone writes.
    #[error("substitutions are nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// A kind of quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// `'`
    Single,
    /// `"`
    Double,
}

impl std::fmt::Display for Quote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Single => "single quote",
            Self::Double => "double quote",
        })
    }
}

/// Keeps hostile input from exhausting the stack; people nest two or three.
const MAX_DEPTH: usize = 100;

/// Expands variables and removes quotes and escapes. Spaces stay as they are.
///
/// # Errors
///
/// [`ExpandError`] for what is no valid substitution, and for `${v?message}` where `v` is unset.
pub fn expand_word(word: &str, scope: &dyn Scope, escape: Escape) -> Result<String, ExpandError> {
    Lexer::new(word, scope, Lexing::word(escape))
        .run()
        .map(|output| output.text)
}

/// Expands as [`expand_word`] does, then splits at spaces that are neither quoted nor escaped. EXPOSE is read so.
///
/// As in BuildKit, what stands directly in front of a `${v:-w}` form in the same word is lost: `8${X:-0}` is `0`.
///
/// # Errors
///
/// As [`expand_word`].
pub fn expand_words(word: &str, scope: &dyn Scope, escape: Escape) -> Result<Vec<String>, ExpandError> {
    Lexer::new(word, scope, Lexing::word(escape))
        .run()
        .map(Output::into_words)
}

/// Expands the body of a heredoc: quotes are ordinary characters, and every `\` escapes.
///
/// # Errors
///
/// As [`expand_word`].
pub fn expand_heredoc(body: &str, scope: &dyn Scope) -> Result<String, ExpandError> {
    let lexing = Lexing {
        quotes: Quotes::Ordinary,
        ..Lexing::word(Escape::Backslash)
    };
    Lexer::new(body, scope, lexing).run().map(|output| output.text)
}

/// Splits at spaces as [`expand_words`] does but keeps quotes, escapes and variables. Nothing where that fails.
pub(crate) fn split_raw(text: &str) -> Vec<String> {
    let lexing = Lexing {
        quotes: Quotes::Kept,
        raw_escapes: true,
        keep_unset: true,
        ..Lexing::word(Escape::Backslash)
    };
    Lexer::new(text, &NoVariables, lexing)
        .run()
        .map(Output::into_words)
        .unwrap_or_default()
}

/// Splits at spaces and removes escapes, with quotes removed or kept; variables stay as they are.
pub(crate) fn split_heredoc_word(text: &str, quotes: Quotes) -> Option<Vec<String>> {
    let lexing = Lexing {
        quotes,
        keep_unset: true,
        ..Lexing::word(Escape::Backslash)
    };
    Lexer::new(text, &NoVariables, lexing)
        .run()
        .map(Output::into_words)
        .ok()
}

/// A scope in which nothing is set.
pub(crate) struct NoVariables;

impl Scope for NoVariables {
    fn variable(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }
}

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

#[derive(Debug, Clone, Copy)]
struct Lexing {
    escape: char,
    quotes: Quotes,
    raw_escapes: bool,
    /// Unset variables stay as they are written, instead of vanishing.
    keep_unset: bool,
}

impl Lexing {
    fn word(escape: Escape) -> Self {
        Self {
            escape: escape.character(),
            quotes: Quotes::Removed,
            raw_escapes: false,
            keep_unset: false,
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    scope: &'a dyn Scope,
    lexing: Lexing,
    depth: usize,
    /// How many substitutions with a word of their own were read.
    substitutions: usize,
}

/// The text so far, and the same cut into words.
#[derive(Default)]
struct Output {
    text: String,
    words: Vec<String>,
    word: String,
    in_word: bool,
}

impl Output {
    /// Adds a character that separates words if it is a space.
    fn push(&mut self, character: char) {
        self.text.push(character);
        self.split(character);
    }

    /// Adds text that belongs to the current word, spaces and all.
    fn push_raw(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
        self.in_word = true;
    }

    /// Adds the value of a variable, which is cut into words.
    fn push_value(&mut self, text: &str) {
        self.text.push_str(text);
        text.chars().for_each(|character| self.split(character));
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

    fn into_words(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, scope: &'a dyn Scope, lexing: Lexing) -> Self {
        Self {
            rest: text,
            scope,
            lexing,
            depth: 0,
            substitutions: 0,
        }
    }

    fn run(mut self) -> Result<Output, ExpandError> {
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
            match character {
                '$' => {
                    let before = self.substitutions;
                    let value = self.dollar()?;
                    if self.substitutions != before {
                        // BuildKit reads the inner word into the buffer of the outer one: what was there is gone.
                        output.word.clear();
                    }
                    output.push_value(&value);
                }
                '<' => output.push_raw(self.angle()),
                '\'' if self.lexing.quotes != Quotes::Ordinary => output.push_raw(&self.single_quote()?),
                '"' if self.lexing.quotes != Quotes::Ordinary => {
                    let before = self.substitutions;
                    let value = self.double_quote()?;
                    if self.substitutions != before {
                        output.word.clear();
                    }
                    output.push_raw(&value);
                }
                escape if escape == self.lexing.escape => self.escaped(&mut output),
                _ => {
                    self.next();
                    output.push(character);
                }
            }
        }
        if stop.is_some() {
            Err(ExpandError::UnclosedBrace)
        } else {
            Ok(output)
        }
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
    fn escaped(&mut self, output: &mut Output) {
        self.next();
        let mut buffer = [0; 4];
        if self.lexing.raw_escapes {
            output.push_raw(self.lexing.escape.encode_utf8(&mut buffer));
        }
        if let Some(character) = self.next() {
            output.push_raw(character.encode_utf8(&mut buffer));
        }
    }

    /// Keeps the blanks after `<<` in one word with it, so that `<< EOF` is one heredoc word.
    fn angle(&mut self) -> &'a str {
        let rest = self.rest;
        let length = match rest.strip_prefix("<<") {
            Some(after) => rest.len() - after.trim_start_matches(['\t', '\r', ' ']).len(),
            None => 1,
        };
        let (angle, rest) = rest.split_at(length);
        self.rest = rest;
        angle
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
        let (name, rest) = rest.split_at(length);
        self.rest = rest;
        name
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
        pattern::replace(&value, &pattern, &replacement, every)
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

#[cfg(test)]
mod tests;
