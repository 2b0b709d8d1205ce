//! What repositories have: blobs in batches, tags in pages.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use onlay_ecr::{Ecr, EcrOptions};
use onlay_oci::{Digest, Registry, Repository};
use onlay_registry::{Extension, Presence};
use serde_json::{Value, json};

use crate::fake::{Answer, Call, Fake, error, throttled};
use crate::server::Moto;
use crate::{HOST, client, ecr};

fn registry() -> Registry {
    HOST.parse().unwrap()
}

fn repository() -> Repository {
    "team/vault".parse().unwrap()
}

fn digest(number: usize) -> Digest {
    Digest::of(number.to_string().as_bytes())
}

/// Answers as ECR does: `number` modulo 4 decides.
fn availability(call: &Call, _: usize) -> Answer {
    let asked = call.body["layerDigests"].as_array().unwrap();
    if asked.len() > 100 {
        return error(
            "InvalidParameterException",
            "Member must have length less than or equal to 100",
        );
    }
    let known: Vec<String> = (0..1000).map(|number| digest(number).to_string()).collect();
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for text in asked.iter().rev() {
        let number = known.iter().position(|known| known == text).unwrap();
        match number % 4 {
            0 => layers.push(json!({"layerDigest": text, "layerAvailability": "AVAILABLE"})),
            1 => layers.push(json!({"layerDigest": text, "layerAvailability": "UNAVAILABLE"})),
            2 => layers.push(json!({"layerDigest": text, "layerAvailability": "ARCHIVED"})),
            _ => failures.push(json!({"layerDigest": text, "failureCode": "MissingLayerDigest"})),
        }
    }
    (200, json!({"layers": layers, "failures": failures}))
}

#[tokio::test]
async fn blobs_are_asked_for_in_batches_of_a_hundred_and_answered_in_order() {
    // moto takes 101 digests, and knows nothing of archives.
    let fake = Fake::start(availability);
    let digests: Vec<Digest> = (0..250).chain(0..10).map(digest).collect();
    let found = ecr(fake.endpoint(), false)
        .present(&registry(), &repository(), &digests)
        .await
        .unwrap()
        .unwrap();
    let expected = |number: usize| match number % 4 {
        0 => Presence::Present,
        2 => Presence::Archived,
        _ => Presence::Absent,
    };
    let expected: Vec<Presence> = (0..250).chain(0..10).map(expected).collect();
    assert_eq!(found, expected);
    let mut sizes: Vec<usize> = fake
        .calls("BatchCheckLayerAvailability")
        .iter()
        .map(|call| {
            assert_eq!(
                (&call.body["registryId"], &call.body["repositoryName"]),
                (&json!("123456789012"), &json!("team/vault"))
            );
            call.body["layerDigests"].as_array().unwrap().len()
        })
        .collect();
    sizes.sort_unstable();
    // What is asked for twice is sent once.
    assert_eq!(sizes, [50, 100, 100]);
}

#[tokio::test]
async fn moto_knows_the_blobs_it_was_sent() {
    let moto = Moto::start();
    let ecr = ecr(moto.endpoint(), true);
    let digests = [Digest::of(b"layer"), Digest::of(b"other")];
    // No repository, no blobs.
    let found = ecr.present(&registry(), &repository(), &digests).await.unwrap();
    assert_eq!(found, Some(vec![Presence::Absent; 2]));
    assert_eq!(
        ecr.digests(&registry(), &repository()).await.unwrap(),
        Some(Default::default())
    );

    ecr.ensure_repository(&registry(), &repository()).await.unwrap();
    let client = client(moto.endpoint());
    let upload = client
        .initiate_layer_upload()
        .repository_name("team/vault")
        .send()
        .await
        .unwrap();
    let id = upload.upload_id().unwrap();
    client
        .upload_layer_part()
        .repository_name("team/vault")
        .upload_id(id)
        .part_first_byte(0)
        .part_last_byte(4)
        .layer_part_blob(aws_sdk_ecr::primitives::Blob::new(*b"layer"))
        .send()
        .await
        .unwrap();
    client
        .complete_layer_upload()
        .repository_name("team/vault")
        .upload_id(id)
        .layer_digests(digests[0].to_string())
        .send()
        .await
        .unwrap();
    let found = ecr.present(&registry(), &repository(), &digests).await.unwrap();
    assert_eq!(found, Some(vec![Presence::Present, Presence::Absent]));

    let manifest = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
    client
        .put_image()
        .repository_name("team/vault")
        .image_manifest(manifest)
        .image_digest(Digest::of(manifest.as_bytes()).to_string())
        .image_tag("1.14")
        .send()
        .await
        .unwrap();
    let tags = ecr.digests(&registry(), &repository()).await.unwrap().unwrap();
    assert_eq!(
        tags.into_iter().collect::<Vec<_>>(),
        [("1.14".parse().unwrap(), Digest::of(manifest.as_bytes()))]
    );
}

