use std::error::Error;

use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// Why ECR's API did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EcrError {
    /// Connections to AWS cannot be set up as they are configured.
    #[error("AWS cannot be asked")]
    Connections {
        /// What is wrong.
        source: onlay_http::ClientError,
    },
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
    /// It answered, but not with anything that AWS's services say.
    #[error("{action} in `{region}`: status {status}, with no reason")]
    Status {
        /// The action of ECR's API.
        action: &'static str,
        /// The region that was asked.
        region: String,
        /// The status of HTTP.
        status: u16,
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
    /// A right is missing.
    #[error("`{right}` on `{resource}` is not allowed: {message}")]
    Right {
        /// What has to be allowed, as policies call it.
        right: String,
        /// What it has to be allowed on.
        resource: String,
        /// AWS's own words.
        message: String,
    },
    /// A repository cannot be called that.
    #[error("`{name}` is no name for a repository in ECR, expected 2 to 256 characters")]
    Name {
        /// The name.
        name: String,
    },
    /// A repository of ECR Public does not say whose it is.
    #[error("`{name}` names no account, expected ALIAS/NAME")]
    Alias {
        /// The name.
        name: String,
    },
    /// A repository of ECR Public cannot have that.
    #[error("`{repository}` cannot be created with `{setting}`, which ECR Public does not have")]
    Setting {
        /// The repository's path.
        repository: String,
        /// What templates call it.
        setting: &'static str,
    },
    /// A repository was made, but not as it was to be.
    #[error("`{repository}` was created, but without {missing}")]
    Incomplete {
        /// The repository's path.
        repository: String,
        /// What it lacks.
        missing: &'static str,
        /// Why.
        source: Box<EcrError>,
    },
    /// The SDK finds a request incomplete.
    #[error("a request to ECR could not be made")]
    Request(#[source] aws_sdk_ecr::error::BuildError),
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

    /// Tells whether another way to find out what was asked may do better: the right is missing, or nobody answers.
    pub(crate) fn is_for_others(&self) -> bool {
        self.is_denied() || matches!(self, Self::Unanswered { .. } | Self::Status { .. })
    }

    /// Tells whether there is no such repository.
    pub fn is_repository_not_found(&self) -> bool {
        self.code() == Some("RepositoryNotFoundException")
    }

    /// AWS's name for what is wrong.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Incomplete { source, .. } => source.code(),
            Self::Right { .. } => Some(DENIED),
            Self::Unanswered { .. }
            | Self::Status { .. }
            | Self::Layer { .. }
            | Self::Name { .. }
            | Self::Alias { .. }
            | Self::Setting { .. }
            | Self::Request(_)
            | Self::Token { .. }
            | Self::Connections { .. } => None,
        }
    }

    pub(crate) fn request(error: aws_sdk_ecr::error::BuildError) -> Self {
        Self::Request(error)
    }

    /// Names the right that is missing, if that is what is wrong: the one that AWS names, since one request may need
    /// several, else the usual one.
    pub(crate) fn with_right(self, usual: &str, resource: impl FnOnce() -> String) -> Self {
        match self {
            Self::Refused { code, message, .. } if code == DENIED => Self::Right {
                right: named_right(&message).unwrap_or(usual).to_owned(),
                resource: resource(),
                message,
            },
            other => other,
        }
    }

    pub(crate) fn new<E>(action: &'static str, region: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let region = region.to_owned();
        let status = error.raw_response().map(|response| response.status());
        let status = status.filter(|status| !status.is_success());
        match (error.code(), status) {
            (Some(code), _) => Self::Refused {
                action,
                region,
                code: code.to_owned(),
                message: error.message().unwrap_or_default().to_owned(),
            },
            (None, Some(status)) => Self::Status {
                action,
                region,
                status: status.as_u16(),
            },
            // Its own text only says which stage failed; what lies below says why.
            (None, None) => Self::Unanswered {
                action,
                region,
                source: error.into_source().unwrap_or_else(Into::into),
            },
        }
    }
}

/// `User: ARN is not authorized to perform: RIGHT on resource: ARN because ..`
fn named_right(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    rest.split_whitespace().next()
}
