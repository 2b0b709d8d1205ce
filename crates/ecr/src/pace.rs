//! How often ECR lets itself be asked, as data.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use onlay_oci::Registry;
use onlay_registry::{Action, Pace};

use crate::host::Service;

/// An action of ECR's API that has a quota, as AWS's console of quotas calls it. A request to a registry counts as one
/// of them, or as two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EcrAction {
    /// Whether blobs are there: HEAD of a blob.
    BatchCheckLayerAvailability,
    /// HEAD and GET of a manifest.
    BatchGetImage,
    /// The end of an upload.
    CompleteLayerUpload,
    /// GET of a blob.
    GetDownloadUrlForLayer,
    /// POST that begins an upload or mounts a blob.
    InitiateLayerUpload,
    /// PUT of a manifest or index.
    PutImage,
    /// The bytes of an upload.
    UploadLayerPart,
}

/// How many requests an account may make in a second and a region, by action.
///
/// The default is what every account has. Quotas can be raised; then it is for the user to say.
#[derive(Clone, Debug, Default)]
pub struct Quotas {
    raised: BTreeMap<EcrAction, NonZeroU32>,
}

/// Why a text is no quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// There is no `=`, or no number of at least 1 behind it.
    #[error("`{text}` is malformed, expected ACTION=N with N requests a second, at least 1")]
    Form {
        /// The whole text.
        text: String,
    },
    /// No action with a quota is called that.
    #[error("unknown action `{name}`, expected one of {}", names())]
    Action {
        /// The name.
        name: String,
    },
}

/// Name, default quota of private registries and of ECR Public; none where AWS does not tell.
///
/// Source: ECR user guide "Amazon ECR service quotas", ECR Public user guide "Service quotas"; aws.md §1.2.
const TABLE: &[(EcrAction, &str, u32, Option<u32>)] = &[
    (
        EcrAction::BatchCheckLayerAvailability,
        "BatchCheckLayerAvailability",
        1000,
        Some(200),
    ),
    (EcrAction::BatchGetImage, "BatchGetImage", 2000, None),
    (
        EcrAction::CompleteLayerUpload,
        "CompleteLayerUpload",
        100,
        Some(10),
    ),
    (
        EcrAction::GetDownloadUrlForLayer,
        "GetDownloadUrlForLayer",
        3000,
        None,
    ),
    (
        EcrAction::InitiateLayerUpload,
        "InitiateLayerUpload",
        100,
        Some(10),
    ),
    (EcrAction::PutImage, "PutImage", 10, Some(10)),
    (EcrAction::UploadLayerPart, "UploadLayerPart", 500, None),
];

/// Which part of a second's quota may be used at once after a rest. The other part is room for requests that were apart
/// when they were sent and are not when they arrive.
const BURST_DIVISOR: u32 = 2;

impl Quotas {
    /// Takes another quota for an action than what every account has.
    #[must_use]
    pub fn with(mut self, action: EcrAction, a_second: NonZeroU32) -> Self {
        self.raised.insert(action, a_second);
        self
    }

    /// Reads `ACTION=N`, and takes that.
    ///
    /// # Errors
    /// The text is not of that form, or there is no such action.
    pub fn with_text(self, text: &str) -> Result<Self, QuotaError> {
        let form = || QuotaError::Form {
            text: text.to_owned(),
        };
        let (name, number) = text.split_once('=').ok_or_else(form)?;
        let action = name.parse()?;
        Ok(self.with(action, number.parse().map_err(|_| form())?))
    }

    /// The pace of a request to a registry; none where nothing is known, and where the registry is not ECR's.
    pub fn pace(&self, registry: &Registry, action: Action) -> Option<Pace> {
        self.pace_of(&Service::of(registry)?, action)
    }

    fn pace_of(&self, service: &Service, action: Action) -> Option<Pace> {
        let rates = costs(action)
            .iter()
            .filter_map(|cost| self.a_second(service, *cost));
        rates.min().map(|a_second| Pace {
            interval: Duration::from_secs(1) / a_second,
            burst: (a_second / BURST_DIVISOR).max(1),
        })
    }

    fn a_second(&self, service: &Service, action: EcrAction) -> Option<u32> {
        if let Some(raised) = self.raised.get(&action) {
            return Some(raised.get());
        }
        let (.., private, public) = TABLE.iter().find(|(known, ..)| *known == action)?;
        match service {
            Service::Private(_) => Some(*private),
            Service::Public => *public,
        }
    }
}

