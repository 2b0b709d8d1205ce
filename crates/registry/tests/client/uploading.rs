//! The forms in which registries take blobs, and uploads that are cut.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use onlay_oci::{Descriptor, Digest};
use onlay_registry::{BlobBody, Client, ClientOptions, RegistryError, RepositoryClient};
use onlay_testkit::{UploadRules, UploadServer};

use crate::case::{Case, bytes, layer, read, repository, soon};

const SIZE: usize = 3_000_000;

/// A server that is particular, and a repository there under a profile.
struct Particular {
    server: UploadServer,
    repository: RepositoryClient,
}

impl Particular {
    fn new(rules: UploadRules, profile: &str) -> Self {
        let server = UploadServer::start(rules);
        let profiles = BTreeMap::from([(server.host().to_owned(), profile.parse().unwrap())]);
        let options = ClientOptions {
            profiles,
            ..ClientOptions::default()
        };
        let repository = repository(&Client::new(options).unwrap(), server.host(), "a");
        Self { server, repository }
    }

    async fn upload(&self, blob: &Bytes) -> Result<Descriptor, RegistryError> {
        let descriptor = layer(blob);
        let session = self.repository.start_upload().await?;
        let body = BlobBody::from_bytes(blob.clone());
        soon(session.put(&descriptor, body)).await?;
        Ok(descriptor)
    }

    fn holds(&self, blob: &Bytes) -> bool {
        self.server.blob(&Digest::of(blob).to_string()).as_deref() == Some(&blob[..])
    }

    /// Methods, ranges and bytes: `PATCH 0-9 10`.
    fn exchanges(&self) -> Vec<String> {
        let told = self.server.requests().into_iter().map(|request| {
            let range = request.range.map(|range| format!(" {range}")).unwrap_or_default();
            format!("{}{range} {}", request.method, request.bytes)
        });
        told.collect()
    }
}

#[tokio::test]
async fn one_request_for_all_bytes_unless_the_profile_says_otherwise() {
    let blob = bytes(SIZE);
    let cases: [(&str, &[&str]); 4] = [
        ("standard", &["POST 0", "PUT 3000000"]),
        ("artifactory", &["POST 0", "PATCH 3000000", "PUT 0"]),
        (
            "standard,upload=1250000",
            &[
                "POST 0",
                "PATCH 0-1249999 1250000",
                "PATCH 1250000-2499999 1250000",
                "PATCH 2500000-2999999 500000",
                "PUT 0",
            ],
        ),
        ("ecr", &["POST 0", "PUT 3000000"]),
    ];
    for (profile, expected) in cases {
        let rules = UploadRules {
            moves_sessions: true,
            ..UploadRules::default()
        };
        let case = Particular::new(rules, profile);
        case.upload(&blob).await.unwrap();
        assert!(case.holds(&blob), "{profile}");
        assert_eq!(case.exchanges(), expected, "{profile}");
    }
}

#[tokio::test]
async fn parts_are_as_large_as_the_registry_wants_them() {
    let rules = UploadRules {
        least_part: Some(2_000_000),
        ..UploadRules::default()
    };
    let case = Particular::new(rules, "standard,upload=1000000");
    let blob = bytes(SIZE);
    case.upload(&blob).await.unwrap();
    assert!(case.holds(&blob));
    let expected = [
        "POST 0",
        "PATCH 0-1999999 2000000",
        "PATCH 2000000-2999999 1000000",
        "PUT 0",
    ];
    assert_eq!(case.exchanges(), expected);
}

#[tokio::test]
async fn a_form_that_is_refused_is_not_tried_again() {
    let large = bytes(9_000_000);
    let largest = UploadRules {
        largest_request: Some(8 * 1024 * 1024),
        ..UploadRules::default()
    };
    let no_put = UploadRules {
        refuses_put_bodies: true,
        ..UploadRules::default()
    };
    for rules in [largest, no_put] {
        let case = Particular::new(rules, "standard");
        case.upload(&large).await.unwrap();
        assert!(case.holds(&large));
        let before = case.exchanges().len();
        let other = bytes(8_900_000);
        case.upload(&other).await.unwrap();
        assert!(case.holds(&other));
        let with_put_body = |exchange: &String| exchange.starts_with("PUT ") && exchange != "PUT 0";
        assert!(!case.exchanges()[before..].iter().any(with_put_body));
    }
}

#[tokio::test]
async fn a_cut_costs_what_was_not_acknowledged() {
    for cut in [1, 2, 1_000_000, 2_999_999, 3_000_000] {
        for profile in ["standard", "standard,upload=patch", "standard,upload=1250000"] {
            let rules = UploadRules {
                cuts: vec![cut, cut / 2],
                ..UploadRules::default()
            };
            let case = Particular::new(rules, profile);
            let blob = bytes(SIZE);
            case.upload(&blob).await.unwrap();
            assert!(case.holds(&blob), "{profile} {cut}");
            let sent: u64 = case.server.requests().iter().map(|request| request.bytes).sum();
            // The server cannot tell one byte from none.
            assert!(sent <= SIZE as u64 + 2, "{profile} {cut}: {sent}");
        }
    }
}

