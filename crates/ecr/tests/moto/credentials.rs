//! Where AWS's credentials come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_ecr::config::SharedCredentialsProvider;
use aws_sdk_ecr::config::{Credentials, ProvideCredentials};

/// A machine that has none.
pub(crate) fn missing() -> SharedCredentialsProvider {
    missing_counted().0
}

/// The same, and how often it was asked.
pub(crate) fn missing_counted() -> (SharedCredentialsProvider, Arc<AtomicUsize>) {
    let asked = Arc::default();
    (SharedCredentialsProvider::new(Missing(Arc::clone(&asked))), asked)
}

#[derive(Debug)]
struct Missing(Arc<AtomicUsize>);

impl ProvideCredentials for Missing {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.fetch_add(1, Ordering::Relaxed);
        let missing = aws_credential_types::provider::error::CredentialsError::not_loaded("there are none");
        aws_credential_types::provider::future::ProvideCredentials::ready(Err::<Credentials, _>(missing))
    }
}
