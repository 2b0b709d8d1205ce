use std::time::Duration;

/// The units of Go's durations, in nanoseconds. Both ways to write micro are there.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// What is wrong with the text of a duration.
#[derive(Debug, PartialEq)]
pub(super) enum DurationError {
    /// It is no duration at all, or too long for 63 bits of nanoseconds.
    Invalid,
    /// A number without a unit.
    NoUnit,
    /// A number with a unit that does not exist.
    UnknownUnit(String),
    /// It is below zero.
    Negative,
}

/// Reads a duration as Go writes it: `1m30s`, `1.5h`, `0`.
pub(super) fn parse(text: &str) -> Result<Duration, DurationError> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(DurationError::Invalid);
    }
    let mut total = 0u64;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (nanoseconds, after) = parse_part(rest)?;
        total = total
            .checked_add(nanoseconds)
            .filter(|total| i64::try_from(*total).is_ok())
            .ok_or(DurationError::Invalid)?;
        rest = after;
    }
    if text.starts_with('-') && total > 0 {
        Err(DurationError::Negative)
    } else {
        Ok(Duration::from_nanos(total))
    }
}

/// One number with its unit, and what follows.
fn parse_part(text: &str) -> Result<(u64, &str), DurationError> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, after) = text.split_at(digits(text));
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => after.split_at(digits(after)),
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Invalid);
    }
    let (unit, after) = after.split_at(
        after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len()),
    );
    let scale = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => *scale,
        None if unit.is_empty() => return Err(DurationError::NoUnit),
        None => return Err(DurationError::UnknownUnit(unit.to_owned())),
    };
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().map_err(|_| DurationError::Invalid)?
    };
    let whole = whole.checked_mul(scale).ok_or(DurationError::Invalid)?;
    Ok((
        whole
            .checked_add(scale_fraction(fraction, scale))
            .ok_or(DurationError::Invalid)?,
        after,
    ))
}

/// The part of a unit that decimals stand for, rounded down. Digits beyond nanoseconds do not count.
fn scale_fraction(digits: &str, scale: u64) -> u64 {
    let mut place = u128::from(scale);
    let mut divisor = 1u128;
    let mut sum = 0u128;
    // 18 digits are beyond a nanosecond of the largest unit.
    for digit in digits.bytes().take(18) {
        sum = sum * 10 + u128::from(digit - b'0');
        divisor *= 10;
    }
    place *= sum;
    u64::try_from(place / divisor).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let check = |text: &str, nanoseconds| {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}")
        };
        check("0", 0);
        check("-0", 0);
        check("0s", 0);
        check("1m30s", 90_000_000_000);
        check("500ms", 500_000_000);
        check("1.5h", 5_400_000_000_000);
        check("+.5s", 500_000_000);
        check("1.s", 1_000_000_000);
        check("2µs", 2_000);
        check("2μs", 2_000);
        check("1h2m3s4ms5us6ns", 3_723_004_005_006);
        check("0.3333333333333333333h", 1_200_000_000_000 - 1);
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let check = |text: &str, error| assert_eq!(parse(text), Err(error), "{text}");
        check("", DurationError::Invalid);
        check("abc", DurationError::Invalid);
        check(".s", DurationError::Invalid);
        check("1e9s", DurationError::UnknownUnit("e".into()));
        check("10", DurationError::NoUnit);
        check("10x", DurationError::UnknownUnit("x".into()));
        check("1 s", DurationError::UnknownUnit(" s".into()));
        check("-5s", DurationError::Negative);
        check("9999999999h", DurationError::Invalid);
        check("99999999999999999999s", DurationError::Invalid);
    }
}
