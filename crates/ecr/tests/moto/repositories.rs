//! Repositories that are created on request.

use std::sync::Arc;

use onlay_ecr::{Ecr, EcrOptions, RepositoryTemplate};
use onlay_oci::{Registry, Repository};
use onlay_registry::Extension;
use serde_json::{Value, json};

use crate::fake::{Answer, Call, Fake, error};
use crate::server::Moto;
use crate::{HOST, client, configuration, ecr, options};

const LIFECYCLE: &str = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}"#;
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}"#;

fn registry() -> Registry {
    HOST.parse().unwrap()
}

fn repository() -> Repository {
    "team/vault".parse().unwrap()
}

fn with_template(endpoint: &str, text: &str) -> Ecr {
    Ecr::new(EcrOptions {
        create_repositories: Some(RepositoryTemplate::parse("template", text).unwrap()),
        ..options(configuration(endpoint))
    })
}

fn everything() -> String {
    json!({
        "tag-mutability": "IMMUTABLE",
        "tag-mutability-exclusions": ["latest*", "v*"],
        "scan-on-push": true,
        "encryption": {"type": "KMS", "key": "arn:aws:kms:eu-west-1:123456789012:key/abc"},
        "tags": {"team": "platform", "cost": "7"},
        "lifecycle-policy": LIFECYCLE,
        "repository-policy": serde_json::from_str::<Value>(POLICY).unwrap(),
    })
    .to_string()
}

#[tokio::test]
async fn a_repository_has_all_that_the_template_says() {
    let moto = Moto::start();
    with_template(moto.endpoint(), &everything())
        .ensure_repository(&registry(), &repository())
        .await
        .unwrap();
    let client = client(moto.endpoint());
    let described = client.describe_repositories().send().await.unwrap();
    let made = &described.repositories()[0];
    assert_eq!(
        made.image_tag_mutability().unwrap().as_str(),
        "IMMUTABLE_WITH_EXCLUSION"
    );
    let exclusions: Vec<&str> = made
        .image_tag_mutability_exclusion_filters()
        .iter()
        .map(|filter| filter.filter())
        .collect();
    assert_eq!(exclusions, ["latest*", "v*"]);
    assert!(made.image_scanning_configuration().unwrap().scan_on_push());
    let encryption = made.encryption_configuration().unwrap();
    assert_eq!(encryption.encryption_type().as_str(), "KMS");
    assert_eq!(
        encryption.kms_key(),
        Some("arn:aws:kms:eu-west-1:123456789012:key/abc")
    );
    let tags = client
        .list_tags_for_resource()
        .resource_arn(made.repository_arn().unwrap())
        .send()
        .await
        .unwrap();
    let mut tags: Vec<(&str, &str)> = tags.tags().iter().map(|tag| (tag.key(), tag.value())).collect();
    tags.sort_unstable();
    assert_eq!(tags, [("cost", "7"), ("team", "platform")]);
    let lifecycle = client
        .get_lifecycle_policy()
        .repository_name("team/vault")
        .send()
        .await
        .unwrap();
    assert_eq!(
        json_of(lifecycle.lifecycle_policy_text()),
        json_of(Some(LIFECYCLE))
    );
    let policy = client
        .get_repository_policy()
        .repository_name("team/vault")
        .send()
        .await
        .unwrap();
    assert_eq!(json_of(policy.policy_text()), json_of(Some(POLICY)));
}

fn json_of(text: Option<&str>) -> Value {
    serde_json::from_str(text.unwrap()).unwrap()
}

