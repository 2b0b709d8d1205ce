//! From bytes to logical lines: continuations joined, comments and blank lines dropped, heredoc bodies cut out.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::Report;
use crate::directive::Escape;
use crate::heredoc::{Heredoc, HeredocWord};
use crate::source::{SourceFile, Span};

/// An instruction as written, its continuation lines joined, with the way back to the source.
pub(crate) struct LogicalLine {
    /// The joined text; leading blanks of the first line are gone, those of continuation lines are kept.
    pub(crate) text: String,
    /// From the first to the last byte in the source.
    pub(crate) span: Span,
    /// Whether a blank line was skipped on the way.
    pub(crate) has_empty_continuation: bool,
    /// The comments above, as [`Located`](crate::Located) has them.
    pub(crate) comments: Vec<String>,
    /// Which bytes of the source each part of the text came from, in order.
    pieces: Vec<Piece>,
}

/// A part of a joined text that is contiguous in the source. What stands in for bytes that are not UTF-8 is a part of
/// its own, longer than they are.
struct Piece {
    text_start: usize,
    source: Range<usize>,
}

/// Reads a source from its first to its last line.
pub(crate) struct LineReader {
    source: Arc<SourceFile>,
    escape: u8,
    position: usize,
    /// Where the directives end, which look like comments.
    directives_end: usize,
    /// The comments since the last instruction or empty comment.
    comments: Vec<String>,
}

/// The content of one line of the source, without its line ending.
struct PhysicalLine {
    content: Range<usize>,
    /// The line with its ending.
    whole: Range<usize>,
}

