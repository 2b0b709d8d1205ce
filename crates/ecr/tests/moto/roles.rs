//! Roles that are taken on for a registry: moto's STS, and a fake ECR that says who asks.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use aws_config::SdkConfig;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use onlay_ecr::{Ecr, EcrOptions};
use onlay_registry::Extension;
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::server::Moto;
use crate::{HOST, configuration, options};

/// STS here, ECR there, as `AWS_ENDPOINT_URL_STS` and `AWS_ENDPOINT_URL_ECR` would have it.
#[derive(Debug)]
struct Endpoints {
    sts: String,
    ecr: String,
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        match key.service_id() {
            "STS" => Some(self.sts.clone()),
            "ECR" => Some(self.ecr.clone()),
            _ => None,
        }
    }
}

fn aws(moto: &Moto, fake: &Fake) -> SdkConfig {
    let endpoints = Endpoints {
        sts: moto.endpoint().to_owned(),
        ecr: fake.endpoint().to_owned(),
    };
    let mut aws = configuration(moto.endpoint()).into_builder();
    aws.set_endpoint_url(None);
    aws.service_config(endpoints).build()
}

/// The roles that moto's STS gave out, from the server itself.
fn assumed(moto: &Moto) -> Vec<Value> {
    let address = moto.endpoint().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /moto-api/data.json HTTP/1.0\r\nHost: {address}\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let data: Value = serde_json::from_str(body).unwrap();
    data["sts"]["AssumedRole"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn each_registry_is_spoken_to_in_its_own_role() {
    let moto = Moto::start();
    let fake = Fake::start(|_, _| (200, json!({"layers": [], "failures": []})));
    let hosts = [
        HOST,
        "210987654321.dkr.ecr.eu-west-1.amazonaws.com",
        "111111111111.dkr.ecr.eu-west-1.amazonaws.com",
    ];
    let role = |text: &str| text.parse().unwrap();
    let ecr = Ecr::new(EcrOptions {
        roles: BTreeMap::from([
            (
                hosts[0].parse().unwrap(),
                role("arn:aws:iam::123456789012:role/push,a-secret,of-ours"),
            ),
            (
                hosts[1].parse().unwrap(),
                role("arn:aws:iam::210987654321:role/other"),
            ),
        ]),
        ..options(aws(&moto, &fake))
    });
    for host in hosts.into_iter().chain(hosts) {
        let registry = host.parse().unwrap();
        ecr.credential(&registry, false).await.unwrap();
        ecr.present(&registry, &"a/b".parse().unwrap(), &[])
            .await
            .unwrap();
    }
    let mut roles: Vec<(String, String)> = assumed(&moto)
        .iter()
        .map(|role| {
            assert_eq!(role["session_name"], "onlay");
            let text = |key: &str| role[key].as_str().unwrap_or_default().to_owned();
            (text("role_arn"), text("external_id"))
        })
        .collect();
    roles.sort();
    assert_eq!(
        roles,
        [
            (
                "arn:aws:iam::123456789012:role/push".to_owned(),
                "a-secret,of-ours".to_owned()
            ),
            ("arn:aws:iam::210987654321:role/other".to_owned(), String::new()),
        ]
    );
    // A token for each role, and one for who has none, though all are in one region.
    let keys: Vec<String> = fake
        .calls("GetAuthorizationToken")
        .iter()
        .map(|call| {
            let (_, key) = call.authorization.split_once("Credential=").unwrap();
            key.split('/').next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(keys.len(), 3);
    assert!(
        keys[0].starts_with("ASIA") && keys[1].starts_with("ASIA") && keys[0] != keys[1],
        "{keys:?}"
    );
    assert_eq!(keys[2], "ANOTREAL");
}

#[tokio::test]
async fn a_role_that_is_not_given_is_an_error_that_says_why() {
    let moto = Moto::start();
    let fake = Fake::start(|_, _| panic!("there is nothing to sign with"));
    let nowhere = Endpoints {
        sts: "http://127.0.0.1:1".to_owned(),
        ecr: fake.endpoint().to_owned(),
    };
    let aws = aws(&moto, &fake)
        .into_builder()
        .service_config(nowhere)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .build();
    let ecr = Ecr::new(EcrOptions {
        roles: BTreeMap::from([(
            HOST.parse().unwrap(),
            "arn:aws:iam::123456789012:role/x".parse().unwrap(),
        )]),
        ..options(aws)
    });
    let failed = ecr.credential(&HOST.parse().unwrap(), false).await.unwrap_err();
    let mut words = failed.to_string();
    let mut below = std::error::Error::source(&failed);
    while let Some(error) = below {
        words.push_str(": ");
        words.push_str(&error.to_string());
        below = error.source();
    }
    assert!(
        words.starts_with("GetAuthorizationToken in `eu-west-1` got no answer") && words.contains("refused"),
        "{words}"
    );
}
