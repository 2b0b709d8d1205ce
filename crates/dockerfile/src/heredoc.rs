//! Heredocs of RUN, COPY and ADD.
//!
//! A word such as `<<EOF`, `3<<-EOF` or `<<"EOF"` announces that the lines after the instruction, up to a line with
//! nothing but `EOF`, are a body. `-` takes the leading tabs off the body's lines; any quote in the word keeps
//! variables in the body unexpanded.

use std::ops::Range;

use crate::expand::{Quotes, split_heredoc_word, split_raw};
use crate::source::Span;

/// A heredoc with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends the body; for COPY and ADD also the name of the file.
    pub name: String,
    /// Whether COPY and ADD expand variables in the body; RUN leaves that to the shell.
    pub expand: bool,
    /// Whether leading tabs are taken off the body's lines.
    pub strip_tabs: bool,
    /// The body as written, its last line ending included.
    pub body: String,
    /// Where the body stands.
    pub span: Span,
}

/// A word that announces a heredoc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeredocWord {
    pub(crate) name: String,
    expand: bool,
    strip_tabs: bool,
    /// Where the word stands in the text of the instruction.
    pub(crate) range: Range<usize>,
}

impl Heredoc {
    /// The body as a file gets it, without leading tabs if the heredoc asks for that.
    pub fn content(&self) -> String {
        if !self.strip_tabs {
            return self.body.clone();
        }
        self.body
            .split_inclusive('\n')
            .map(|line| line.trim_start_matches('\t'))
            .collect()
    }
}

impl HeredocWord {
    /// Reads a word, or a whole RUN line, if it is a heredoc and nothing else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .strip_prefix("<<")?;
        let (strip_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
        let rest = rest.trim_start_matches(['\t', '\n', '\u{c}', '\r', ' ']);
        if rest.is_empty() || rest.contains('<') {
            return None;
        }
        let [name] = <[String; 1]>::try_from(split_heredoc_word(rest, Quotes::Removed)?).ok()?;
        let quoted = split_heredoc_word(rest, Quotes::Kept)?.pop()?;
        let expand = count_quotes(&name) == count_quotes(&quoted);
        Some(Self {
            name,
            expand,
            strip_tabs,
            range: 0..text.len(),
        })
    }

    /// Finds all heredoc words of an instruction.
    pub(crate) fn find(text: &str) -> Vec<Self> {
        if !text.contains("<<") {
            return Vec::new();
        }
        let mut position = 0;
        let mut found = Vec::new();
        for word in split_raw(text) {
            // A word is a piece of the text, unless an oddity of word splitting has cut its front off.
            let range = match text.get(position..).and_then(|rest| rest.find(&word)) {
                Some(offset) => position + offset..position + offset + word.len(),
                None => position..text.len(),
            };
            if let Some(heredoc) = Self::parse(&word) {
                found.push(Self {
                    range: range.clone(),
                    ..heredoc
                });
            }
            position = if range.end < text.len() {
                range.end
            } else {
                position
            };
        }
        found
    }

    /// Whether a line, without its ending, ends the body.
    pub(crate) fn is_terminator(&self, line: &[u8]) -> bool {
        let tabs = line
            .iter()
            .take_while(|byte| self.strip_tabs && **byte == b'\t')
            .count();
        line[tabs..] == *self.name.as_bytes()
    }

    pub(crate) fn with_body(self, body: String, span: Span) -> Heredoc {
        Heredoc {
            name: self.name,
            expand: self.expand,
            strip_tabs: self.strip_tabs,
            body,
            span,
        }
    }
}

fn count_quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_heredocs() {
        let check = |text: &str, expected: &[(&str, bool, bool)]| {
            let found = HeredocWord::find(text);
            let found: Vec<_> = found
                .iter()
                .map(|word| (word.name.as_str(), word.expand, word.strip_tabs))
                .collect();
            assert_eq!(found, expected, "{text}");
        };
        check("RUN <<EOF", &[("EOF", true, false)]);
        check("RUN << EOF", &[("EOF", true, false)]);
        check("RUN <<-EOF cat", &[("EOF", true, true)]);
        check("RUN 3<<EOF cat <&3", &[("EOF", true, false)]);
        check(
            "COPY <<a <<\"b\" <<'c' /",
            &[("a", true, false), ("b", false, false), ("c", false, false)],
        );
        check("COPY <<\"A B\" /", &[("A B", false, false)]);
        check("RUN echo 1<<2", &[("2", true, false)]);
        check("RUN echo $((1<<2))", &[]);
        check("RUN echo \"<<EOF\"", &[]);
        check("RUN cat <<<EOF", &[]);
        check("RUN cat <<", &[]);
        check("RUN cat \\<<EOF", &[]);
        check("RUN echo \"open <<EOF", &[]);
    }

    #[test]
    fn a_whole_line_is_one_heredoc_or_none() {
        let check =
            |text: &str, expected: bool| assert_eq!(HeredocWord::parse(text).is_some(), expected, "{text}");
        check("<<EOF", true);
        check("<< EOF", true);
        check("<<EOF cat", false);
        check("cat <<EOF", false);
    }

    #[test]
    fn the_range_of_a_word_is_found() {
        let text = "COPY <<a <<\"a b\" /";
        let ranges: Vec<_> = HeredocWord::find(text)
            .into_iter()
            .map(|word| word.range)
            .collect();
        assert_eq!(ranges, [5..8, 9..16]);
    }

    #[test]
    fn tabs_are_taken_off() {
        let heredoc = |strip_tabs| Heredoc {
            name: "EOF".into(),
            expand: true,
            strip_tabs,
            body: "\t\ta\n \tb\n\n\tc\n".into(),
            span: Span::new(0, 0),
        };
        assert_eq!(heredoc(true).content(), "a\n \tb\n\nc\n");
        assert_eq!(heredoc(false).content(), "\t\ta\n \tb\n\n\tc\n");
    }
}
