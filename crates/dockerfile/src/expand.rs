//! Variables, quotes and escapes in the words of instructions.
//!
//! The rules are a shell's, with BuildKit's differences. Names are letters, digits and `_`; the shell's one-character
//! names (`$$`, `$1`, `$@`) exist and are always unset. An unset variable is the empty string. The forms are `$v`,
//! `${v}`, `${v:-w}`, `${v-w}`, `${v:+w}`, `${v+w}`, `${v:?w}`, `${v?w}`, `${v#p}`, `${v##p}`, `${v%p}`, `${v%%p}`,
//! `${v/p/w}` and `${v//p/w}`, where `w` and `p` are expanded in turn. There are no substrings, no arrays, no case
//! changes, no bracket expressions in patterns, no arithmetic and no command substitution.

mod lexer;
mod pattern;

use std::borrow::Cow;

pub(crate) use self::lexer::Quotes;
use self::lexer::{Lexer, Lexing, MAX_DEPTH, Output};
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
    /// Variables make it longer than anybody means.
    #[error("this expands to more than {most} bytes")]
    TooLong {
        /// The limit, in bytes.
        most: usize,
    },
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

#[cfg(test)]
mod tests;
