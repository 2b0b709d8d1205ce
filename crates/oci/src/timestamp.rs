use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A moment in UTC, as `created` members hold it: RFC 3339, up to nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// 1970-01-01T00:00:00Z: what an image made from nothing was created at, when nothing better is known.
    pub const UNIX_EPOCH: Self = Self(jiff::Timestamp::UNIX_EPOCH);

    /// Makes a moment from whole seconds since 1970.
    ///
    /// # Errors
    /// The year does not have four digits.
    pub fn from_seconds(seconds: i64) -> Result<Self, TimestampError> {
        jiff::Timestamp::from_second(seconds)
            .ok()
            .filter(|time| (0..=9999).contains(&time.to_zoned(jiff::tz::TimeZone::UTC).year()))
            .map(Self)
            .ok_or_else(|| TimestampError {
                text: seconds.to_string(),
            })
    }

    /// Gives whole seconds since 1970, rounded down, as tar headers hold them.
    pub fn seconds(self) -> i64 {
        let seconds = self.0.as_second();
        // jiff rounds towards zero, so a fraction before 1970 lies one second earlier.
        if self.0.subsec_nanosecond() < 0 {
            seconds - 1
        } else {
            seconds
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        text.parse().map(Self).map_err(|_| TimestampError {
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, TimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

/// A text that is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time, expected RFC 3339 such as `2026-01-31T08:00:00Z`, or seconds since 1970")]
pub struct TimestampError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        let cases = [
            ("2023-06-13T10:00:00.12Z", "2023-06-13T10:00:00.12Z"),
            ("2023-06-13T12:00:00+02:00", "2023-06-13T10:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("2023-06-13T10:00:00.123456789Z", "2023-06-13T10:00:00.123456789Z"),
        ];
        for (text, printed) in cases {
            assert_eq!(
                text.parse::<Timestamp>().map(|time| time.to_string()),
                Ok(printed.to_owned())
            );
        }
    }

    #[test]
    fn seconds_round_down() {
        let before = "1969-12-31T23:59:59.5Z".parse::<Timestamp>().unwrap();
        assert_eq!(before.seconds(), -1);
        assert!(Timestamp::from_seconds(i64::MAX).is_err());
        assert_eq!(Timestamp::from_seconds(0), Ok(Timestamp::UNIX_EPOCH));
    }
}
