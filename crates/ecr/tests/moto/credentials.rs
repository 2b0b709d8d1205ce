//! Where AWS's credentials come from.

use aws_sdk_ecr::config::SharedCredentialsProvider;
use aws_sdk_ecr::config::{Credentials, ProvideCredentials};

/// A machine that has none.
pub(crate) fn missing() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Missing)
}

#[derive(Debug)]
struct Missing;

impl ProvideCredentials for Missing {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let missing = aws_credential_types::provider::error::CredentialsError::not_loaded("there are none");
        aws_credential_types::provider::future::ProvideCredentials::ready(Err::<Credentials, _>(missing))
    }
}
