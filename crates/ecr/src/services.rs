//! What a run needs of AWS beside registries: a password that is kept there, and somebody told of what became of it.

use onlay_registry::Secret;
use serde_json::{Value, json};

use crate::partition::{domain, partition};
use crate::signed::{Protocol, ServiceName, SignedApi};
use crate::{AwsSource, EcrError};

/// Secrets Manager, Parameter Store and SNS, each as far as one call.
#[derive(Clone, Debug)]
pub struct AwsServices {
    aws: AwsSource,
}

const SECRETS_MANAGER: ServiceName = ServiceName {
    signing: "secretsmanager",
    protocol: Protocol::Json("secretsmanager"),
    configuration: "Secrets Manager",
};

const PARAMETER_STORE: ServiceName = ServiceName {
    signing: "ssm",
    protocol: Protocol::Json("AmazonSSM"),
    configuration: "SSM",
};

/// Source: SNS API reference, Publish; there is no JSON protocol for it.
const SNS: ServiceName = ServiceName {
    signing: "sns",
    protocol: Protocol::Query("2010-03-31"),
    configuration: "SNS",
};

impl AwsServices {
    /// Services with the credentials of AWS's configuration, which is not read before one is asked.
    pub fn new(aws: AwsSource) -> Self {
        Self { aws }
    }

    /// The text of a secret of Secrets Manager, by its ARN, or by its name in the configured region.
    ///
    /// # Errors
    /// It cannot be read, or is not text.
    pub async fn secret(&self, id: &str) -> Result<Secret, EcrError> {
        let api = self.api(SECRETS_MANAGER, id).await?;
        let answer = api.call("GetSecretValue", &json!({"SecretId": id})).await?;
        text(&answer, "/SecretString", "GetSecretValue", &api)
    }

    /// The value of a parameter of Systems Manager, by its ARN, or by its name in the configured region.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn parameter(&self, name: &str) -> Result<Secret, EcrError> {
        let api = self.api(PARAMETER_STORE, name).await?;
        let question = json!({"Name": name, "WithDecryption": true});
        let answer = api.call("GetParameter", &question).await?;
        text(&answer, "/Parameter/Value", "GetParameter", &api)
    }

    /// Sends a message to a topic of SNS, by its ARN.
    ///
    /// # Errors
    /// It was not taken.
    pub async fn publish(&self, topic: &str, subject: &str, message: &str) -> Result<(), EcrError> {
        let api = self.api(SNS, topic).await?;
        let question = json!({"TopicArn": topic, "Subject": subject, "Message": message});
        api.call("Publish", &question).await.map(drop)
    }

    /// The service in the region that an ARN names, else in the configured one.
    async fn api(&self, service: ServiceName, name: &str) -> Result<SignedApi, EcrError> {
        let aws = self.aws.load().await?;
        let configured = aws.region().map(|region| region.as_ref().to_owned());
        let region = region_of(name)
            .map(str::to_owned)
            .or(configured)
            .unwrap_or_default();
        let endpoint = format!(
            "https://{}.{region}.{}",
            service.signing,
            domain(partition(&region))
        );
        Ok(SignedApi::new(aws, service, &region, &endpoint))
    }
}

/// `arn:aws:sns:eu-west-1:123456789012:topic`.
fn region_of(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    (parts.next() == Some("arn")).then_some(())?;
    parts.nth(2).filter(|region| !region.is_empty())
}

fn text(answer: &Value, pointer: &str, action: &'static str, api: &SignedApi) -> Result<Secret, EcrError> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.map(Secret::new).ok_or_else(|| EcrError::Refused {
        action,
        region: api.region().to_owned(),
        code: "NoText".to_owned(),
        message: "there is no text in it".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_names() {
        assert_eq!(
            region_of("arn:aws:sns:eu-west-1:123456789012:topic"),
            Some("eu-west-1")
        );
        assert_eq!(region_of("arn:aws:iam::123456789012:role/x"), None);
        assert_eq!(region_of("/team/token"), None);
    }
}
