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
}

impl<T> Located<T> {
    /// The line and column, from 1, of the keyword.
    pub fn line_column(&self) -> (usize, usize) {
        self.source.line_column(self.keyword.start)
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
        }
    }
}
