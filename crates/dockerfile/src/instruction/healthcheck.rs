use std::time::Duration;

use super::CommandForm;
use super::duration::{self, DurationError};
use super::missing_arguments;
use crate::diagnostic::Report;
use crate::flags::{self, Flags, Known};
use crate::source::Spanned;
use crate::statement::Statement;
use crate::words::is_ascii_blank;

/// `HEALTHCHECK [flags] CMD command`, or `HEALTHCHECK NONE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// Takes away the health check of the base.
    None,
    /// Sets one.
    Probe(Probe),
}

/// A health check. What is zero is left to the engine's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is run; not an empty list, not an empty text.
    pub command: CommandForm,
    /// `--interval`
    pub interval: Duration,
    /// `--timeout`
    pub timeout: Duration,
    /// `--start-period`
    pub start_period: Duration,
    /// `--start-interval`
    pub start_interval: Duration,
    /// `--retries`
    pub retries: u32,
}

const FLAGS: [Known; 5] = [
    flags::value("interval"),
    flags::value("timeout"),
    flags::value("start-period"),
    flags::value("start-interval"),
    flags::value("retries"),
];

/// Engines refuse shorter ones, except zero.
const SHORTEST: Duration = Duration::from_millis(1);

impl Healthcheck {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        let arguments = statement.arguments();
        let kind = arguments.split(is_ascii_blank).next().unwrap_or_default();
        let offset = arguments.len() - arguments[kind.len()..].trim_start_matches(is_ascii_blank).len();
        match kind.to_ascii_uppercase().as_str() {
            "" => {
                missing_arguments(statement, report, "at least one argument");
                None
            }
            // The flags are not looked at, as in BuildKit.
            "NONE" if offset == arguments.len() => Some(Self::None),
            "NONE" => {
                let span = statement.span_of(offset..arguments.len());
                report.error(span, "HEALTHCHECK NONE takes no arguments");
                None
            }
            "CMD" => Probe::parse(statement, offset, report).map(Self::Probe),
            _ => {
                let hint = Some("write `HEALTHCHECK CMD command` or `HEALTHCHECK NONE`".to_owned());
                let span = statement.span_of(0..kind.len());
                report.error_with_hint(span, format!("unknown type `{kind}` in HEALTHCHECK"), hint);
                None
            }
        }
    }
}

impl Probe {
    fn parse(statement: &Statement<'_>, offset: usize, report: &mut Report) -> Option<Self> {
        let flags = Flags::parse(statement, &FLAGS, report);
        let mut duration = |name| {
            flags
                .value(name)
                .map_or(Duration::ZERO, |value| parse_duration(name, &value, report))
        };
        let (interval, timeout) = (duration("interval"), duration("timeout"));
        let (start_period, start_interval) = (duration("start-period"), duration("start-interval"));
        let retries = flags
            .value("retries")
            .map_or(0, |value| parse_retries(&value, report));
        let command = CommandForm::parse(statement, offset, report)?;
        let is_empty = match &command {
            CommandForm::Shell(text) => text.is_empty(),
            CommandForm::Exec(words) => words.is_empty(),
        };
        if is_empty {
            report.error(statement.blame(), "missing a command after HEALTHCHECK CMD");
        }
        Some(Self {
            command,
            interval,
            timeout,
            start_period,
            start_interval,
            retries,
        })
    }
}

fn parse_duration(name: &str, value: &Spanned<String>, report: &mut Report) -> Duration {
    let text = &value.value;
    if text.is_empty() {
        return Duration::ZERO;
    }
    let error = match duration::parse(text) {
        Ok(duration) if duration.is_zero() || duration >= SHORTEST => return duration,
        Ok(_) | Err(DurationError::Negative) => format!("`--{name}` cannot be less than 1ms, found `{text}`"),
        Err(DurationError::Invalid) => format!("invalid duration `{text}` for `--{name}`"),
        Err(DurationError::NoUnit) => format!("missing unit in duration `{text}` for `--{name}`"),
        Err(DurationError::UnknownUnit(unit)) => {
            format!("unknown unit `{unit}` in duration `{text}` for `--{name}`")
        }
    };
    report.error_with_hint(
        value.span,
        error,
        Some("a duration is written like `30s`, `1m30s` or `500ms`".to_owned()),
    );
    Duration::ZERO
}

fn parse_retries(value: &Spanned<String>, report: &mut Report) -> u32 {
    let text = &value.value;
    match text.parse::<i32>() {
        _ if text.is_empty() => 0,
        Ok(retries) if retries >= 0 => retries.unsigned_abs(),
        Ok(_) => {
            report.error(
                value.span,
                format!("`--retries` cannot be negative, found `{text}`"),
            );
            0
        }
        Err(_) => {
            report.error(
                value.span,
                format!("expected a number for `--retries`, found `{text}`"),
            );
            0
        }
    }
}
