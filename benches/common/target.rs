//! What must be reached. It is printed, never asserted: machines differ.

use std::fmt;

use crate::statistics::bytes;

/// A target, as a line of a Markdown table of four columns.
pub struct Target {
    what: &'static str,
    required: String,
    found: String,
    met: bool,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            required,
            found,
            met,
        } = self;
        let verdict = if *met { "met" } else { "**missed**" };
        write!(f, "| {what} | {required} | {found} | {verdict} |")
    }
}

impl Target {
    /// Not more than `limit`.
    pub fn at_most(what: &'static str, limit: f64, found: f64) -> Self {
        Self {
            what,
            required: format!("≤ {limit}"),
            found: format!("{found:.2}"),
            met: found <= limit,
        }
    }

    /// Not less than `limit`.
    pub fn at_least(what: &'static str, limit: f64, found: f64) -> Self {
        Self {
            what,
            required: format!("≥ {limit}"),
            found: format!("{found:.1}"),
            met: found >= limit,
        }
    }

    /// Less than `limit` bytes.
    pub fn below(what: &'static str, limit: u64, found: u64) -> Self {
        Self {
            what,
            required: format!("< {}", bytes(limit)),
            found: bytes(found),
            met: found < limit,
        }
    }
}
