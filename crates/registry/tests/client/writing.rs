//! Uploads and mounts: how many requests they take, and what becomes of those that go wrong.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use onlay_oci::{Descriptor, Family, MediaType};
use onlay_registry::{BlobBody, Mount, RegistryError, RepositoryClient};
use onlay_testkit::{FrontAuth, Misbehaviour};

use crate::case::{Case, FOR_EVER, bytes, impatient, layer, read, session, soon};

const SIZE: usize = 2_000_000;

async fn upload(repository: &RepositoryClient, blob: &Bytes) -> Result<Descriptor, RegistryError> {
    let descriptor = layer(blob);
    let session = repository.start_upload().await?;
    session
        .put(&descriptor, BlobBody::from_bytes(blob.clone()))
        .await?;
    Ok(descriptor)
}

#[tokio::test]
async fn a_blob_is_two_requests_and_its_bytes_go_once() {
    let case = Case::new();
    let blob = bytes(SIZE);
    let descriptor = upload(&case.repository("a"), &blob).await.unwrap();
    assert_eq!(case.exchanges(), ["POST 202", "PUT 201"]);
    assert_eq!(case.requests("PUT", "digest=")[0].request_bytes, SIZE as u64);
    assert_eq!(case.client.counters().traffic().sent, SIZE as u64);
    let repository = case.repository("a");
    assert_eq!(
        repository.head_blob(&descriptor.digest).await.unwrap(),
        Some(SIZE as u64)
    );
    assert!(read(&repository, &descriptor).await.unwrap() == blob);
}

