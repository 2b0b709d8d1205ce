use onlay_oci::Timestamp;

use crate::environment;
use crate::failure::Usage;

/// The build's time and where it was taken from, which is shown.
#[derive(Clone, Debug)]
pub(crate) struct BuildTime {
    /// The time; none means that the base's decides.
    pub time: Option<Timestamp>,
    /// Where it is from.
    pub from: &'static str,
}

impl BuildTime {
    /// Takes `--timestamp`, else `SOURCE_DATE_EPOCH`, else when the context's commit was made (in seconds since 1970),
    /// else none.
    pub(crate) fn resolve(timestamp: Option<&str>, committed: Option<i64>) -> anyhow::Result<Self> {
        if let Some(text) = timestamp {
            return Ok(Self {
                time: Some(parse(text)?),
                from: "--timestamp",
            });
        }
        if let Some(text) = environment::text(environment::SOURCE_DATE_EPOCH) {
            return Ok(Self {
                time: Some(seconds(&text)?),
                from: "SOURCE_DATE_EPOCH",
            });
        }
        match committed {
            Some(committed) => Ok(Self {
                time: Some(Timestamp::from_seconds(committed)?),
                from: "the context's commit",
            }),
            None => Ok(Self {
                time: None,
                from: "the base",
            }),
        }
    }
}

fn parse(text: &str) -> Result<Timestamp, Usage> {
    if text == "now" {
        return now();
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return seconds(text);
    }
    text.parse()
        .map_err(|error: onlay_oci::TimestampError| Usage(error.to_string()))
}

fn seconds(text: &str) -> Result<Timestamp, Usage> {
    let malformed = || {
        Usage(format!(
            "`{text}` is no time between 1970 and 9999 in seconds since 1970"
        ))
    };
    let number = text.trim().parse().map_err(|_| malformed())?;
    Timestamp::from_seconds(number).map_err(|_| malformed())
}

/// Reads the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock decides nothing unless the user asks for `now`; else it is only shown"
)]
pub(crate) fn now() -> Result<Timestamp, Usage> {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let number = since_1970
        .map_err(|_| Usage("the clock of this machine stands before 1970".to_owned()))?
        .as_secs();
    seconds(&number.to_string())
}
