//! Samples, and how durations and sizes are written.

use std::time::Duration;

/// The durations of one row's runs.
#[derive(Clone, Debug, Default)]
pub struct Sample(Vec<Duration>);

impl Sample {
    /// Adds one.
    pub fn push(&mut self, duration: Duration) {
        self.0.push(duration);
        self.0.sort_unstable();
    }

    /// The middle one; of an even number the upper of the two. Zero where there is none.
    pub fn median(&self) -> Duration {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    /// The shortest.
    pub fn shortest(&self) -> Duration {
        self.0.first().copied().unwrap_or_default()
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

/// How many times as long as `unit` a duration is.
pub fn ratio(duration: Duration, unit: Duration) -> f64 {
    duration.as_secs_f64() / unit.as_secs_f64()
}

/// A duration to three digits: `4.12 s`, `31.4 ms`.
pub fn seconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1e3;
    match milliseconds {
        ..9.995 => format!("{milliseconds:.2} ms"),
        ..99.95 => format!("{milliseconds:.1} ms"),
        ..999.5 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.2} s", milliseconds / 1e3),
    }
}

/// A number of bytes to three digits, in units of 1000: `93.1 MB`, `812 B`.
pub fn bytes(count: u64) -> String {
    let count = count as f64;
    match count {
        ..1e3 => format!("{count} B"),
        ..1e6 => format!("{:.1} kB", count / 1e3),
        _ => format!("{:.1} MB", count / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let mut sample = Sample::default();
        assert_eq!(sample.median(), Duration::ZERO);
        for milliseconds in [50, 10, 40, 20, 30] {
            sample.push(Duration::from_millis(milliseconds));
        }
        assert_eq!(sample.median(), Duration::from_millis(30));
        assert_eq!(sample.shortest(), Duration::from_millis(10));
        assert_eq!(sample.longest(), Duration::from_millis(50));
    }

    #[test]
    fn quantities_have_three_digits() {
        let durations = [
            (4_123_456, "4.12 s"),
            (31_440, "31.4 ms"),
            (312_440, "312 ms"),
            (1_999, "2.00 ms"),
        ];
        for (microseconds, text) in durations {
            assert_eq!(seconds(Duration::from_micros(microseconds)), text);
        }
        for (count, text) in [(812, "812 B"), (1_500, "1.5 kB"), (93_140_000, "93.1 MB")] {
            assert_eq!(bytes(count), text);
        }
    }
}
