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
    /// It gave no token, or one that is not what tokens look like.
    #[error("GetAuthorizationToken in `{region}` gave nothing that opens a registry")]
    Token {
        /// The region that was asked.
        region: String,
    },
}

impl EcrError {
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