#[tokio::test]
async fn a_digest_that_ecr_does_not_take_is_an_error() {
    let fake = Fake::start(|call, _| {
        let digest = &call.body["layerDigests"][0];
        (
            200,
            json!({"layers": [], "failures": [
                {"layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": "Invalid layer digest"}
            ]}),
        )
    });
    let refused = ecr(fake.endpoint(), false)
        .present(&registry(), &repository(), &[digest(0)])
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "BatchCheckLayerAvailability in `eu-west-1`: `{}`: Invalid layer digest",
            digest(0)
        )
    );
}

#[tokio::test]
async fn without_the_right_to_ask_others_have_to_answer() {
    // moto lets everybody do everything.
    let fake = Fake::start(|_, _| error("AccessDeniedException", "User: x is not authorized to perform: y"));
    let ecr = ecr(fake.endpoint(), false);
    assert_eq!(
        ecr.present(&registry(), &repository(), &[digest(0)])
            .await
            .unwrap(),
        None
    );
    assert_eq!(ecr.digests(&registry(), &repository()).await.unwrap(), None);
}

#[tokio::test]
async fn where_nobody_answers_others_have_to() {
    // Presence in batches saves requests; that ECR's API is down is no reason for a push to fail.
    let fake = Fake::start(|_, _| (500, json!("<html>")));
    let aws = crate::configuration(fake.endpoint())
        .into_builder()
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .build();
    let ecr = crate::with(aws);
    let found = ecr.present(&registry(), &repository(), &[digest(0)]).await;
    assert_eq!(found.unwrap(), None);
    assert_eq!(ecr.digests(&registry(), &repository()).await.unwrap(), None);
}

#[tokio::test]
async fn an_answer_that_is_not_awss_is_told_by_its_status() {
    let fake = Fake::start(|_, _| (500, json!("<html>")));
    let aws = crate::configuration(fake.endpoint())
        .into_builder()
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .build();
    let ecr = Ecr::new(EcrOptions {
        create_repositories: Some(Default::default()),
        ..crate::options(aws)
    });
    let failed = ecr.ensure_repository(&registry(), &repository()).await;
    assert_eq!(
        failed.unwrap_err().to_string(),
        "CreateRepository in `eu-west-1`: status 500, with no reason"
    );
}

