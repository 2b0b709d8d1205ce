//! [`Ecr`] against moto's server, which speaks ECR's own API. What moto is not faithful in (tokens that end in 2015) is
//! said where it matters.
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, with the reason"
)]

mod credentials;
mod fake;
mod public;
mod questions;
mod repositories;
mod roles;
mod server;

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecr::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::time::SystemTimeSource;
use onlay_ecr::{Ecr, EcrOptions, Quotas, RepositoryTemplate, load_aws_configuration};
use onlay_http::ConnectionOptions;
use onlay_registry::{Credential, Extension, Secret};

use server::Moto;

/// moto's own account.
const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

fn ecr(endpoint: &str, create_repositories: bool) -> Ecr {
    Ecr::new(EcrOptions {
        create_repositories: create_repositories.then(RepositoryTemplate::default),
        ..options(configuration(endpoint))
    })
}

fn with(aws: SdkConfig) -> Ecr {
    Ecr::new(options(aws))
}

fn options(aws: SdkConfig) -> EcrOptions {
    EcrOptions {
        aws: aws.into(),
        create_repositories: None,
        quotas: Quotas::default(),
        roles: Default::default(),
        public_credentials: false,
    }
}

/// The API itself, in the region of the tests.
fn client(endpoint: &str) -> aws_sdk_ecr::Client {
    let config = aws_sdk_ecr::config::Builder::from(&configuration(endpoint))
        .region(Region::new("eu-west-1"))
        .build();
    aws_sdk_ecr::Client::from_conf(config)
}

fn configuration(endpoint: &str) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new().build_http();
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .http_client(http)
        .time_source(SystemTimeSource::new())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .build()
}

fn token() -> Credential {
    Credential::Password {
        username: "AWS".to_owned(),
        password: Secret::new("123456789012-auth-token"),
    }
}

#[tokio::test]
async fn one_token_serves_all_who_ask_even_if_it_claims_to_have_expired() {
    let moto = Moto::start();
    let ecr = Arc::new(ecr(moto.endpoint(), false));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let ecr = Arc::clone(&ecr);
            tokio::spawn(async move { ecr.credential(&HOST.parse().unwrap(), false).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), Some(token()));
    }
    assert_eq!(moto.requests(), 1);
}

#[tokio::test]
async fn no_secret_is_shown() {
    let moto = Moto::start();
    let keys = Credentials::new(
        "AKIDEXAMPLE",
        "secret-key",
        Some("session-token".to_owned()),
        None,
        "test",
    );
    let aws = configuration(moto.endpoint())
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build();
    let options = options(aws);
    let ecr = Ecr::new(options.clone());
    let registry = HOST.parse().unwrap();
    assert_eq!(ecr.credential(&registry, false).await.unwrap(), Some(token()));
    let missing = "nosuch".parse().unwrap();
    let error = ecr.digests(&registry, &missing).await.map(drop);
    for shown in [format!("{options:?}"), format!("{ecr:?}"), format!("{error:?}")] {
        for secret in ["secret-key", "session-token", "auth-token"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_refused_token_is_asked_for_anew() {
    let moto = Moto::start();
    let ecr = ecr(moto.endpoint(), false);
    let registry = HOST.parse().unwrap();
    ecr.credential(&registry, false).await.unwrap();
    assert_eq!(ecr.credential(&registry, true).await.unwrap(), Some(token()));
    assert_eq!(moto.requests(), 2);
}

#[tokio::test]
async fn each_region_has_a_token_of_its_own() {
    let moto = Moto::start();
    let ecr = ecr(moto.endpoint(), false);
    for host in [HOST, "123456789012.dkr.ecr.eu-central-1.amazonaws.com", HOST] {
        ecr.credential(&host.parse().unwrap(), false).await.unwrap();
    }
    assert_eq!(moto.requests(), 2);
}

#[tokio::test]
async fn a_repository_is_created_once_under_any_parallelism() {
    let moto = Moto::start();
    let ecr = Arc::new(ecr(moto.endpoint(), true));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let ecr = Arc::clone(&ecr);
            tokio::spawn(async move {
                ecr.ensure_repository(&HOST.parse().unwrap(), &"team/vault".parse().unwrap())
                    .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(moto.requests(), 1);
    assert_eq!(moto.repositories().await, ["team/vault"]);
}

#[tokio::test]
async fn a_repository_that_exists_is_no_error() {
    let moto = Moto::start();
    let (registry, repository) = (HOST.parse().unwrap(), "vault".parse().unwrap());
    for _ in 0..2 {
        // A second run has no memory of the first.
        ecr(moto.endpoint(), true)
            .ensure_repository(&registry, &repository)
            .await
            .unwrap();
    }
    assert_eq!(moto.repositories().await, ["vault"]);
}

#[tokio::test]
async fn nothing_is_created_unless_asked_for() {
    let moto = Moto::start();
    ecr(moto.endpoint(), false)
        .ensure_repository(&HOST.parse().unwrap(), &"vault".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(moto.requests(), 0);
}

#[tokio::test]
async fn a_refusal_has_awss_own_words() {
    // A name that ECR takes by now and moto does not (aws.md §1.4).
    let moto = Moto::start();
    let refused = ecr(moto.endpoint(), true)
        .ensure_repository(&HOST.parse().unwrap(), &"a--b".parse().unwrap())
        .await
        .unwrap_err();
    let text = refused.to_string();
    assert!(
        text.starts_with("CreateRepository in `eu-west-1`: InvalidParameterException: "),
        "{text}"
    );
}

#[tokio::test]
async fn other_registries_are_left_alone() {
    let ecr = ecr("http://127.0.0.1:1", true);
    let registry = "registry.example".parse().unwrap();
    assert!(!ecr.matches(&registry));
    assert_eq!(ecr.credential(&registry, false).await.unwrap(), None);
    ecr.ensure_repository(&registry, &"a".parse().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn no_answer_is_an_error_that_says_why() {
    let aws = configuration("http://127.0.0.1:1")
        .into_builder()
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .build();
    let failed = with(aws)
        .credential(&HOST.parse().unwrap(), false)
        .await
        .unwrap_err();
    assert_eq!(
        failed.to_string(),
        "GetAuthorizationToken in `eu-west-1` got no answer"
    );
    let source = std::error::Error::source(&failed).expect("the reason is kept");
    let mut words = source.to_string();
    let mut below = source.source();
    while let Some(error) = below {
        words.push_str(&error.to_string());
        below = error.source();
    }
    assert!(words.contains("refused"), "{words}");
}

#[tokio::test]
async fn the_configuration_always_has_a_region_and_a_clock() {
    let aws = load_aws_configuration(&ConnectionOptions::default())
        .await
        .unwrap();
    assert!(aws.region().is_some() && aws.time_source().is_some());
}