impl FromStr for EcrAction {
    type Err = QuotaError;

    fn from_str(name: &str) -> Result<Self, QuotaError> {
        let known = TABLE.iter().find(|(_, known, ..)| *known == name);
        known
            .map(|(action, ..)| *action)
            .ok_or_else(|| QuotaError::Action {
                name: name.to_owned(),
            })
    }
}

/// What a request to the registry counts as.
///
/// Source: ECR user guide "Amazon ECR service quotas", which lists the actions behind docker's push and pull.
fn costs(action: Action) -> &'static [EcrAction] {
    match action {
        Action::HeadManifest | Action::PullManifest => &[EcrAction::BatchGetImage],
        Action::PutManifest => &[EcrAction::PutImage],
        Action::HeadBlob => &[EcrAction::BatchCheckLayerAvailability],
        Action::PullBlob => &[EcrAction::GetDownloadUrlForLayer],
        Action::StartUpload => &[EcrAction::InitiateLayerUpload],
        Action::SendBlob => &[EcrAction::UploadLayerPart, EcrAction::CompleteLayerUpload],
        _ => &[],
    }
}

fn names() -> String {
    let names: Vec<&str> = TABLE.iter().map(|(_, name, ..)| *name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    const PUBLIC: &str = "public.ecr.aws";

    fn pace(quotas: &Quotas, host: &str, action: Action) -> Option<(u128, u32)> {
        let pace = quotas.pace(&host.parse().unwrap(), action)?;
        Some((pace.interval.as_micros(), pace.burst))
    }

    #[test]
    fn requests_have_the_pace_of_what_they_count_as() {
        let cases = [
            (PRIVATE, Action::PutManifest, Some((100_000, 5))),
            (PRIVATE, Action::StartUpload, Some((10_000, 50))),
            // The end of an upload is the narrower of the two.
            (PRIVATE, Action::SendBlob, Some((10_000, 50))),
            (PRIVATE, Action::HeadBlob, Some((1_000, 500))),
            (PRIVATE, Action::HeadManifest, Some((500, 1000))),
            (PRIVATE, Action::PullManifest, Some((500, 1000))),
            (PRIVATE, Action::PullBlob, Some((333, 1500))),
            (PRIVATE, Action::ListTags, None),
            (PRIVATE, Action::FetchToken, None),
            (PUBLIC, Action::PutManifest, Some((100_000, 5))),
            (PUBLIC, Action::StartUpload, Some((100_000, 5))),
            (PUBLIC, Action::SendBlob, Some((100_000, 5))),
            (PUBLIC, Action::HeadBlob, Some((5_000, 100))),
            (PUBLIC, Action::PullBlob, None),
            ("docker.io", Action::PutManifest, None),
        ];
        for (host, action, expected) in cases {
            assert_eq!(
                pace(&Quotas::default(), host, action),
                expected,
                "{host} {action:?}"
            );
        }
    }

    #[test]
    fn quotas_can_be_raised_and_lowered() {
        let quotas = Quotas::default()
            .with_text("PutImage=50")
            .and_then(|quotas| quotas.with_text("BatchGetImage=1"))
            .unwrap();
        assert_eq!(pace(&quotas, PRIVATE, Action::PutManifest), Some((20_000, 25)));
        assert_eq!(pace(&quotas, PRIVATE, Action::HeadManifest), Some((1_000_000, 1)));
        assert_eq!(pace(&quotas, PRIVATE, Action::StartUpload), Some((10_000, 50)));
    }

    #[test]
    fn texts_that_are_no_quota() {
        let cases = [
            (
                "PutImage",
                "`PutImage` is malformed, expected ACTION=N with N requests a second, at least 1",
            ),
            (
                "PutImage=0",
                "`PutImage=0` is malformed, expected ACTION=N with N requests a second, at least 1",
            ),
            (
                "putimage=5",
                "unknown action `putimage`, expected one of BatchCheckLayerAvailability, BatchGetImage, \
                 CompleteLayerUpload, GetDownloadUrlForLayer, InitiateLayerUpload, PutImage, UploadLayerPart",
            ),
        ];
        for (text, expected) in cases {
            let error = Quotas::default().with_text(text).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
