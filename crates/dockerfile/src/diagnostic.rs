use std::ops::Range;
use std::sync::Arc;

use crate::source::{SourceFile, Span};

/// One thing that is wrong in a source, with its place and, where there is one, a way out.
///
/// Its [`Display`](std::fmt::Display) is the whole block that a user reads, without a final newline:
///
/// ```text
/// error: unknown flag `--form` for COPY
///   --> Dockerfile:12:6
/// 12 | COPY --form=builder /out /app
///    |      ^^^^^^
/// hint: did you mean `--from`?
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.render())]
pub struct Diagnostic {
    /// What is wrong: a lowercase fragment that reads well after `error: `.
    pub message: String,
    /// The bytes of the source that are to blame.
    pub span: Span,
    /// The text that holds them.
    pub source_file: Arc<SourceFile>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Everything that is wrong with a source, in the order of the source; never empty as an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.render())]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// The longest line that is shown whole: beyond it a terminal shows nothing useful.
const WIDEST_LINE: usize = 160;
/// How much is shown in front of the error in a longer line.
const LEAD_IN: usize = 40;

impl Diagnostic {
    /// The line and column, from 1, where the offending text starts.
    pub fn line_column(&self) -> (usize, usize) {
        self.source_file.line_column(self.span.start)
    }

    /// Renders the message, the place, the line with carets under the offending text, and the hint.
    ///
    /// Text that spans lines is marked up to the end of its first. Control characters are shown as U+FFFD, so that a
    /// hostile file cannot move the cursor of a terminal.
    pub fn render(&self) -> String {
        let (line, column) = self.line_column();
        let gutter = " ".repeat(line.to_string().len());
        let (text, carets) = self.excerpt(line, column);
        let hint = self
            .hint
            .iter()
            .map(|hint| format!("\nhint: {hint}"))
            .collect::<String>();
        format!(
            "error: {}\n  --> {}:{line}:{column}\n{line} | {text}\n{gutter} | {carets}{hint}",
            self.message,
            self.source_file.name()
        )
    }

    /// The line to show and the line of carets below it.
    fn excerpt(&self, line: usize, column: usize) -> (String, String) {
        let characters: Vec<char> = self.source_file.line(line).chars().map(printable).collect();
        let marked = self.marked(line, column, characters.len());
        let shown = window(characters.len(), marked.start);
        let cut = |from: usize, to: usize| characters.get(from..to).unwrap_or_default();
        let text = cut(shown.start, shown.end).iter().collect::<String>();
        let padding = cut(shown.start, marked.start)
            .iter()
            .map(|c| if *c == '\t' { '\t' } else { ' ' });
        let carets = padding.collect::<String>()
            + &"^".repeat(marked.end.min(shown.end.max(marked.start + 1)) - marked.start);
        (text, carets)
    }

    /// The characters of the line that get a caret: at least one, at most to the end of the line.
    fn marked(&self, line: usize, column: usize, length: usize) -> Range<usize> {
        let start = (column - 1).min(length);
        let (last_line, last_column) = self.source_file.line_column(self.span.end.max(self.span.start));
        let end = if last_line == line {
            last_column - 1
        } else {
            length
        };
        start..end.clamp(start + 1, length.max(start + 1))
    }
}

impl Diagnostics {
    /// Renders every diagnostic, an empty line between them.
    pub fn render(&self) -> String {
        self.0
            .iter()
            .map(Diagnostic::render)
            .collect::<Vec<_>>()
            .join("\n\n")
    }
}

impl Diagnostics {
    /// Every message with its hint in one line, without places.
    pub fn messages(&self) -> String {
        let messages = self.0.iter().map(|wrong| match &wrong.hint {
            Some(hint) => format!("{} ({hint})", wrong.message),
            None => wrong.message.clone(),
        });
        messages.collect::<Vec<_>>().join("; ")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Collects what is wrong with one source while it is read on.
pub(crate) struct Report {
    pub(crate) source: Arc<SourceFile>,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub(crate) fn new(source: Arc<SourceFile>) -> Self {
        Self {
            source,
            diagnostics: Vec::new(),
        }
    }

    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.error_with_hint(span, message, None);
    }

    pub(crate) fn error_with_hint(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        let source_file = Arc::clone(&self.source);
        self.diagnostics.push(Diagnostic {
            message: message.into(),
            span,
            source_file,
            hint,
        });
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.diagnostics.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.diagnostics.len()
    }

    pub(crate) fn extend(&mut self, diagnostics: Diagnostics) {
        self.diagnostics.extend(diagnostics);
    }

    /// Gives the value if nothing was wrong, else all that was, sorted by place.
    pub(crate) fn finish<T>(mut self, value: T) -> Result<T, Diagnostics> {
        if self.is_clean() {
            return Ok(value);
        }
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        Err(Diagnostics(self.diagnostics))
    }
}

pub(crate) fn printable(character: char) -> char {
    if character.is_control() && character != '\t' {
        char::REPLACEMENT_CHARACTER
    } else {
        character
    }
}

/// The part of a long line that is shown around a position.
fn window(length: usize, position: usize) -> Range<usize> {
    if length <= WIDEST_LINE {
        return 0..length;
    }
    let start = position.saturating_sub(LEAD_IN).min(length - WIDEST_LINE);
    start..start + WIDEST_LINE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, span: (usize, usize), hint: Option<&str>, expected: &str) {
        let source_file = Arc::new(SourceFile::new("Dockerfile", text));
        let span = Span::new(span.0, span.1);
        let diagnostic = Diagnostic {
            message: "wrong".into(),
            span,
            source_file,
            hint: hint.map(Into::into),
        };
        assert_eq!(diagnostic.to_string(), expected);
    }

    #[test]
    fn a_diagnostic_shows_its_line_and_carets() {
        check(
            "FROM a",
            (5, 6),
            None,
            "error: wrong\n  --> Dockerfile:1:6\n1 | FROM a\n  |      ^",
        );
        check(
            "",
            (0, 0),
            Some("write"),
            "error: wrong\n  --> Dockerfile:1:1\n1 | \n  | ^\nhint: write",
        );
        check(
            "a\n\tb c",
            (5, 6),
            None,
            "error: wrong\n  --> Dockerfile:2:4\n2 | \tb c\n  | \t  ^",
        );
        check(
            "ab\ncd",
            (1, 5),
            None,
            "error: wrong\n  --> Dockerfile:1:2\n1 | ab\n  |  ^",
        );
        check(
            "\x1b[2Jé",
            (4, 6),
            None,
            "error: wrong\n  --> Dockerfile:1:5\n1 | \u{fffd}[2Jé\n  |     ^",
        );
    }

    #[test]
    fn the_gutter_is_as_wide_as_the_number() {
        let text = "\n".repeat(11) + "COPY --form=builder /out /app";
        let expected =
            "error: wrong\n  --> Dockerfile:12:6\n12 | COPY --form=builder /out /app\n   |      ^^^^^^";
        check(&text, (16, 22), None, expected);
    }

    #[test]
    fn a_long_line_is_cut_around_the_error() {
        let text = "x".repeat(500) + "!" + &"y".repeat(500);
        let source_file = Arc::new(SourceFile::new("Dockerfile", text));
        let diagnostic = Diagnostic {
            message: "wrong".into(),
            span: Span::new(500, 501),
            source_file,
            hint: None,
        };
        let rendered = diagnostic.render();
        let line = rendered.lines().nth(2).unwrap();
        let carets = rendered.lines().nth(3).unwrap();
        assert_eq!(line.find('!'), carets.find('^'));
        assert_eq!(line.len(), WIDEST_LINE + "1 | ".len());
    }
}
