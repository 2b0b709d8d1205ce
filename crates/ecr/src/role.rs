use std::str::FromStr;

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_sdk_ecr::config::{Region, SharedCredentialsProvider};

/// A role that is taken on to speak to a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role {
    arn: String,
    external_id: Option<String>,
}

/// Why a text names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// Its first part is not a role's ARN.
    #[error("`{text}` is no role, expected arn:PARTITION:iam::ACCOUNT:role/NAME")]
    Arn {
        /// What stands in its place.
        text: String,
    },
    /// No account can have asked for that.
    #[error("`{text}` is no external id, expected 2 to 1224 letters, digits and `_+=,.@:/-`")]
    ExternalId {
        /// What stands in its place.
        text: String,
    },
}

/// What sessions are called in the logs of the account that is visited.
const SESSION: &str = "onlay";

/// How long external ids are, in characters.
///
/// Source: STS API reference, AssumeRole.
const EXTERNAL_ID_LENGTHS: std::ops::RangeInclusive<usize> = 2..=1224;

impl Role {
    /// The role, as policies name it.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The configuration with this role's credentials in place of its own. They are asked for when they are first
    /// needed, in the region of the registry: that is in the partition of its account, which the configuration's own
    /// region need not be.
    pub(crate) async fn assumed(&self, aws: &SdkConfig, region: &str) -> SdkConfig {
        let mut timed = aws.to_builder();
        // The provider panics without a clock, which whatever reads the environment sets.
        timed.set_time_source(Some(aws.time_source().unwrap_or_default()));
        let mut provider = AssumeRoleProvider::builder(&self.arn)
            .session_name(SESSION)
            .region(Region::new(region.to_owned()))
            .configure(&timed.build());
        if let Some(external_id) = &self.external_id {
            provider = provider.external_id(external_id);
        }
        let provider = SharedCredentialsProvider::new(provider.build().await);
        aws.to_builder().credentials_provider(provider).build()
    }
}

impl FromStr for Role {
    type Err = RoleError;

    /// Reads `ROLE_ARN[,EXTERNAL_ID]`.
    fn from_str(text: &str) -> Result<Self, RoleError> {
        let (arn, external_id) = match text.split_once(',') {
            Some((arn, external_id)) => (arn, Some(external_id)),
            None => (text, None),
        };
        if !is_role(arn) {
            return Err(RoleError::Arn { text: arn.to_owned() });
        }
        if let Some(text) = external_id.filter(|text| !is_external_id(text)) {
            return Err(RoleError::ExternalId {
                text: text.to_owned(),
            });
        }
        Ok(Self {
            arn: arn.to_owned(),
            external_id: external_id.map(str::to_owned),
        })
    }
}

fn is_role(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, partition, _, _, account, resource] = parts[..] else {
        return false;
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let name = resource.strip_prefix("role/").unwrap_or_default();
    arn.starts_with("arn:aws")
        && !partition.is_empty()
        && parts[2..4] == ["iam", ""]
        && is_account
        && !name.is_empty()
}

fn is_external_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
    EXTERNAL_ID_LENGTHS.contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_with_and_without_an_external_id() {
        let cases = [
            ("arn:aws:iam::123456789012:role/push", None),
            ("arn:aws-cn:iam::123456789012:role/ci/push,a,b", Some("a,b")),
        ];
        for (text, external_id) in cases {
            let role: Role = text.parse().unwrap();
            assert_eq!(role.external_id.as_deref(), external_id, "{text}");
        }
    }

    #[test]
    fn texts_that_name_no_role() {
        let cases = [
            ("", "`` is no role"),
            ("arn:aws:iam::123456789012:user/x", "is no role"),
            ("arn:aws:iam::12345678901:role/x", "is no role"),
            ("arn:aws:iam:eu-west-1:123456789012:role/x", "is no role"),
            ("arn:aws:iam::123456789012:role/", "is no role"),
            ("arn:aws:iam::123456789012:role/x,", "`` is no external id"),
            ("arn:aws:iam::123456789012:role/x,a b", "`a b` is no external id"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Role>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
