use std::fmt;

use serde::Serialize;

/// A duration as Go holds it, prints it (`1m30s`) and writes it to JSON (a number).
///
/// Source: Go `time.Duration`, `Duration.String`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Nanoseconds(u64);

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

impl Nanoseconds {
    /// Converts a duration; nothing where it is longer than Go's 63 bits can say.
    pub(crate) fn new(duration: std::time::Duration) -> Option<Self> {
        let nanoseconds = i64::try_from(duration.as_nanos()).ok()?;
        Some(Self(nanoseconds.unsigned_abs()))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0s"),
            nanoseconds if nanoseconds < MICROSECOND => write!(f, "{nanoseconds}ns"),
            nanoseconds if nanoseconds < MILLISECOND => write!(f, "{}µs", decimal(nanoseconds, MICROSECOND)),
            nanoseconds if nanoseconds < SECOND => write!(f, "{}ms", decimal(nanoseconds, MILLISECOND)),
            nanoseconds => write_clock(f, nanoseconds),
        }
    }
}

/// Prints a second or more: hours and minutes from the first that is not zero on, then always seconds.
fn write_clock(f: &mut fmt::Formatter<'_>, nanoseconds: u64) -> fmt::Result {
    let minutes = nanoseconds / (60 * SECOND);
    let (hours, minute) = (minutes / 60, minutes % 60);
    if hours > 0 {
        write!(f, "{hours}h")?;
    }
    if minutes > 0 {
        write!(f, "{minute}m")?;
    }
    write!(f, "{}s", decimal(nanoseconds % (60 * SECOND), SECOND))
}

/// Prints `nanoseconds` in a unit, exactly, without trailing zeros.
fn decimal(nanoseconds: u64, unit: u64) -> String {
    let (whole, fraction) = (nanoseconds / unit, nanoseconds % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    let text = format!("{whole}.{fraction:0digits$}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn prints_as_go_does() {
        let check = |nanoseconds: u64, expected: &str| {
            let printed = Nanoseconds::new(Duration::from_nanos(nanoseconds)).map(|time| time.to_string());
            assert_eq!(printed.as_deref(), Some(expected));
        };
        check(0, "0s");
        check(1, "1ns");
        check(1_100, "1.1µs");
        check(2_200_000, "2.2ms");
        check(500_000_000, "500ms");
        check(999_999_999, "999.999999ms");
        check(1_000_000_000, "1s");
        check(3_300_000_000, "3.3s");
        check(60_000_000_000, "1m0s");
        check(90_000_000_000, "1m30s");
        check(245_000_000_000, "4m5s");
        check(245_001_000_000, "4m5.001s");
        check(3_600_000_000_000, "1h0m0s");
        check(18_367_001_000_000, "5h6m7.001s");
        check(480_000_000_001, "8m0.000000001s");
        check(i64::MAX.unsigned_abs(), "2562047h47m16.854775807s");
        assert_eq!(Nanoseconds::new(Duration::MAX), None);
    }
}
