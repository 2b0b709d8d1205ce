use std::ops::Range;

use crate::directive::Escape;
use crate::flags::{self, RawFlag};
use crate::json::JsonForm;
use crate::line::LogicalLine;
use crate::source::{Span, Spanned};
use crate::words::{self, is_separator};

/// A logical line cut into its keyword, its flags and its arguments.
pub(crate) struct Statement<'a> {
    pub(crate) line: &'a LogicalLine,
    pub(crate) escape: Escape,
    pub(crate) flags: Vec<RawFlag>,
    keyword: Range<usize>,
    arguments: Range<usize>,
}

/// Arguments that are a JSON list, or else words between blanks.
pub(crate) enum List {
    Json(Vec<Spanned<String>>),
    Words(Vec<Spanned<String>>),
}

impl<'a> Statement<'a> {
    pub(crate) fn new(line: &'a LogicalLine, escape: Escape) -> Self {
        Self::within(line, 0..line.text.len(), escape)
    }

    /// Reads a part of a line: all of it, or what follows ONBUILD.
    fn within(line: &'a LogicalLine, range: Range<usize>, escape: Escape) -> Self {
        let text = &line.text[..range.end];
        let start = range.end - text[range.start..].trim_start().len();
        let end = start + text[start..].trim_end().len();
        let keyword_end = text[start..end]
            .find(is_separator)
            .map_or(end, |length| start + length);
        let after = end - text[keyword_end..end].trim_start_matches(is_separator).len();
        let (flags, arguments) = flags::scan(&text[..end], after, escape.character());
        Self {
            line,
            escape,
            flags,
            keyword: start..keyword_end,
            arguments,
        }
    }

    /// The instruction that an ONBUILD holds.
    pub(crate) fn nested(&self) -> Statement<'a> {
        Self::within(self.line, self.arguments.clone(), self.escape)
    }

    /// The keyword as written.
    pub(crate) fn keyword(&self) -> &'a str {
        &self.line.text[self.keyword.clone()]
    }

    pub(crate) fn keyword_span(&self) -> Span {
        self.line.span_of(self.keyword.clone())
    }

    /// Everything after the keyword and the flags, without blanks around it.
    pub(crate) fn arguments(&self) -> &'a str {
        &self.line.text[self.arguments.clone()]
    }

    /// The arguments as one string.
    pub(crate) fn whole(&self) -> Spanned<String> {
        Spanned::new(
            self.arguments().to_owned(),
            self.line.span_of(self.arguments.clone()),
        )
    }

    /// Where the arguments stand, or the keyword if there are none.
    pub(crate) fn blame(&self) -> Span {
        if self.arguments.is_empty() {
            self.keyword_span()
        } else {
            self.line.span_of(self.arguments.clone())
        }
    }

    /// Where a range of the arguments stands in the source.
    pub(crate) fn span_of(&self, range: Range<usize>) -> Span {
        self.line
            .span_of(self.arguments.start + range.start..self.arguments.start + range.end)
    }

    /// The arguments cut at blanks; quotes mean nothing.
    pub(crate) fn words(&self) -> Vec<Spanned<String>> {
        self.spanned(words::split_at_blanks(self.arguments()))
    }

    /// The arguments cut at white space outside quotes; quotes and escapes are kept.
    pub(crate) fn quoted_words(&self) -> Vec<Spanned<String>> {
        self.spanned(words::split(self.arguments(), self.escape.character()))
    }

    fn spanned(&self, ranges: Vec<Range<usize>>) -> Vec<Spanned<String>> {
        let text = self.arguments();
        ranges
            .into_iter()
            .map(|range| Spanned::new(text[range.clone()].to_owned(), self.span_of(range)))
            .collect()
    }

    /// The arguments as a JSON list, or else cut at blanks.
    ///
    /// # Errors
    ///
    /// The place of an element that is not a string.
    pub(crate) fn list(&self) -> Result<List, Span> {
        Ok(self.json()?.map_or_else(|| List::Words(self.words()), List::Json))
    }

    /// The arguments as a JSON list of strings, or nothing if they are no JSON list.
    ///
    /// # Errors
    ///
    /// The place of an element that is not a string.
    pub(crate) fn json(&self) -> Result<Option<Vec<Spanned<String>>>, Span> {
        self.json_after(0)
    }

    /// As [`Self::json`], for what follows the given offset into the arguments.
    pub(crate) fn json_after(&self, offset: usize) -> Result<Option<Vec<Spanned<String>>>, Span> {
        let shifted = |range: Range<usize>| self.span_of(offset + range.start..offset + range.end);
        match JsonForm::parse(&self.arguments()[offset..]) {
            JsonForm::Absent => Ok(None),
            JsonForm::NotStrings(range) => Err(shifted(range)),
            JsonForm::Strings(strings) => Ok(Some(
                strings
                    .into_iter()
                    .map(|(value, range)| Spanned::new(value, shifted(range)))
                    .collect(),
            )),
        }
    }

    /// Whether bodies may follow: RUN, COPY and ADD, also under ONBUILD, unless in JSON form.
    pub(crate) fn takes_heredocs(&self) -> bool {
        let takes = |statement: &Statement<'_>| {
            let is = |keyword| statement.keyword().eq_ignore_ascii_case(keyword);
            (is("RUN") || is("COPY") || is("ADD"))
                && JsonForm::parse(statement.arguments()) == JsonForm::Absent
        };
        self.line.text.contains("<<")
            && if self.keyword().eq_ignore_ascii_case("ONBUILD") {
                takes(&self.nested())
            } else {
                takes(self)
            }
    }
}

impl List {
    pub(crate) fn into_words(self) -> Vec<Spanned<String>> {
        match self {
            Self::Json(words) | Self::Words(words) => words,
        }
    }
}
