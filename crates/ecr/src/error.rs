use std::error::Error;

use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};

/// Why ECR's API did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EcrError {
    /// It answered with an error; rights that are missing are named in its words.
    #[error("{action} in `{region}`: {code}: {message}")]
    Refused {
        /// The action of ECR's API.
        action: &'static str,
        /// The region that was asked.
        region: String,
        /// AWS's name for the error.
        code: String,
        /// AWS's own words.
        message: String,
    },
    /// It was not asked, or did not answer: no credentials for AWS, no connection.
    #[error("{action} in `{region}` got no answer")]
    Unanswered {
        /// The action of ECR's API.
        action: &'static str,
        /// The region that was asked.
        region: String,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It does not take the digest of a blob for one.
    #[error("BatchCheckLayerAvailability in `{region}`: `{digest}`: {message}")]
    Layer {
        /// The region that was asked.
        region: String,
        /// The digest, as it was sent.
        digest: String,
        /// AWS's own words.
        message: String,
    },
    /// It gave no token, or one that is not what tokens look like.
    #[error("GetAuthorizationToken in `{region}` gave nothing that opens a registry")]
    Token {
        /// The region that was asked.
        region: String,
    },
}

/// How AWS calls it when a right is missing; what names the right is in the message.
const DENIED: &str = "AccessDeniedException";

impl EcrError {
    /// Tells whether the right to ask this is missing.
    pub fn is_denied(&self) -> bool {
        self.code() == Some(DENIED)
    }

    /// Tells whether there is no such repository.
    pub fn is_repository_not_found(&self) -> bool {
        self.code() == Some("RepositoryNotFoundException")
    }

    /// AWS's name for what is wrong.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Unanswered { .. } | Self::Layer { .. } | Self::Token { .. } => None,
        }
    }

    pub(crate) fn new<E, R>(action: &'static str, region: &str, error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let region = region.to_owned();
        match error.code() {
            Some(code) => Self::Refused {
                action,
                region,
                code: code.to_owned(),
                message: error.message().unwrap_or_default().to_owned(),
            },
            // Its own text only says which stage failed; what lies below says why.
            None => Self::Unanswered {
                action,
                region,
                source: error.into_source().unwrap_or_else(Into::into),
            },
        }
    }
}