#[tokio::test]
async fn where_nobody_tells_what_arrived_all_is_sent_again() {
    let rules = UploadRules {
        cuts: vec![1_000_000],
        hides_sessions: true,
        ..UploadRules::default()
    };
    let case = Particular::new(rules, "standard");
    let blob = bytes(SIZE);
    case.upload(&blob).await.unwrap();
    assert!(case.holds(&blob));
    let expected = [
        "POST 0",
        "PUT 1000000",
        "HEAD 0",
        "GET 0",
        "DELETE 0",
        "POST 0",
        "PUT 3000000",
    ];
    assert_eq!(case.exchanges(), expected);
}

#[tokio::test]
async fn ecr_never_gets_a_second_patch() {
    let rules = UploadRules {
        cuts: vec![1_000_000],
        drops_later_parts: true,
        ..UploadRules::default()
    };
    let case = Particular::new(rules, "ecr");
    let blob = bytes(SIZE);
    case.upload(&blob).await.unwrap();
    assert!(case.holds(&blob));
    let digest = Digest::of(&blob);
    let (body, end) = growing(&blob);
    let sent = soon(case.repository.upload_growing(&body, end)).await.unwrap();
    assert_eq!(sent, (digest, SIZE as u64));
    let mut since_post = 0;
    for exchange in case.exchanges() {
        since_post = match exchange.split(' ').next().unwrap() {
            "POST" => 0,
            "PATCH" => since_post + 1,
            _ => since_post,
        };
        assert!(since_post <= 1, "{:?}", case.exchanges());
    }
}

#[tokio::test]
async fn an_empty_blob_is_refused_where_the_profile_says_so() {
    let case = Particular::new(UploadRules::default(), "ecr");
    let refused = case.upload(&Bytes::new()).await.unwrap_err();
    assert!(matches!(refused, RegistryError::EmptyBlob { .. }), "{refused}");
    assert!(
        !case
            .exchanges()
            .iter()
            .any(|exchange| exchange.starts_with("PUT"))
    );
}

/// A body that comes slowly, piece by piece, and what tells its end.
fn growing(blob: &Bytes) -> (BlobBody, impl Future<Output = Option<(Digest, u64)>> + use<>) {
    let (digest, size) = (Digest::of(blob), blob.len() as u64);
    let blob = blob.clone();
    let body = BlobBody::from_offset(move |offset| {
        let rest = blob.slice(offset as usize..);
        async move {
            let pieces: Vec<Bytes> = rest.chunks(400_000).map(Bytes::copy_from_slice).collect();
            Ok(stream::iter(pieces).then(|piece| async move {
                tokio::time::sleep(Duration::from_millis(3)).await;
                Ok(piece)
            }))
        }
    });
    (body, async move { Some((digest, size)) })
}

#[tokio::test]
async fn a_blob_in_the_making_is_three_requests() {
    let case = Case::new();
    let blob = bytes(SIZE);
    let (body, end) = growing(&blob);
    let target = case.repository("a");
    let (digest, size) = soon(target.upload_growing(&body, end)).await.unwrap();
    assert_eq!((digest, size), (Digest::of(&blob), SIZE as u64));
    assert_eq!(case.exchanges(), ["POST 202", "PATCH 202", "PUT 201"]);
    assert!(read(&case.straight("a"), &layer(&blob)).await.unwrap() == blob);
}

#[tokio::test]
async fn a_blob_in_the_making_that_is_cut_is_sent_when_it_is_finished() {
    let cut = UploadRules {
        cuts: vec![1_000_000, 500_000],
        ..UploadRules::default()
    };
    let wants_lengths = UploadRules {
        wants_lengths: true,
        ..UploadRules::default()
    };
    for (rules, profile) in [
        (cut.clone(), "standard"),
        (cut, "google"),
        (wants_lengths.clone(), "standard"),
        (wants_lengths, "azure"),
    ] {
        let case = Particular::new(rules, profile);
        let blob = bytes(SIZE);
        let (body, end) = growing(&blob);
        soon(case.repository.upload_growing(&body, end)).await.unwrap();
        assert!(case.holds(&blob), "{profile}");
    }
}

#[tokio::test]
async fn a_blob_that_is_never_finished_leaves_nothing() {
    let case = Particular::new(UploadRules::default(), "standard");
    let body = BlobBody::from_stream(|| async {
        let pieces = [Ok(Bytes::from("ab")), Err(std::io::Error::other("no space left"))];
        Ok(stream::iter(pieces))
    });
    let failed = soon(case.repository.upload_growing(&body, async { None })).await;
    assert!(matches!(failed, Err(RegistryError::Body { .. })));
    assert_eq!(case.server.requests().last().unwrap().method, "DELETE");
}