#[tokio::test]
async fn fifty_who_want_it_make_it_once_and_its_policies_once() {
    let fake = Fake::start(|_, _| (200, json!({})));
    let ecr = Arc::new(with_template(fake.endpoint(), &everything()));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let ecr = Arc::clone(&ecr);
            tokio::spawn(async move { ecr.ensure_repository(&registry(), &repository()).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(
        fake.actions(),
        ["CreateRepository", "PutLifecyclePolicy", "SetRepositoryPolicy"]
    );
    let put = &fake.calls("PutLifecyclePolicy")[0];
    assert_eq!(put.body["lifecyclePolicyText"], LIFECYCLE);
}

#[tokio::test]
async fn what_is_there_is_left_as_it_is() {
    let moto = Moto::start();
    let (registry, repository) = (registry(), repository());
    ecr(moto.endpoint(), true)
        .ensure_repository(&registry, &repository)
        .await
        .unwrap();
    with_template(moto.endpoint(), &everything())
        .ensure_repository(&registry, &repository)
        .await
        .unwrap();
    let described = client(moto.endpoint())
        .describe_repositories()
        .send()
        .await
        .unwrap();
    assert_eq!(
        described.repositories()[0]
            .image_tag_mutability()
            .unwrap()
            .as_str(),
        "MUTABLE"
    );
    // Both asked to create, and neither put a policy.
    assert_eq!(moto.requests(), 3);
}

/// Refuses the first lifecycle policy; the repository is there from the second time on.
fn first_policy_fails(call: &Call, before: usize) -> Answer {
    match (call.action.as_str(), before) {
        ("CreateRepository", 1..) => error("RepositoryAlreadyExistsException", "it exists"),
        ("PutLifecyclePolicy", 0) => error("InvalidParameterException", "no such rule"),
        _ => (200, json!({})),
    }
}

#[tokio::test]
async fn a_policy_that_fails_is_told_and_tried_again() {
    // moto has no failures on demand.
    let fake = Fake::start(first_policy_fails);
    let ecr = with_template(fake.endpoint(), &everything());
    let failed = ecr
        .ensure_repository(&registry(), &repository())
        .await
        .unwrap_err();
    assert_eq!(
        failed.to_string(),
        "`team/vault` was created, but without its lifecycle policy and its repository policy"
    );
    assert_eq!(
        std::error::Error::source(&failed).unwrap().to_string(),
        "PutLifecyclePolicy in `eu-west-1`: InvalidParameterException: no such rule"
    );
    // The next who wants the repository must not find it without.
    ecr.ensure_repository(&registry(), &repository()).await.unwrap();
    assert_eq!(
        fake.actions(),
        [
            "CreateRepository",
            "PutLifecyclePolicy",
            "CreateRepository",
            "PutLifecyclePolicy",
            "SetRepositoryPolicy"
        ]
    );
}

#[tokio::test]
async fn a_missing_right_is_named() {
    // moto lets everybody do everything. A request to create with tags needs two rights, so AWS's word counts.
    let cases = [
        (
            "User: arn:aws:iam::1:user/x is not authorized to perform: ecr:TagResource on resource: y because no identity-based policy allows it",
            "ecr:TagResource",
        ),
        ("Access Denied", "ecr:CreateRepository"),
    ];
    for (message, right) in cases {
        let fake = Fake::start(move |_, _| error("AccessDeniedException", message));
        let denied = with_template(fake.endpoint(), "tags = { a = 'b' }")
            .ensure_repository(&registry(), &repository())
            .await
            .unwrap_err();
        assert_eq!(
            denied.to_string(),
            format!(
                "`{right}` on `arn:aws:ecr:eu-west-1:123456789012:repository/team/vault` is not allowed: {message}"
            )
        );
    }
}

#[tokio::test]
async fn a_name_that_ecr_cannot_take_is_not_sent() {
    let fake = Fake::start(|_, _| panic!("nothing is to be sent"));
    let ecr = ecr(fake.endpoint(), true);
    for name in ["a".to_owned(), "a".repeat(257)] {
        // What no reference can be called cannot come here.
        let Ok(repository) = name.parse() else { continue };
        let refused = ecr.ensure_repository(&registry(), &repository).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("`{name}` is no name for a repository in ECR, expected 2 to 256 characters")
        );
    }
    assert!("a".parse::<Repository>().is_ok());
    assert!(fake.actions().is_empty());
}
