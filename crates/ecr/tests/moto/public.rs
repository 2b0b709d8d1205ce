//! ECR Public, of which moto knows nothing.

use std::sync::Arc;

use onlay_ecr::{AwsSource, Ecr, EcrOptions, RepositoryTemplate};
use onlay_oci::Registry;
use onlay_registry::{Action, Credential, Extension, Secret};
use serde_json::{Value, json};

use crate::fake::{Answer, Call, Fake, error, throttled};
use crate::{configuration, options};

fn registry() -> Registry {
    "public.ecr.aws".parse().unwrap()
}

fn answer(call: &Call, _: usize) -> Answer {
    // The name that signatures and requests have for the service.
    assert_eq!(call.service, "SpencerFrontendService");
    assert!(
        call.authorization
            .contains("/us-east-1/ecr-public/aws4_request, SignedHeaders=content-type;host;x-amz-date;"),
        "{}",
        call.authorization
    );
    match call.action.as_str() {
        "GetAuthorizationToken" => (
            200,
            json!({"authorizationData": {"authorizationToken": "QVdTOnB1YmxpYw==", "expiresAt": 4102444800.5}}),
        ),
        _ => (200, json!({})),
    }
}

fn token() -> Option<Credential> {
    Some(Credential::Password {
        username: "AWS".to_owned(),
        password: Secret::new("public"),
    })
}

fn with_template(endpoint: &str, text: &str) -> Ecr {
    Ecr::new(EcrOptions {
        create_repositories: Some(RepositoryTemplate::parse("template", text).unwrap()),
        ..options(configuration(endpoint))
    })
}

#[tokio::test]
async fn who_only_pulls_needs_no_credentials_and_reads_none_of_awss_files() {
    let ecr = Ecr::new(EcrOptions {
        aws: AwsSource::on_demand(|| async { panic!("it is not to be read") }),
        ..options(configuration("http://127.0.0.1:1"))
    });
    assert!(ecr.matches(&registry()));
    for renew in [false, true] {
        assert_eq!(ecr.credential(&registry(), renew).await.unwrap(), None);
    }
    let repository = "docker/library/alpine".parse().unwrap();
    assert_eq!(ecr.digests(&registry(), &repository).await.unwrap(), None);
    assert_eq!(ecr.present(&registry(), &repository, &[]).await.unwrap(), None);
    assert!(ecr.pace(&registry(), Action::PutManifest).is_some());
}

#[tokio::test]
async fn who_pushes_has_a_token_of_its_own_api() {
    let fake = Fake::start(answer);
    let ecr = crate::with(configuration(fake.endpoint()));
    assert_eq!(ecr.credential(&registry(), false).await.unwrap(), None);
    ecr.ensure_repository(&registry(), &"alias/vault".parse().unwrap())
        .await
        .unwrap();
    for host in ["public.ecr.aws", "ecr-public.aws.com"] {
        let credential = ecr.credential(&host.parse().unwrap(), false).await;
        assert_eq!(credential.unwrap(), token());
    }
    assert_eq!(fake.actions(), ["GetAuthorizationToken"]);
    // One that was refused is asked for anew.
    ecr.credential(&registry(), true).await.unwrap();
    assert_eq!(fake.actions().len(), 2);
}

#[tokio::test]
async fn who_wants_to_be_counted_has_a_token_for_pulls_too() {
    let fake = Fake::start(|call, before| {
        if before == 0 {
            throttled()
        } else {
            answer(call, before)
        }
    });
    let ecr = Arc::new(Ecr::new(EcrOptions {
        public_credentials: true,
        ..options(configuration(fake.endpoint()))
    }));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let ecr = Arc::clone(&ecr);
            tokio::spawn(async move { ecr.credential(&registry(), false).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), token());
    }
    // The second is the first again, after the quota had been used up.
    assert_eq!(fake.actions(), ["GetAuthorizationToken"; 2]);
}

#[tokio::test]
async fn without_credentials_a_push_says_so() {
    let fake = Fake::start(answer);
    let aws = configuration(fake.endpoint())
        .into_builder()
        .credentials_provider(crate::credentials::missing())
        .build();
    let ecr = crate::with(aws);
    ecr.ensure_repository(&registry(), &"alias/vault".parse().unwrap())
        .await
        .unwrap();
    let failed = ecr.credential(&registry(), false).await.unwrap_err();
    assert_eq!(
        failed.to_string(),
        "GetAuthorizationToken in `us-east-1` got no answer"
    );
    let source = std::error::Error::source(&failed).unwrap();
    let below = std::error::Error::source(source).unwrap();
    assert!(
        format!("{source} {below}").contains("there are none"),
        "{source}: {below}"
    );
    assert!(fake.actions().is_empty());
}

#[tokio::test]
async fn repositories_are_created_without_the_alias_and_once() {
    let fake = Fake::start(answer);
    let ecr = Arc::new(with_template(fake.endpoint(), "tags = { team = 'a' }"));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let ecr = Arc::clone(&ecr);
            let repository = "alias/team/vault".parse().unwrap();
            tokio::spawn(async move { ecr.ensure_repository(&registry(), &repository).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let calls: Vec<Value> = fake
        .calls("CreateRepository")
        .into_iter()
        .map(|call| call.body)
        .collect();
    assert_eq!(
        calls,
        [json!({"repositoryName": "team/vault", "tags": [{"Key": "team", "Value": "a"}]})]
    );
}

#[tokio::test]
async fn a_repository_that_exists_is_no_error() {
    let fake = Fake::start(|_, _| {
        error(
            "com.amazonaws#RepositoryAlreadyExistsException:http://x",
            "it is there",
        )
    });
    with_template(fake.endpoint(), "")
        .ensure_repository(&registry(), &"alias/vault".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(fake.actions(), ["CreateRepository"]);
}

#[tokio::test]
async fn what_ecr_public_does_not_have_is_refused_before_anything_is_sent() {
    let fake = Fake::start(|_, _| panic!("nothing is to be sent"));
    let cases = [
        (
            "alias/vault",
            "scan-on-push = true",
            "`alias/vault` cannot be created with `scan-on-push`, which ECR Public does not have",
        ),
        ("vault", "", "`vault` names no account, expected ALIAS/NAME"),
    ];
    for (repository, template, expected) in cases {
        let refused = with_template(fake.endpoint(), template)
            .ensure_repository(&registry(), &repository.parse().unwrap())
            .await
            .unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let fake = Fake::start(|_, _| error("AccessDeniedException", "Access Denied"));
    let denied = with_template(fake.endpoint(), "")
        .ensure_repository(&registry(), &"alias/vault".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        denied.to_string(),
        "`ecr-public:CreateRepository` on `arn:aws:ecr-public::ACCOUNT:repository/vault` is not allowed: Access Denied"
    );
}
