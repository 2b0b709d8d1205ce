use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aws_config::SdkConfig;
use onlay_http::ClientError;

use crate::EcrError;

/// Where AWS's configuration comes from when it is first needed: reading its files and certificates takes longer than a
/// whole run that needs none of them.
#[derive(Clone)]
pub struct AwsSource(Arc<dyn Fn() -> Loading + Send + Sync>);

type Loading = Pin<Box<dyn Future<Output = Result<SdkConfig, ClientError>> + Send>>;

impl AwsSource {
    /// What `load` gives, asked for once at most.
    pub fn on_demand<F>(load: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<SdkConfig, ClientError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(load())))
    }

    pub(crate) async fn load(&self) -> Result<SdkConfig, EcrError> {
        let loaded = (self.0)().await;
        loaded.map_err(|source| EcrError::Connections { source })
    }
}

impl From<SdkConfig> for AwsSource {
    fn from(aws: SdkConfig) -> Self {
        Self::on_demand(move || std::future::ready(Ok(aws.clone())))
    }
}

impl fmt::Debug for AwsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsSource")
    }
}
