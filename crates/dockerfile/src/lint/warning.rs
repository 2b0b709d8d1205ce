use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Rule;
use crate::diagnostic::printable;
use crate::source::{SourceFile, Span};

/// A place where a rule is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The rule.
    pub rule: Rule,
    /// What is wrong here, in BuildKit's words.
    pub message: String,
    /// The lines to blame: as a rule, all of the instruction.
    pub span: Span,
    /// The text that holds them.
    pub source_file: Arc<SourceFile>,
}

const RULER: &str = "--------------------";
/// How many lines are shown around what is marked: more where that is one line.
const AROUND_LINES: usize = 2;
const AROUND_LINE: usize = 4;

impl Warning {
    /// The lines to blame, from 1.
    pub fn lines(&self) -> RangeInclusive<usize> {
        self.source_file.lines_of(self.span)
    }

    /// The warning on one line, as a build shows it: `Rule: message (line 1)`.
    pub fn summary(&self) -> String {
        format!("{}: {} (line {})", self.rule, self.message, self.lines().start())
    }

    /// The warning with the lines around it, the offending ones marked with `>>>`, as `--check` shows it; a newline at
    /// its end.
    ///
    /// Control characters are shown as U+FFFD, so that a hostile file cannot move the cursor of a terminal.
    pub fn render(&self) -> String {
        let page = self.rule.url().map(|url| format!(" - {url}")).unwrap_or_default();
        let message = &self.message;
        format!("WARNING: {}{page}\n{message}\n{}", self.rule, self.excerpt())
    }

    fn excerpt(&self) -> String {
        let marked = self.lines();
        let mut text = format!("{}:{}\n{RULER}\n", self.source_file.name(), marked.start());
        for number in around(&marked, self.source_file.line_count()) {
            let mark = if marked.contains(&number) { ">>>" } else { "   " };
            let line: String = self.source_file.line(number).chars().map(printable).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(text, " {number:3} | {mark} {line}");
        }
        text + RULER + "\n"
    }
}

/// The marked lines and, in turn before and after, up to a few others: what one side lacks, the other gets.
fn around(marked: &RangeInclusive<usize>, last: usize) -> RangeInclusive<usize> {
    let (mut start, mut end) = (*marked.start(), (*marked.end()).min(last));
    let wanted = if start == end { AROUND_LINE } else { AROUND_LINES };
    let mut shown = 0;
    while shown < wanted {
        if start > 1 {
            start -= 1;
            shown += 1;
        }
        if end < last {
            end += 1;
            shown += 1;
        }
        // BuildKit counts each round as a line too, which keeps the excerpt short.
        shown += 1;
    }
    start..=end
}