impl LogicalLine {
    fn new(start: usize) -> Self {
        Self {
            text: String::new(),
            span: Span::new(start, start),
            has_empty_continuation: false,
            comments: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// Translates a range of the text into the source.
    pub(crate) fn span_of(&self, range: Range<usize>) -> Span {
        let start = self.offset_of(range.start, range.start);
        if range.is_empty() {
            return Span::new(start, start);
        }
        // The end is one past the last byte, which may stand in an earlier piece than the byte after it.
        Span::new(start, self.offset_of(range.end, range.end - 1))
    }

    /// Translates a position within or at the end of the piece that holds a byte of the text.
    fn offset_of(&self, position: usize, byte: usize) -> usize {
        let after = self.pieces.partition_point(|piece| piece.text_start <= byte);
        let piece = self.pieces.get(after.saturating_sub(1));
        piece.map_or(self.span.start, |Piece { text_start, source }| {
            (source.start + position - text_start).min(source.end)
        })
    }

    /// Adds a part of the source, with a mark in place of what is not UTF-8.
    fn push(&mut self, bytes: &[u8], source_start: usize) {
        let mut start = source_start;
        let mut piece = |line: &mut Self, text: &str, length: usize| {
            line.pieces.push(Piece {
                text_start: line.text.len(),
                source: start..start + length,
            });
            line.text.push_str(text);
            start += length;
        };
        // An empty part is one too: what is behind it in the text stands there.
        if bytes.is_empty() {
            piece(self, "", 0);
        }
        for chunk in bytes.utf8_chunks() {
            piece(self, chunk.valid(), chunk.valid().len());
            if !chunk.invalid().is_empty() {
                piece(self, "\u{fffd}", chunk.invalid().len());
            }
        }
    }
}

impl LineReader {
    pub(crate) fn new(source: Arc<SourceFile>, escape: Escape, directives_end: usize) -> Self {
        let position = source.byte_order_mark();
        Self {
            source,
            escape: escape.character() as u8,
            position,
            directives_end,
            comments: Vec::new(),
        }
    }

    /// The next instruction, or nothing at the end. Bytes that are not UTF-8 are reported and replaced.
    pub(crate) fn next_line(&mut self, report: &mut Report) -> Option<LogicalLine> {
        loop {
            let physical = self.physical_line()?;
            let content = self.source.slice(physical.content.clone());
            let indentation = blank_prefix(content);
            match content.get(indentation) {
                None => {}
                Some(b'#') => self.remember(physical.content),
                Some(_) => {
                    let content = physical.content.start + indentation..physical.content.end;
                    return Some(self.logical_line(content, report));
                }
            }
        }
    }

    /// Keeps a comment for the instruction below it. Of an indented one the `#` stays, as in BuildKit, so that it
    /// neither describes nor chooses anything.
    fn remember(&mut self, comment: Range<usize>) {
        if comment.start < self.directives_end {
            return;
        }
        let text = String::from_utf8_lossy(self.source.slice(comment.start + 1..comment.end));
        match text.trim() {
            "" => self.comments.clear(),
            text => self.comments.push(text.to_owned()),
        }
    }

    /// Reads the bodies of the heredocs that a line announces, in the order of their words.
    pub(crate) fn heredocs(
        &mut self,
        line: &mut LogicalLine,
        words: Vec<HeredocWord>,
        report: &mut Report,
    ) -> Vec<Heredoc> {
        let mut heredocs = Vec::new();
        for word in words {
            let span = line.span_of(word.range.clone());
            match self.heredoc_body(&word) {
                Some((body, end)) => {
                    heredocs.push(
                        word.with_body(self.utf8(body.clone(), report), Span::new(body.start, body.end)),
                    );
                    line.span.end = end;
                }
                None => {
                    let hint = Some(format!("a line with nothing but `{}` has to end it", word.name));
                    report.error_with_hint(span, "unterminated heredoc", hint);
                    line.span.end = self.position;
                }
            }
        }
        heredocs
    }

    /// The bytes up to the terminator, and where the terminator ends.
    fn heredoc_body(&mut self, word: &HeredocWord) -> Option<(Range<usize>, usize)> {
        let start = self.position;
        while let Some(physical) = self.physical_line() {
            if word.is_terminator(self.source.slice(physical.content.clone())) {
                return Some((start..physical.whole.start, physical.content.end));
            }
        }
        None
    }

    fn logical_line(&mut self, first: Range<usize>, report: &mut Report) -> LogicalLine {
        let mut line = LogicalLine::new(first.start);
        line.comments = std::mem::take(&mut self.comments);
        let mut continues = self.append(&mut line, first, report);
        while continues {
            let Some(physical) = self.physical_line() else {
                break;
            };
            let content = self.source.slice(physical.content.clone());
            match content.get(blank_prefix(content)) {
                None => line.has_empty_continuation = true,
                Some(b'#') => {}
                Some(_) => continues = self.append(&mut line, physical.content, report),
            }
        }
        line
    }

    /// Adds a physical line without its continuation character; true if it has one.
    fn append(&self, line: &mut LogicalLine, content: Range<usize>, report: &mut Report) -> bool {
        let bytes = self.source.slice(content.clone());
        let continued = strip_continuation(bytes, self.escape);
        let kept = continued.unwrap_or(bytes);
        check_utf8(content.start, kept, report);
        line.push(kept, content.start);
        line.span.end = content.end;
        continued.is_some()
    }

    fn utf8(&self, range: Range<usize>, report: &mut Report) -> String {
        let bytes = self.source.slice(range.clone());
        check_utf8(range.start, bytes, report);
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn physical_line(&mut self) -> Option<PhysicalLine> {
        let start = self.position;
        let rest = self.source.text().get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(rest.len(), |newline| newline + 1);
        self.position = start + length;
        let ending = rest[..length]
            .iter()
            .rev()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        Some(PhysicalLine {
            content: start..self.position - ending,
            whole: start..self.position,
        })
    }
}

fn check_utf8(start: usize, bytes: &[u8], report: &mut Report) {
    if let Err(error) = std::str::from_utf8(bytes) {
        let valid = error.valid_up_to();
        let length = error.error_len().unwrap_or(bytes.len() - valid);
        let span = Span::new(start + valid, start + valid + length);
        report.error(span, "text that is not valid UTF-8");
    }
}

/// How many bytes at the start are white space.
fn blank_prefix(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(byte) if byte.is_ascii_graphic() => 0,
        _ => {
            let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            text.len() - text.trim_start().len()
        }
    }
}

/// The line without the continuation character and the blanks behind it, or nothing if the line ends here.
///
/// An escape in front of the last one takes its meaning, and so, by an oddity of BuildKit, do two of them.
pub(crate) fn strip_continuation(line: &[u8], escape: u8) -> Option<&[u8]> {
    let blanks = line
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let kept = line[..line.len() - blanks].strip_suffix(&[escape])?;
    (kept.last() != Some(&escape)).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let source = Arc::new(SourceFile::new("Dockerfile", text));
        let mut report = Report::new(Arc::clone(&source));
        let mut reader = LineReader::new(source, Escape::Backslash, 0);
        let lines: Vec<String> = std::iter::from_fn(|| reader.next_line(&mut report))
            .map(|line| line.text)
            .collect();
        assert_eq!(lines, expected, "{text:?}");
        assert!(report.is_clean(), "{text:?}");
    }

    #[test]
    fn lines_are_joined_as_buildkit_joins_them() {
        check("", &[]);
        check("\n \n# a\n\t# b\n", &[]);
        check("A\r\nB\r\n", &["A", "B"]);
        check("  A  \n", &["A  "]);
        check("\u{feff}A", &["A"]);
        check("A \\\n  b", &["A   b"]);
        check("A \\ \t\r\nb", &["A b"]);
        check("A \\\n# no\n  # no \\\nb", &["A b"]);
        check("A \\\n\n\nb", &["A b"]);
        check("A \\\n\\\nb", &["A b"]);
        check("A \\\\\nB", &["A \\\\", "B"]);
        check("A \\\\\\\nB", &["A \\\\\\", "B"]);
        check("A \\", &["A "]);
        check("\\\nA", &["A"]);
        check("A # no comment", &["A # no comment"]);
    }

    #[test]
    fn positions_lead_back_to_the_source() {
        let source = Arc::new(SourceFile::new("Dockerfile", "  RUN a \\\n# c\n  bcd"));
        let mut report = Report::new(Arc::clone(&source));
        let line = LineReader::new(source, Escape::Backslash, 0)
            .next_line(&mut report)
            .unwrap();
        assert_eq!(line.text, "RUN a   bcd");
        assert_eq!(line.span, Span::new(2, 19));
        assert_eq!(line.span_of(0..3), Span::new(2, 5));
        assert_eq!(line.span_of(4..5), Span::new(6, 7));
        assert_eq!(line.span_of(8..11), Span::new(16, 19));
        assert_eq!(line.span_of(0..11), Span::new(2, 19));
        assert_eq!(line.span_of(11..11), Span::new(19, 19));
    }

    #[test]
    fn positions_behind_what_is_not_utf8_lead_back_to_the_source() {
        let text = b"COPY \xff \\\n\xe2\x82 <<E".to_vec();
        let source = Arc::new(SourceFile::new("Dockerfile", text));
        let mut report = Report::new(Arc::clone(&source));
        let line = LineReader::new(source, Escape::Backslash, 0)
            .next_line(&mut report)
            .unwrap();
        assert_eq!(line.text, "COPY \u{fffd} \u{fffd} <<E");
        assert_eq!(line.span_of(5..8), Span::new(5, 6));
        assert_eq!(line.span_of(8..12), Span::new(6, 11));
        assert_eq!(line.span_of(13..16), Span::new(12, 15));
        assert_eq!(line.span_of(16..16), Span::new(15, 15));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_reported_in_instructions_only() {
        let source = Arc::new(SourceFile::new(
            "Dockerfile",
            b"# caf\xe9\nENV A=caf\xe9\n".to_vec(),
        ));
        let mut report = Report::new(Arc::clone(&source));
        let mut reader = LineReader::new(source, Escape::Backslash, 0);
        assert!(reader.next_line(&mut report).is_some());
        let errors = report.finish(()).unwrap_err();
        assert_eq!(errors.0[0].span, Span::new(16, 17));
        assert_eq!(errors.0.len(), 1);
    }
}