#[tokio::test]
async fn a_blob_of_no_bytes() {
    let case = Case::new();
    let descriptor = upload(&case.repository("a"), &Bytes::new()).await.unwrap();
    assert!(read(&case.repository("a"), &descriptor).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_upload_that_is_cut_gets_another_session() {
    let case = Case::new();
    let blob = bytes(SIZE);
    case.inject(1, "PUT", "/uploads/", Misbehaviour::CutRequest { after: 500_000 });
    let descriptor = soon(upload(&case.repository("a"), &blob)).await.unwrap();
    assert!(read(&case.straight("a"), &descriptor).await.unwrap() == blob);
    assert_eq!(case.requests("PUT", "/uploads/").len(), 2);
}

#[tokio::test]
async fn an_upload_that_keeps_breaking_is_given_up() {
    let case = Case::new();
    case.inject(100, "PUT", "/uploads/", Misbehaviour::CutRequest { after: 10 });
    let failed = soon(upload(&case.repository("a"), &bytes(SIZE))).await;
    assert!(failed.is_err());
    assert!(case.requests("PUT", "/uploads/").len() <= 4);
}

#[tokio::test]
async fn an_upload_that_is_not_read_counts_as_cut() {
    let case = Case::with(FrontAuth::Registry, impatient());
    // More than the two ends of a socket buffer.
    let blob = bytes(40_000_000);
    case.inject(1, "PUT", "/uploads/", Misbehaviour::Stall(FOR_EVER));
    let descriptor = soon(upload(&case.repository("a"), &blob)).await.unwrap();
    let size = case.straight("a").head_blob(&descriptor.digest).await.unwrap();
    assert_eq!(size, Some(blob.len() as u64));
}

#[tokio::test]
async fn a_source_that_fails_is_the_error_and_is_not_tried_again() {
    let case = Case::new();
    let descriptor = layer(&bytes(1000));
    let body = BlobBody::from_stream(|| async {
        let pieces = [
            Ok(Bytes::from_static(b"ab")),
            Err(io::Error::other("spool is gone")),
        ];
        Ok(stream::iter(pieces))
    });
    let session = case.repository("a").start_upload().await.unwrap();
    let failed = soon(session.put(&descriptor, body)).await.unwrap_err();
    assert!(matches!(failed, RegistryError::Body { .. }), "{failed:?}");
    assert!(case.requests("PUT", "/uploads/").len() <= 1);
}

#[tokio::test]
async fn a_copy_of_a_corrupted_blob_blames_the_source() {
    let case = Case::new();
    let descriptor = case.store("source", &bytes(100_000)).await;
    case.inject(
        100,
        "GET",
        "/source/blobs/",
        Misbehaviour::CorruptByte { at: 99_999 },
    );
    let body = pulled(&case.repository("source"), &descriptor);
    let session = case.repository("target").start_upload().await.unwrap();
    let failed = soon(session.put(&descriptor, body)).await.unwrap_err();
    assert!(matches!(failed, RegistryError::Body { .. }), "{failed:?}");
    assert_eq!(case.requests("GET", "/source/blobs/").len(), 1);
}

#[tokio::test]
async fn copies_within_one_registry_do_not_wait_for_each_other_for_ever() {
    let case = Case::new();
    let mut copies = Vec::new();
    for index in 0..24 {
        let descriptor = case.store("source", &bytes(10_000 + index)).await;
        let session = case.repository("target").start_upload().await.unwrap();
        copies.push((session, descriptor));
    }
    // The window of uploads shrinks to one meanwhile.
    let now = Misbehaviour::answer(429, &[("Retry-After", "0")]);
    case.inject(30, "PUT", "/uploads/", now);
    let source = case.repository("source");
    let puts = copies.into_iter().map(|(session, descriptor)| {
        let body = pulled(&source, &descriptor);
        async move { session.put(&descriptor, body).await }
    });
    let copied: Vec<()> = soon(stream::iter(puts).buffer_unordered(24).try_collect())
        .await
        .unwrap();
    assert_eq!(copied.len(), 24);
}

fn pulled(source: &RepositoryClient, descriptor: &Descriptor) -> BlobBody {
    let (source, descriptor) = (source.clone(), descriptor.clone());
    BlobBody::from_stream(move || {
        let (source, descriptor) = (source.clone(), descriptor.clone());
        async move {
            let stream = source.pull_blob(&descriptor).await.map_err(io::Error::other)?;
            Ok(stream.map_err(io::Error::other))
        }
    })
}

#[tokio::test]
async fn a_mount_is_one_request() {
    let case = Case::new();
    let descriptor = case.store("a", &bytes(1000)).await;
    let mount = case
        .repository("b")
        .mount_blob(&descriptor.digest, &"a".parse().unwrap())
        .await;
    assert!(matches!(mount, Ok(Mount::Mounted)));
    assert_eq!(case.exchanges(), ["POST 201"]);
}

#[tokio::test]
async fn a_mount_that_is_not_made_is_an_upload_at_the_same_session() {
    let case = Case::new();
    let blob = bytes(1000);
    let descriptor = layer(&blob);
    let mount = case
        .repository("b")
        .mount_blob(&descriptor.digest, &"a".parse().unwrap())
        .await;
    let session = session(mount.unwrap());
    session
        .put(&descriptor, BlobBody::from_bytes(blob))
        .await
        .unwrap();
    assert_eq!(case.exchanges(), ["POST 202", "PUT 201"]);
}

#[tokio::test]
async fn a_mount_that_is_refused_is_an_upload() {
    for status in [400, 403, 404, 405] {
        let case = Case::new();
        let blob = bytes(1000);
        let descriptor = case.store("a", &blob).await;
        case.inject(1, "POST", "mount=", Misbehaviour::answer(status, &[]));
        let mount = case
            .repository("b")
            .mount_blob(&descriptor.digest, &"a".parse().unwrap())
            .await;
        let session = session(mount.unwrap());
        session
            .put(&descriptor, BlobBody::from_bytes(blob))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_session_that_is_cancelled_is_gone() {
    let case = Case::new();
    let session = case.repository("a").start_upload().await.unwrap();
    session.cancel().await;
    assert_eq!(case.exchanges(), ["POST 202", "DELETE 204"]);
}

#[tokio::test]
async fn a_manifest_is_one_request_and_ecrs_bare_answer_will_do() {
    let case = Case::new();
    let bytes =
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let descriptor = Descriptor::of(MediaType::Index(Family::Oci), bytes);
    let repository = case.repository("a");
    repository.put_manifest("v", &descriptor, bytes).await.unwrap();
    case.inject(1, "PUT", "/manifests/", Misbehaviour::answer(201, &[]));
    repository.put_manifest("v", &descriptor, bytes).await.unwrap();
    assert_eq!(case.exchanges(), ["PUT 201", "PUT 201"]);
}

#[tokio::test]
async fn an_upload_to_a_metadata_service_is_refused() {
    let case = Case::new();
    let location = ("Location", "http://169.254.169.254/latest");
    case.inject(1, "POST", "/uploads/", Misbehaviour::answer(202, &[location]));
    let failed = soon(case.repository("a").start_upload()).await.unwrap_err();
    assert!(matches!(failed, RegistryError::Forbidden { .. }), "{failed}");
}

#[tokio::test]
async fn a_refusal_has_the_registrys_own_words() {
    let case = Case::new();
    let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"no `api` here"}]}"#;
    let refusal = Misbehaviour::Answer {
        status: 404,
        headers: Vec::new(),
        body: body.to_vec(),
    };
    case.inject(1, "POST", "/uploads/", refusal);
    let failed = case.repository("api").start_upload().await.unwrap_err();
    let host = case.front.host();
    assert_eq!(
        failed.to_string(),
        format!("POST {host}/v2/api/blobs/uploads/: 404 NAME_UNKNOWN: no `api` here")
    );
}
