use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::directive::Escape;
use crate::source::{SourceFile, Span};

/// An instruction with its place and its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<T> {
    /// What was read.
    pub value: T,
    /// The source that holds it.
    pub source: Arc<SourceFile>,
    /// All of it: from its keyword to its last line, the bodies of heredocs included.
    pub span: Span,
    /// Its keyword.
    pub keyword: Span,
    /// Its text as written, continuation lines joined, heredocs behind it: what ONBUILD keeps of an instruction.
    pub text: String,
    /// The escape character of the source.
    pub escape: Escape,
    /// Whether there is an empty line within its continuation lines, which more often than not swallows what follows.
    pub has_empty_continuation: bool,
    /// The comments above it, back to the instruction before or an empty comment, without `#` and blanks around them.
    /// They describe it, or choose lint rules for it.
    pub comments: Vec<String>,
}

impl<T> Located<T> {
    /// The line and column, from 1, of the keyword.
    pub fn line_column(&self) -> (usize, usize) {
        self.source.line_column(self.keyword.start)
    }

    /// The first and the last of its lines, from 1.
    pub fn lines(&self) -> RangeInclusive<usize> {
        self.source.lines_of(self.span)
    }

    /// What the comments above say of a name: the rest of the first one that starts with it.
    ///
    /// Source: dockerfile.md §1.1 "Doc comments".
    pub fn description_of(&self, name: &str) -> Option<&str> {
        self.comments
            .iter()
            .find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '))
    }

    /// Replaces the value, not the place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: change(self.value),
            source: self.source,
            span: self.span,
            keyword: self.keyword,
            text: self.text,
            escape: self.escape,
            has_empty_continuation: self.has_empty_continuation,
            comments: self.comments,
        }
    }
}
