use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::go::{self, Nanoseconds};
use crate::{CommandForm, ImageError};

/// What HEALTHCHECK sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`: the base's check is switched off.
    None,
    /// `HEALTHCHECK CMD`: this check.
    Probe(Probe),
}

/// A health check. What is zero is left to the engine's default and not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is run in the container; status 0 means healthy.
    pub command: CommandForm,
    /// The time between two checks.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// For how long after the start failures do not count.
    pub start_period: Duration,
    /// The time between two checks during the start period.
    pub start_interval: Duration,
    /// How many failures in a row make a container unhealthy.
    pub retries: u32,
}

/// The `Healthcheck` member of a configuration.
///
/// Source: moby docker-image-spec v1.3, `HealthcheckConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HealthcheckMember {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    test: Vec<String>,
    #[serde(skip_serializing_if = "Nanoseconds::is_zero")]
    interval: Nanoseconds,
    #[serde(skip_serializing_if = "Nanoseconds::is_zero")]
    timeout: Nanoseconds,
    #[serde(skip_serializing_if = "Nanoseconds::is_zero")]
    start_period: Nanoseconds,
    #[serde(skip_serializing_if = "Nanoseconds::is_zero")]
    start_interval: Nanoseconds,
    #[serde(skip_serializing_if = "is_zero")]
    retries: u32,
}

impl TryFrom<&Healthcheck> for HealthcheckMember {
    type Error = ImageError;

    fn try_from(healthcheck: &Healthcheck) -> Result<Self, ImageError> {
        let Healthcheck::Probe(probe) = healthcheck else {
            return Ok(Self::none());
        };
        let duration = |duration| Nanoseconds::new(duration).ok_or(ImageError::DurationTooLong { duration });
        Ok(Self {
            test: test_of(&probe.command),
            interval: duration(probe.interval)?,
            timeout: duration(probe.timeout)?,
            start_period: duration(probe.start_period)?,
            start_interval: duration(probe.start_interval)?,
            retries: probe.retries,
        })
    }
}

impl HealthcheckMember {
    fn none() -> Self {
        Self {
            test: vec!["NONE".to_owned()],
            interval: Nanoseconds::default(),
            timeout: Nanoseconds::default(),
            start_period: Nanoseconds::default(),
            start_interval: Nanoseconds::default(),
            retries: 0,
        }
    }
}

/// Prints as Go's `%+v` does, which is what BuildKit's history has.
impl fmt::Display for HealthcheckMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
            go::list(&self.test),
            self.interval,
            self.timeout,
            self.start_period,
            self.start_interval,
            self.retries
        )
    }
}

fn test_of(command: &CommandForm) -> Vec<String> {
    match command {
        CommandForm::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
        CommandForm::Exec(words) => std::iter::once("CMD".to_owned())
            .chain(words.iter().cloned())
            .collect(),
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
