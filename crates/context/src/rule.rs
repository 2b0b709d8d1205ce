use bstr::{BString, ByteSlice};

use crate::clean::clean;
use crate::glob::{Glob, may_start_alike};
use crate::pattern::{Pattern, PatternError};

/// One pattern of an ignore list.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Whether it takes paths back in, being written with a `!`.
    pub(crate) is_exception: bool,
    /// As it is written, cleaned.
    pub(crate) text: BString,
    shape: Shape,
}

/// How a pattern is matched. The shapes are those that moby tells apart: they differ in more than speed.
#[derive(Clone, Debug)]
enum Shape {
    Exact(Vec<u8>),
    /// `name/**`: whatever starts so.
    Prefix(Vec<u8>),
    /// `**/name`: whatever ends so, and `name` itself. The slash is part of it.
    Suffix(Vec<u8>),
    Glob(Glob),
}

impl Rule {
    /// Reads one pattern; nothing when it is blank.
    pub(crate) fn parse(text: &[u8]) -> Result<Option<Self>, PatternError> {
        let text = text.trim_with(char::is_whitespace);
        if text.is_empty() {
            return Ok(None);
        }
        // The `!` is still there when the path is cleaned, so `!/` becomes a lone `!`, as it does in moby.
        let cleaned = clean(text);
        let (is_exception, pattern) = match cleaned.strip_prefix(b"!") {
            Some(b"") => return Err(PatternError::EmptyException),
            Some(pattern) => (true, pattern),
            None => (false, &cleaned[..]),
        };
        Pattern::parse(pattern)?;
        let shape = Shape::parse(pattern)?;
        Ok(Some(Rule {
            is_exception,
            text: cleaned.clone().into(),
            shape,
        }))
    }

    /// Tells whether it matches this path; what lies below a match is the caller's matter.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        match &self.shape {
            Shape::Exact(exact) => path == exact,
            Shape::Prefix(prefix) => path.starts_with(prefix),
            Shape::Suffix(suffix) => path.ends_with(suffix) || suffix.strip_prefix(b"/") == Some(path),
            Shape::Glob(glob) => glob.matches(path),
        }
    }

    /// Tells whether it could match a path strictly below a directory. It may say yes too often.
    pub(crate) fn may_match_below(&self, directory: &[u8]) -> bool {
        match &self.shape {
            Shape::Exact(exact) => exact
                .strip_prefix(directory)
                .is_some_and(|below| below.starts_with(b"/")),
            Shape::Prefix(prefix) => may_start_alike(prefix, directory),
            Shape::Suffix(_) => true,
            Shape::Glob(glob) => glob.may_match_below(directory),
        }
    }
}

impl Shape {
    fn parse(pattern: &[u8]) -> Result<Self, PatternError> {
        if is_literal(pattern) {
            return Ok(Shape::Exact(pattern.to_vec()));
        }
        if let Some(suffix) = pattern.strip_prefix(b"**")
            && is_literal(suffix)
        {
            return Ok(Shape::Suffix(suffix.to_vec()));
        }
        if let Some(prefix) = pattern.strip_suffix(b"**")
            && is_literal(prefix)
        {
            return Ok(Shape::Prefix(prefix.to_vec()));
        }
        Glob::parse(pattern).map(Shape::Glob)
    }
}

/// Tells whether the pattern stands for itself. A `^` alone does not make a pattern an expression.
fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| b"*?[]\\".contains(byte))
}
