//! AWS's JSON protocol for services that have no SDK crate here: a call each, where a crate would bring hundreds. The older
//! protocol of forms and XML is there for calls of which the answer says no more than that it was done.
//!
//! Left out: streams and pages.

use std::error::Error;
use std::fmt;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_ecr::config::ProvideCredentials;
use aws_sdk_ecr::error::{BoxError, ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_types::service_config::ServiceConfigKey;
use serde_json::Value;

use crate::EcrError;
use crate::calls::Calls;

/// A service of AWS, as it is called by signatures, by requests and by configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceName {
    /// What signatures are for.
    pub(crate) signing: &'static str,
    /// How it is spoken to.
    pub(crate) protocol: Protocol,
    /// What configured endpoints are for, as `AWS_ENDPOINT_URL_..` and profiles have it.
    pub(crate) configuration: &'static str,
}

/// How a service is spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// A JSON document, with this before the action in `X-Amz-Target`.
    Json(&'static str),
    /// A form, with this as the version of the API.
    Query(&'static str),
}

/// A service in a region, spoken to with the credentials and the connections of AWS's configuration.
#[derive(Debug)]
pub(crate) struct SignedApi {
    aws: SdkConfig,
    service: ServiceName,
    endpoint: String,
    calls: Calls,
}

/// A request with its signature, whose `Authorization` is not shown.
#[derive(Clone)]
struct SignedRequest {
    endpoint: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// What a service answered with, other than success.
#[derive(Debug)]
pub(crate) struct Refusal(ErrorMetadata);

/// What has to be there to sign and to send.
#[derive(Debug, thiserror::Error)]
enum Incomplete {
    #[error("the configuration of AWS has no credentials")]
    Credentials,
    #[error("the configuration of AWS has no clock")]
    Clock,
    #[error("the configuration of AWS has no HTTP client")]
    Client,
}

impl SignedApi {
    /// `endpoint` is where the service is reached unless another place is configured.
    pub(crate) fn new(aws: SdkConfig, service: ServiceName, region: &str, endpoint: &str) -> Self {
        let configured = configured_endpoint(&aws, service.configuration);
        let attempts = attempts(&aws);
        Self {
            aws,
            service,
            endpoint: configured.unwrap_or_else(|| endpoint.to_owned()),
            calls: Calls::new(region, attempts),
        }
    }

    /// The region that is asked.
    pub(crate) fn region(&self) -> &str {
        self.calls.region()
    }

    /// Asks, and gives the answer's document.
    pub(crate) async fn call(&self, action: &'static str, body: &Value) -> Result<Value, EcrError> {
        let body = self.service.protocol.body(action, body);
        self.calls.call(action, || self.send(action, body.clone())).await
    }

    async fn send(
        &self,
        action: &'static str,
        body: String,
    ) -> Result<Value, SdkError<Refusal, HttpResponse>> {
        let request = self
            .sign(action, body)
            .await
            .map_err(SdkError::construction_failure)?;
        let protocol = self.service.protocol;
        let client = self.aws.http_client().ok_or(Incomplete::Client);
        let mut operation = Operation::builder()
            .service_name(self.service.signing)
            .operation_name(action)
            .http_client(client.map_err(SdkError::construction_failure)?)
            .endpoint_url(&request.endpoint)
            .no_auth()
            .no_retry()
            .timeout_config(
                self.aws
                    .timeout_config()
                    .cloned()
                    .unwrap_or_else(TimeoutConfig::disabled),
            );
        if let Some(sleep) = self.aws.sleep_impl() {
            operation = operation.sleep_impl(sleep);
        }
        if let Some(clock) = self.aws.time_source() {
            operation = operation.time_source(clock);
        }
        operation
            .serializer(move |()| request.to_http())
            .deserializer(move |response: &HttpResponse| protocol.read(response))
            .build()
            .invoke(())
            .await
    }

    async fn sign(&self, action: &str, body: String) -> Result<SignedRequest, BoxError> {
        let provider = self.aws.credentials_provider().ok_or(Incomplete::Credentials)?;
        let identity: Identity = provider.provide_credentials().await?.into();
        let clock = self.aws.time_source().ok_or(Incomplete::Clock)?;
        let mut headers = self.service.protocol.headers(action);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region())
            .name(self.service.signing)
            .time(clock.now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        // The path is that of the endpoint, where nothing follows.
        let uri = format!("{}/", self.endpoint.trim_end_matches('/'));
        let signable = SignableRequest::new("POST", &uri, pairs, SignableBody::Bytes(body.as_bytes()))?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let added = signature.headers();
        headers.extend(added.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(SignedRequest {
            endpoint: uri,
            headers,
            body,
        })
    }
}

impl Protocol {
    fn headers(self, action: &str) -> Vec<(String, String)> {
        let header = |name: &str, value: String| (name.to_owned(), value);
        match self {
            Self::Json(target) => vec![
                header("content-type", "application/x-amz-json-1.1".to_owned()),
                header("x-amz-target", format!("{target}.{action}")),
            ],
            Self::Query(_) => vec![header(
                "content-type",
                "application/x-www-form-urlencoded".to_owned(),
            )],
        }
    }

    /// A document's members are the fields of a form.
    fn body(self, action: &str, document: &Value) -> String {
        let Self::Query(version) = self else {
            return document.to_string();
        };
        let fields = document.as_object().into_iter().flatten();
        let fields = fields.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", action), ("Version", version)])
            .extend_pairs(fields)
            .finish()
    }

    fn read(self, response: &HttpResponse) -> Result<Value, OrchestratorError<Refusal>> {
        match self {
            Self::Json(_) => read(response),
            Self::Query(_) => read_xml(response),
        }
    }
}

impl SignedRequest {
    fn to_http(&self) -> Result<HttpRequest, BoxError> {
        let mut request = HttpRequest::new(self.body.clone().into());
        request.set_method("POST")?;
        request.set_uri("/")?;
        for (name, value) in &self.headers {
            request.headers_mut().try_insert(name.clone(), value.clone())?;
        }
        Ok(request)
    }
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Error for Refusal {}

impl ProvideErrorMetadata for Refusal {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// Where a service is to be reached instead of at its own address, by environment or profile.
pub(crate) fn configured_endpoint(aws: &SdkConfig, service: &str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let own = aws.service_config().zip(key.ok());
    own.and_then(|(configuration, key)| configuration.load_config(key))
        .or_else(|| aws.endpoint_url().map(str::to_owned))
}

/// How often a request is sent in all where something breaks on the way: as configured, else as the SDKs do it.
pub(crate) fn attempts(aws: &SdkConfig) -> u32 {
    let configured = aws.retry_config().map(|retries| retries.max_attempts());
    configured.unwrap_or_else(|| aws_config::retry::RetryConfig::standard().max_attempts())
}

fn read(response: &HttpResponse) -> Result<Value, OrchestratorError<Refusal>> {
    let body = response.body().bytes().unwrap_or_default();
    let document = serde_json::from_slice::<Value>(body);
    if response.status().is_success() {
        return document.map_err(OrchestratorError::other);
    }
    let document = document.unwrap_or_default();
    let text = |names: [&str; 2]| names.iter().find_map(|name| document.get(*name)?.as_str());
    // `namespace#Code:address`, of which only the middle is the code.
    let code = response
        .headers()
        .get("x-amzn-errortype")
        .or_else(|| text(["__type", "code"]))
        .map(|code| code.rsplit('#').next().unwrap_or(code))
        .and_then(|code| code.split(':').next());
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = code {
        metadata = metadata.code(code);
    }
    if let Some(message) = text(["message", "Message"]) {
        metadata = metadata.message(message);
    }
    Err(OrchestratorError::operation(Refusal(metadata.build())))
}

/// Nothing of an answer is needed but whether it was done, and if not, the code and the message.
fn read_xml(response: &HttpResponse) -> Result<Value, OrchestratorError<Refusal>> {
    if response.status().is_success() {
        return Ok(Value::Null);
    }
    let body = String::from_utf8_lossy(response.body().bytes().unwrap_or_default());
    let text = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    };
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = text("Code") {
        metadata = metadata.code(code);
    }
    if let Some(message) = text("Message") {
        metadata = metadata.message(message);
    }
    Err(OrchestratorError::operation(Refusal(metadata.build())))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use aws_sdk_ecr::config::{Credentials, SharedCredentialsProvider};
    use aws_smithy_async::time::StaticTimeSource;

    use super::*;

    const NAME: ServiceName = ServiceName {
        signing: "ecr-public",
        protocol: Protocol::Json("SpencerFrontendService"),
        configuration: "ECR PUBLIC",
    };

    /// A signature of 2026-11-23 12:34:56 with the keys of AWS's own examples.
    async fn authorization(endpoint: &str, token: Option<&str>) -> String {
        let keys = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            token.map(str::to_owned),
            None,
            "test",
        );
        let clock = StaticTimeSource::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_437_296));
        let aws = SdkConfig::builder()
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .time_source(clock)
            .build();
        let api = SignedApi::new(aws, NAME, "us-east-1", endpoint);
        let request = api.sign("GetAuthorizationToken", "{}".to_owned()).await.unwrap();
        assert!(!format!("{request:?}").contains("Signature"));
        let authorization = request.headers.iter().find(|(name, _)| name == "authorization");
        authorization.unwrap().1.clone()
    }

    /// The expected signatures are those of botocore 1.44's `SigV4Auth` for the same requests.
    #[tokio::test]
    async fn signatures_are_those_of_botocore() {
        let cases = [
            (
                "https://api.ecr-public.us-east-1.amazonaws.com",
                None,
                "content-type;host;x-amz-date;x-amz-target, Signature=66578bba0789d339373bc49aaa015187ed841f26e874d403f3e64beb3a802482",
            ),
            (
                "http://127.0.0.1:5000/",
                None,
                "content-type;host;x-amz-date;x-amz-target, Signature=62d75706f97997f11aed044f953d0ec338b883d6d5f1008dde2ab8e2024b12d6",
            ),
            (
                "https://api.ecr-public.us-east-1.amazonaws.com",
                Some("session/token=="),
                "content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=ceb49bfb2b4b28a943eab7503dc0784284373cc3bcfe1b5623b5e286c57a9ca2",
            ),
        ];
        let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/us-east-1/ecr-public/aws4_request, SignedHeaders=";
        for (endpoint, token, expected) in cases {
            assert_eq!(
                authorization(endpoint, token).await,
                format!("{scope}{expected}"),
                "{endpoint}"
            );
        }
    }
}
