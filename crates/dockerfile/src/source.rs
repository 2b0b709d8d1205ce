use std::ops::Range;

/// A Dockerfile, or a piece of one, with the name under which messages speak of it.
///
/// The text is bytes: only the lines of instructions must be UTF-8, comments may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    name: String,
    text: Vec<u8>,
    line_starts: Vec<usize>,
}

/// A range of bytes of a [`SourceFile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The offset of the first byte.
    pub start: usize,
    /// The offset after the last byte.
    pub end: usize,
}

/// A value with the place in the source that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands, in the source of the instruction that holds it.
    pub span: Span,
}

/// What some editors put in front of UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl SourceFile {
    /// Names a text, for example `Dockerfile` or `argument 1`.
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        let after_newline = |(offset, byte): (usize, &u8)| (*byte == b'\n').then_some(offset + 1);
        let line_starts = std::iter::once(0)
            .chain(text.iter().enumerate().filter_map(after_newline))
            .collect();
        Self {
            name: name.into(),
            text,
            line_starts,
        }
    }

    /// The name that messages show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text as it was given, a byte order mark included.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Finds the line and the column, both from 1, of a byte offset.
    ///
    /// Columns count characters. A byte order mark has no column. An offset past the end counts as the end.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let before = self.slice(self.line_range(line).start..offset);
        (line, String::from_utf8_lossy(before).chars().count() + 1)
    }

    /// The first and the last line, from 1, of a span; a line ending at its end is no line of its own.
    pub fn lines_of(&self, span: Span) -> std::ops::RangeInclusive<usize> {
        let line = |offset: usize| self.line_starts.partition_point(|start| *start <= offset);
        line(span.start)..=line(span.end.saturating_sub(1).max(span.start))
    }

    /// Where a line, numbered from 1, starts; the end of the text for one that there is not.
    pub(crate) fn offset_of_line(&self, number: usize) -> usize {
        self.line_range(number).start
    }

    /// How many lines there are; a text that ends in a line ending has an empty one behind it.
    pub fn line_count(&self) -> usize {
        self.line_starts.len()
    }

    /// The text of a line, numbered from 1, without its line ending, the byte order mark and what is not UTF-8.
    pub fn line(&self, number: usize) -> String {
        let text = String::from_utf8_lossy(self.slice(self.line_range(number)));
        text.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// Whether the text starts as UTF-16 does.
    pub(crate) fn is_utf16(&self) -> bool {
        self.text.starts_with(b"\xFF\xFE") || self.text.starts_with(b"\xFE\xFF")
    }

    /// How many bytes at the start are a byte order mark.
    pub(crate) fn byte_order_mark(&self) -> usize {
        if self.text.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len()
        } else {
            0
        }
    }

    /// The bytes of a range, which is cut where it leaves the text.
    pub(crate) fn slice(&self, range: Range<usize>) -> &[u8] {
        let end = range.end.min(self.text.len());
        self.text.get(range.start.min(end)..end).unwrap_or_default()
    }

    fn line_range(&self, number: usize) -> Range<usize> {
        let start = self
            .line_starts
            .get(number.saturating_sub(1))
            .copied()
            .unwrap_or(self.text.len());
        let end = self.line_starts.get(number).copied().unwrap_or(self.text.len());
        if number == 1 {
            self.byte_order_mark()..end
        } else {
            start..end
        }
    }
}

impl Span {
    /// The bytes from `start` up to, not including, `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The smallest span that holds both.
    pub fn to(self, other: Span) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

impl<T> Spanned<T> {
    /// Puts a value and its place together.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl Spanned<String> {
    /// Where a part of the text stands.
    ///
    /// A text that has lost quotes, escapes or a line continuation on the way has more bytes in the source; then every
    /// part of it stands for the whole.
    pub(crate) fn part(&self, range: Range<usize>) -> Span {
        if self.span.end - self.span.start != self.value.len() {
            return self.span;
        }
        Span::new(self.span.start + range.start, self.span.start + range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let check = |text: &str, offset, expected| {
            assert_eq!(
                SourceFile::new("Dockerfile", text).line_column(offset),
                expected,
                "{text:?} at {offset}"
            );
        };
        check("", 0, (1, 1));
        check("FROM a\nRUN b", 0, (1, 1));
        check("FROM a\nRUN b", 7, (2, 1));
        check("FROM a\nRUN b", 11, (2, 5));
        check("FROM a\n", 7, (2, 1));
        check("FROM a", 99, (1, 7));
        check("é x", 3, (1, 3));
        check("\u{feff}FROM a", 3, (1, 1));
        check("\u{feff}FROM a", 8, (1, 6));
    }

    #[test]
    fn a_line_has_no_ending_and_no_byte_order_mark() {
        let source = SourceFile::new("Dockerfile", "\u{feff}FROM a\r\nRUN b");
        assert_eq!(source.line(1), "FROM a");
        assert_eq!(source.line(2), "RUN b");
        assert_eq!(source.line(3), "");
    }
}
