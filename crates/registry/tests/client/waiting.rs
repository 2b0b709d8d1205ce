//! Registries that say "not now": each verb waits as long as it is told to, and no longer than is sensible.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use onlay_oci::{Descriptor, Family, MediaType};
use onlay_registry::{BlobBody, RegistryError};
use onlay_testkit::Misbehaviour;

use crate::case::{Case, bytes, layer, read, soon};

const INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// Everything a push and a pull do, in turn.
async fn everything(case: &Case) -> Result<(), RegistryError> {
    let repository = case.repository("a");
    let blob = bytes(10_000);
    let descriptor = layer(&blob);
    let session = repository.start_upload().await?;
    session
        .put(&descriptor, BlobBody::from_bytes(blob.clone()))
        .await?;
    repository.head_blob(&descriptor.digest).await?;
    let index = Descriptor::of(MediaType::Index(Family::Oci), INDEX);
    repository.put_manifest("v", &index, INDEX).await?;
    repository.head_manifest("v").await?;
    repository.pull_manifest("v").await?;
    assert!(read(&repository, &descriptor).await? == blob);
    Ok(())
}

#[tokio::test]
async fn every_verb_waits_for_as_long_as_it_is_told() {
    let verbs = [
        ("POST", "/uploads/"),
        ("PUT", "/uploads/"),
        ("HEAD", "/blobs/"),
        ("PUT", "/manifests/"),
        ("HEAD", "/manifests/"),
        ("GET", "/manifests/"),
        ("GET", "/blobs/"),
    ];
    let seconds = vec![("Retry-After", "1")];
    let date = vec![
        ("Date", "Mon, 23 Nov 2015 10:00:00 GMT"),
        ("Retry-After", "Mon, 23 Nov 2015 10:00:01 GMT"),
    ];
    let cases = [429, 503]
        .into_iter()
        .flat_map(|status| [(status, seconds.clone()), (status, date.clone())]);
    // The registries are there before the first clock starts: starting one holds up whatever else this thread does.
    let cases: Vec<_> = cases.map(|answer| (Case::new(), answer)).collect();
    let cases = cases.into_iter().map(|(case, (status, headers))| async move {
        for (method, path) in verbs {
            case.inject(1, method, path, Misbehaviour::answer(status, &headers));
        }
        soon(everything(&case)).await.unwrap();
        for (method, path) in verbs {
            let requests = case.requests(method, path);
            let [first, second] = &requests[..] else {
                panic!("{method} {path}: {requests:?}");
            };
            let pause = second.arrived - first.answered.unwrap();
            assert!(pause >= Duration::from_secs(1), "{method} {path}: {pause:?}");
        }
    });
    join_all(cases).await;
}

#[tokio::test]
async fn a_date_to_wait_for_is_compared_with_the_registrys_clock() {
    let case = Case::new();
    let descriptor = case.store("a", &bytes(10)).await;
    let headers = [
        ("Date", "Mon, 23 Nov 2015 10:00:00 GMT"),
        ("Retry-After", "Mon, 23 Nov 2015 10:00:02 GMT"),
    ];
    case.inject(1, "HEAD", "/blobs/", Misbehaviour::answer(429, &headers));
    let start = Instant::now();
    soon(case.repository("a").head_blob(&descriptor.digest))
        .await
        .unwrap();
    assert!(start.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn bursts_of_errors_pass() {
    for status in [408, 429, 500, 502, 503, 504] {
        let case = Case::new();
        let descriptor = case.store("a", &bytes(10)).await;
        case.inject(2, "HEAD", "/blobs/", Misbehaviour::answer(status, &[]));
        let size = soon(case.repository("a").head_blob(&descriptor.digest)).await;
        assert_eq!(size.unwrap(), Some(10), "{status}");
        assert_eq!(case.requests("HEAD", "/blobs/").len(), 3);
    }
}

#[tokio::test]
async fn what_is_no_use_repeating_is_not_repeated() {
    for status in [400, 404, 405, 409, 501] {
        let case = Case::new();
        case.inject(100, "POST", "/uploads/", Misbehaviour::answer(status, &[]));
        assert!(case.repository("a").start_upload().await.is_err());
        assert_eq!(case.requests("POST", "/uploads/").len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_an_error_that_says_so() {
    let case = Case::new();
    let tomorrow = Misbehaviour::answer(429, &[("Retry-After", "86400")]);
    case.inject(1, "POST", "/uploads/", tomorrow);
    let failed = soon(case.repository("a").start_upload()).await.unwrap_err();
    assert!(
        matches!(failed, RegistryError::ComeBackLater { wait, .. } if wait == Duration::from_secs(86_400)),
        "{failed}"
    );
}

#[tokio::test]
async fn nobody_asks_while_one_was_told_to_wait() {
    let case = Case::new();
    let descriptor = case.store("a", &bytes(10)).await;
    let later = Misbehaviour::answer(429, &[("Retry-After", "2")]);
    case.inject(1, "HEAD", "/blobs/", later);
    let repository = case.repository("a");
    let first = tokio::spawn({
        let (repository, digest) = (repository.clone(), descriptor.digest.clone());
        async move { repository.head_blob(&digest).await }
    });
    while case.exchanges() != ["HEAD 429"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    soon(repository.head_blob(&descriptor.digest)).await.unwrap();
    assert!(
        start.elapsed() >= Duration::from_millis(1500),
        "a request inside the window"
    );
    soon(first).await.unwrap().unwrap();
}
