//! What BuildKit's JSON results have in common: sources and places in them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::source::SourceFile;

/// A text, in base64.
#[derive(Serialize)]
pub(crate) struct Source<'a> {
    filename: &'a str,
    language: &'static str,
    data: String,
}

/// Lines of a source.
#[derive(Serialize)]
pub(crate) struct Location {
    #[serde(rename = "sourceIndex", skip_serializing_if = "is_zero")]
    source_index: usize,
    ranges: Vec<Range>,
}

/// One line: BuildKit has a range for each.
#[derive(Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Clone, Copy, Serialize)]
struct Position {
    line: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn of(source: &'a SourceFile) -> Self {
        Self {
            filename: source.name(),
            language: "Dockerfile",
            data: encoded(source),
        }
    }
}

impl Location {
    /// Lines of one of the sources, which is added to them if need be.
    pub(crate) fn of<'a>(
        source: &'a Arc<SourceFile>,
        lines: RangeInclusive<usize>,
        sources: &mut Vec<&'a Arc<SourceFile>>,
    ) -> Self {
        let known = sources.iter().position(|known| Arc::ptr_eq(known, source));
        let source_index = known.unwrap_or_else(|| {
            sources.push(source);
            sources.len() - 1
        });
        Self {
            source_index,
            ..Self::in_only_source(lines)
        }
    }

    pub(crate) fn in_only_source(lines: RangeInclusive<usize>) -> Self {
        let range = |line| Range {
            start: Position { line },
            end: Position { line },
        };
        Self {
            source_index: 0,
            ranges: lines.map(range).collect(),
        }
    }
}

/// The bytes of a text in base64.
pub(crate) fn encoded(source: &SourceFile) -> String {
    STANDARD.encode(source.text())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
