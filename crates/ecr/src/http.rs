//! AWS's SDK over the connections that everything else uses: the same proxies, authorities and built-in roots, so that it
//! works where no certificates are installed.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use onlay_http::{ClientError, ConnectionOptions, Connections, Reach, Trouble};
use reqwest::Method;
use url::Url;

/// How long an answer may take where the SDK sets no limit. All of them are small.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What the SDK sends requests with.
#[derive(Debug)]
pub(crate) struct Http {
    connections: Connections,
    connect_timeout: Duration,
}

/// The same, with the limits of one of the SDK's clients: instance metadata is waited for a second, ECR for longer.
#[derive(Clone, Debug)]
struct Connector {
    connections: Connections,
    /// How long connection and answer may take together.
    patience: Duration,
}

impl Http {
    pub(crate) fn new(options: &ConnectionOptions) -> Result<Self, ClientError> {
        Ok(Self {
            connections: Connections::new(options)?,
            connect_timeout: options.connect_timeout,
        })
    }
}

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let connecting = settings.connect_timeout().unwrap_or(self.connect_timeout);
        SharedHttpConnector::new(Connector {
            connections: self.connections.clone(),
            patience: connecting + settings.read_timeout().unwrap_or(ANSWER_TIMEOUT),
        })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.send(request).await })
    }
}

impl Connector {
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = self.prepare(&request)?;
        let response = request.send().await.map_err(failure)?;
        let code = response.status().as_u16();
        let status = StatusCode::try_from(code).map_err(|error| ConnectorError::other(error.into(), None))?;
        let headers = response.headers().clone();
        let body = response.bytes().await.map_err(failure)?;
        let mut answer = HttpResponse::new(status, SdkBody::from(body));
        for (name, value) in &headers {
            // What is no text is nothing that the SDK looks at.
            if let Ok(value) = value.to_str() {
                answer
                    .headers_mut()
                    .append(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(answer)
    }

    fn prepare(&self, request: &HttpRequest) -> Result<reqwest::RequestBuilder, ConnectorError> {
        let url = Url::parse(request.uri()).map_err(|error| ConnectorError::user(error.into()))?;
        let method = Method::from_bytes(request.method().as_bytes());
        let method = method.map_err(|error| ConnectorError::user(error.into()))?;
        let body = request.body().bytes();
        let body = body.ok_or_else(|| ConnectorError::user("a body that is not in memory".into()))?;
        let connections = self.connections.to(&url, Reach::Anywhere);
        let mut prepared = connections.request(method, url).timeout(self.patience);
        for (name, value) in request.headers() {
            prepared = prepared.header(name, value);
        }
        Ok(prepared.body(body.to_vec()))
    }
}

/// What the SDK makes of a failure: whether it tries again, after how long.
fn failure(error: reqwest::Error) -> ConnectorError {
    // Addresses may have signatures in them.
    let error = error.without_url();
    if error.is_timeout() {
        ConnectorError::timeout(error.into())
    } else if error.is_builder() {
        ConnectorError::user(error.into())
    } else if Trouble::of(&error) == Trouble::Final {
        ConnectorError::other(error.into(), None)
    } else {
        ConnectorError::io(error.into())
    }
}