#[tokio::test]
async fn without_credentials_others_have_to_answer_and_it_is_found_out_once() {
    // Docker's configuration may have the password of a registry that AWS's own files say nothing of.
    let fake = Fake::start(|_, _| panic!("there is nothing to sign with"));
    let (credentials, asked) = crate::credentials::missing_counted();
    let aws = crate::configuration(fake.endpoint())
        .into_builder()
        .credentials_provider(credentials)
        .build();
    let ecr = crate::with(aws);
    for _ in 0..3 {
        assert_eq!(
            ecr.present(&registry(), &repository(), &[digest(0)])
                .await
                .unwrap(),
            None
        );
        assert_eq!(ecr.digests(&registry(), &repository()).await.unwrap(), None);
    }
    assert!(fake.actions().is_empty());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

fn page(call: &Call, _: usize) -> Answer {
    assert_eq!(call.body["maxResults"], 1000);
    assert_eq!(
        call.body["filter"],
        json!({"tagStatus": "TAGGED", "imageStatus": "ANY"})
    );
    let number = call.body["nextToken"]
        .as_str()
        .map_or(0, |token| token.parse().unwrap());
    let image = |offset: usize| {
        let number = number * 1000 + offset;
        let status = if offset == 0 { "ARCHIVED" } else { "ACTIVE" };
        json!({"imageDigest": digest(number).to_string(), "imageTags": [format!("v{number}"), format!("w{number}")], "imageStatus": status})
    };
    let last = number == 2;
    let images: Vec<Value> = (0..if last { 1 } else { 1000 }).map(image).collect();
    let next = if last {
        Value::Null
    } else {
        json!((number + 1).to_string())
    };
    (200, json!({"imageDetails": images, "nextToken": next}))
}

#[tokio::test]
async fn all_tags_come_in_pages_archived_ones_too() {
    // moto has no pages and no archives.
    let fake = Fake::start(page);
    let tags = ecr(fake.endpoint(), false)
        .digests(&registry(), &repository())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(tags.len(), 2 * 2001);
    assert_eq!(tags[&"v1000".parse().unwrap()], digest(1000));
    assert_eq!(tags[&"w2000".parse().unwrap()], digest(2000));
    assert_eq!(fake.calls("DescribeImages").len(), 3);
}

#[tokio::test]
async fn what_is_throttled_waits_and_the_rest_goes_on() {
    // moto has no quotas.
    let fake = Fake::start(|call, before| match call.action.as_str() {
        "DescribeImages" if before < 4 => throttled(),
        "DescribeImages" => (200, json!({"imageDetails": []})),
        _ => availability(call, before),
    });
    let ecr = ecr(fake.endpoint(), false);
    let (registry, repository) = (registry(), repository());
    let digests = [digest(0)];
    let slow = async {
        let tags = ecr.digests(&registry, &repository).await.unwrap();
        assert_eq!(tags, Some(Default::default()));
        Instant::now()
    };
    let quick = async {
        for _ in 0..20 {
            let found = ecr.present(&registry, &repository, &digests).await.unwrap();
            assert_eq!(found, Some(vec![Presence::Present]));
        }
        Instant::now()
    };
    let (slow, quick) = tokio::join!(slow, quick);
    // Four pauses, drawn by lot: four seconds on average, and next to never as short as twenty answers.
    assert!(quick < slow);
    assert_eq!(fake.calls("DescribeImages").len(), 5);
    assert_eq!(fake.calls("BatchCheckLayerAvailability").len(), 20);
}

/// A bucket of ten that is filled with ten a second, as ECR's smallest quota is.
struct Quota {
    since: Instant,
    used: f64,
}

impl Quota {
    fn take(&mut self) -> bool {
        let filled = self.since.elapsed().as_secs_f64() * 10.0;
        self.used = (self.used - filled).max(0.0);
        self.since = Instant::now();
        let has_room = self.used + 1.0 <= 10.0;
        self.used += if has_room { 1.0 } else { 0.0 };
        has_room
    }
}

#[tokio::test]
async fn many_who_are_throttled_together_all_get_their_answer() {
    let quota = Mutex::new(Quota {
        since: Instant::now(),
        used: 0.0,
    });
    let fake = Fake::start(move |_, _| match quota.lock().unwrap().take() {
        true => (200, json!({"imageDetails": []})),
        false => throttled(),
    });
    let ecr = Arc::new(ecr(fake.endpoint(), false));
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let ecr = Arc::clone(&ecr);
            let repository: Repository = format!("team/{number}").parse().unwrap();
            tokio::spawn(async move { ecr.digests(&registry(), &repository).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), Some(Default::default()));
    }
    let asked = fake.calls("DescribeImages").len();
    assert!((41..200).contains(&asked), "{asked}");
}

#[tokio::test]
async fn throttling_without_an_end_is_an_error_in_awss_own_words() {
    let fake = Fake::start(|_, before| {
        // One refusal for good, so that the test need not wait for a minute.
        if before < 2 {
            throttled()
        } else {
            error("ServerException", "no more")
        }
    });
    let failed = ecr(fake.endpoint(), false)
        .digests(&registry(), &repository())
        .await
        .unwrap_err();
    assert_eq!(
        failed.to_string(),
        "DescribeImages in `eu-west-1`: ServerException: no more"
    );
    assert_eq!(fake.calls("DescribeImages").len(), 3);
}

#[tokio::test]
async fn a_server_that_breaks_down_is_asked_again() {
    let fake = Fake::start(|_, before| match before {
        0 => (503, json!({"message": "try later"})),
        _ => (200, json!({"imageDetails": []})),
    });
    let tags = ecr(fake.endpoint(), false)
        .digests(&registry(), &repository())
        .await
        .unwrap();
    assert_eq!(tags, Some(Default::default()));
    assert_eq!(fake.calls("DescribeImages").len(), 2);
}
