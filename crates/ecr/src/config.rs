use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use onlay_http::{ClientError, ConnectionOptions};

use crate::http::Http;

/// The region where credentials are asked for when none is configured. ECR itself is asked in the region that a
/// registry's host names.
const DEFAULT_REGION: &str = "us-east-1";

/// Reads AWS's environment variables and files, as its own tools do.
///
/// Credentials are looked up when they are first needed: environment, profile, web identity, container
/// (`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` and `_FULL_URI`), instance metadata. `AWS_ENDPOINT_URL` and
/// `AWS_ENDPOINT_URL_ECR` are honoured. The instance metadata service is not asked for a region, because where there is
/// none that costs seconds.
///
/// Everything goes through connections with these options; link-local addresses, where credentials come from, are never
/// asked through a proxy.
///
/// # Errors
/// Connections cannot be set up with these options.
pub async fn load_aws_configuration(options: &ConnectionOptions) -> Result<SdkConfig, ClientError> {
    let http = Http::new(options)?;
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(DEFAULT_REGION);
    // A version of one's own choosing: timeouts and retries must not change with an update of the SDK.
    Ok(aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .region(region)
        .load()
        .await)
}
