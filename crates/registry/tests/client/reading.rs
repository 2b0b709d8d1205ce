//! Manifests and blobs: what is read is what was named, whatever the connection does.

use std::time::Duration;

use onlay_oci::{Algorithm, Descriptor, Digester, Document, Family, MediaType};
use onlay_registry::{BlobBody, RegistryError};
use onlay_testkit::{Front, FrontAuth, Misbehaviour, Registry};

use crate::case::{Case, FOR_EVER, bytes, impatient, layer, read, repository, soon};

const SIZE: usize = 2_000_000;

#[tokio::test]
async fn a_blob_is_one_request() {
    let case = Case::new();
    let blob = bytes(SIZE);
    let descriptor = case.store("a", &blob).await;
    assert!(read(&case.repository("a"), &descriptor).await.unwrap() == blob);
    assert_eq!(case.exchanges(), ["GET 200"]);
    let traffic = case.client.counters().traffic();
    assert_eq!(
        (traffic.requests, traffic.received, traffic.sent),
        (1, SIZE as u64, 0)
    );
}

#[tokio::test]
async fn a_download_that_is_cut_goes_on_where_it_stopped() {
    let case = Case::new();
    let blob = bytes(SIZE);
    let descriptor = case.store("a", &blob).await;
    for after in [700_000, 400_000] {
        case.inject(1, "GET", "/blobs/", Misbehaviour::CutBody { after });
    }
    assert!(read(&case.repository("a"), &descriptor).await.unwrap() == blob);
    assert_eq!(case.exchanges(), ["GET 200", "GET 206", "GET 206"]);
    let sent: u64 = case
        .requests("GET", "/blobs/")
        .iter()
        .map(|request| request.response_bytes)
        .sum();
    // What was on the wire when the connection ended may come twice.
    assert!(sent <= SIZE as u64 + 2 * 64 * 1024, "{sent}");
}

/// Nothing more after so many bytes.
fn stall(after: u64) -> Misbehaviour {
    let silence = FOR_EVER;
    Misbehaviour::StallBody { after, silence }
}

#[tokio::test]
async fn resets_and_silence_are_resumed_at_the_byte() {
    let case = Case::with(FrontAuth::Registry, impatient());
    let blob = bytes(SIZE);
    let descriptor = case.store("a", &blob).await;
    let mut generator = 1_u64;
    for round in 0..8 {
        generator = generator
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(round);
        let after = (generator >> 33) % 600_000;
        case.front.clear_requests();
        case.inject(1, "GET", "/blobs/", Misbehaviour::ResetBody { after });
        case.inject(1, "GET", "/blobs/", stall(after));
        case.inject(1, "GET", "/blobs/", Misbehaviour::CutBody { after });
        assert!(soon(read(&case.repository("a"), &descriptor)).await.unwrap() == blob);
        let requests = case.requests("GET", "/blobs/");
        assert_eq!(requests.len(), 4, "{requests:?}");
        let sent: u64 = requests.iter().map(|request| request.response_bytes).sum();
        assert!(sent <= SIZE as u64 + 3 * 64 * 1024, "{sent}");
    }
}

#[tokio::test]
async fn slow_is_not_silent() {
    let case = Case::with(FrontAuth::Registry, impatient());
    let blob = bytes(30_000);
    let descriptor = case.store("a", &blob).await;
    // Longer than the idle timeout in all.
    let slow = Misbehaviour::SlowBody {
        piece: 1500,
        pause: Duration::from_millis(100),
    };
    case.inject(1, "GET", "/blobs/", slow);
    assert!(soon(read(&case.repository("a"), &descriptor)).await.unwrap() == blob);
    assert_eq!(case.exchanges(), ["GET 200"]);
}

#[tokio::test]
async fn a_part_that_is_another_is_refused() {
    let case = Case::new();
    let blob = bytes(300_000);
    let descriptor = case.store("a", &blob).await;
    for range in ["bytes 200000-299999/300000", "bytes x", "rows 1-2/3"] {
        case.inject(1, "GET", "/blobs/", Misbehaviour::CutBody { after: 100_000 });
        let (name, value) = ("Content-Range".to_owned(), range.to_owned());
        case.inject(1, "GET", "/blobs/", Misbehaviour::ReplaceHeader { name, value });
        let refused = soon(read(&case.repository("a"), &descriptor)).await.unwrap_err();
        assert!(
            refused.to_string().contains("Content-Range"),
            "{range}: {refused}"
        );
    }
}

#[tokio::test]
async fn other_bytes_after_a_cut_are_told_by_the_digest() {
    let case = Case::new();
    let blob = bytes(300_000);
    let descriptor = case.store("a", &blob).await;
    case.inject(1, "GET", "/blobs/", Misbehaviour::CutBody { after: 100_000 });
    case.inject(1, "GET", "/blobs/", Misbehaviour::CorruptByte { at: 50_000 });
    let refused = soon(read(&case.repository("a"), &descriptor)).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Mismatch { .. }), "{refused}");
}

#[tokio::test]
async fn digests_of_sha512_are_verified() {
    let case = Case::new();
    let blob = bytes(100_000);
    let mut digester = Digester::new(Algorithm::Sha512);
    digester.update(&blob);
    let descriptor = Descriptor::new(layer(&blob).media_type, digester.finish(), blob.len() as u64);
    let session = case.straight("a").start_upload().await.unwrap();
    session
        .put(&descriptor, BlobBody::from_bytes(blob.clone()))
        .await
        .unwrap();
    let repository = case.repository("a");
    let present = repository.head_blob(&descriptor.digest).await.unwrap();
    assert_eq!(present, Some(blob.len() as u64));
    assert!(read(&repository, &descriptor).await.unwrap() == blob);
    case.inject(1, "GET", "/blobs/", Misbehaviour::CorruptByte { at: 7 });
    let refused = read(&repository, &descriptor).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Mismatch { .. }), "{refused}");
}

#[tokio::test]
async fn a_registry_without_ranges_starts_over_and_nothing_comes_twice() {
    let case = Case::new();
    let blob = bytes(300_000);
    let descriptor = case.store("a", &blob).await;
    case.inject(1, "GET", "/blobs/", Misbehaviour::CutBody { after: 100_000 });
    let whole = Misbehaviour::Answer {
        status: 200,
        headers: Vec::new(),
        body: blob.to_vec(),
    };
    case.inject(1, "GET", "/blobs/", whole);
    assert!(read(&case.repository("a"), &descriptor).await.unwrap() == blob);
}

#[tokio::test]
async fn a_download_that_keeps_breaking_is_given_up() {
    let case = Case::new();
    let descriptor = case.store("a", &bytes(1000)).await;
    case.inject(100, "GET", "/blobs/", Misbehaviour::CutBody { after: 0 });
    let failed = soon(read(&case.repository("a"), &descriptor)).await.unwrap_err();
    assert!(matches!(failed, RegistryError::Interrupted { .. }), "{failed}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_asked_for_again() {
    let case = Case::with(FrontAuth::Registry, impatient());
    let blob = bytes(1000);
    let descriptor = case.store("a", &blob).await;
    let body = stalling_server(&blob[..400], &blob).await;
    let stalled = repository(&case.client, &body, "a");
    let found = soon(read(&stalled, &descriptor)).await.unwrap();
    assert!(found == blob);
}

#[tokio::test]
async fn a_corrupted_byte_is_told_with_both_digests() {
    let case = Case::new();
    let descriptor = case.store("a", &bytes(1000)).await;
    case.inject(1, "GET", "/blobs/", Misbehaviour::CorruptByte { at: 500 });
    let failed = read(&case.repository("a"), &descriptor).await.unwrap_err();
    let RegistryError::Mismatch { expected, found, .. } = &failed else {
        panic!("{failed}");
    };
    assert!(*expected == descriptor.digest && found != expected);
}

#[tokio::test]
async fn a_content_length_that_lies_is_refused_by_name() {
    for by in [-1, 1, 1_000_000] {
        let case = Case::new();
        let descriptor = case.store("a", &bytes(1000)).await;
        case.inject(1, "GET", "/blobs/", Misbehaviour::LieAboutLength { by });
        let failed = read(&case.repository("a"), &descriptor).await.unwrap_err();
        let announced = 1000_u64.saturating_add_signed(by);
        let named = matches!(&failed, RegistryError::Length { expected: 1000, announced: found, .. } if *found == announced);
        assert!(named, "{failed}");
    }
}

#[tokio::test]
async fn a_missing_blob_is_told_apart() {
    let case = Case::new();
    case.store("a", &bytes(10)).await;
    let missing = layer(b"missing");
    let repository = case.repository("a");
    assert_eq!(repository.head_blob(&missing.digest).await.unwrap(), None);
    assert!(read(&repository, &missing).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_small_blob_has_a_limit() {
    let case = Case::new();
    let blob = bytes(1000);
    let descriptor = case.store("a", &blob).await;
    let repository = case.repository("a");
    assert!(repository.pull_blob_bytes(&descriptor, 1000).await.unwrap() == blob);
    let failed = repository.pull_blob_bytes(&descriptor, 999).await.unwrap_err();
    assert!(matches!(failed, RegistryError::TooLarge { .. }), "{failed}");
}

/// An index of nothing, under a tag.
async fn store_manifest(case: &Case) -> Descriptor {
    let bytes =
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let descriptor = Descriptor::of(MediaType::Index(Family::Oci), bytes);
    let repository = case.straight("a");
    repository.put_manifest("v", &descriptor, bytes).await.unwrap();
    descriptor
}

#[tokio::test]
async fn a_manifest_by_tag_and_by_digest() {
    let case = Case::new();
    let stored = store_manifest(&case).await;
    let repository = case.repository("a");
    for identifier in ["v".to_owned(), stored.digest.to_string()] {
        let found = repository.head_manifest(&identifier).await.unwrap();
        assert_eq!(found.as_ref(), Some(&stored));
        let (document, descriptor) = repository.pull_manifest(&identifier).await.unwrap();
        assert!(matches!(document, Document::Index(_)));
        assert_eq!(descriptor, stored);
    }
    assert_eq!(repository.head_manifest("other").await.unwrap(), None);
    assert!(
        repository
            .pull_manifest("other")
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert_eq!(
        case.exchanges(),
        [
            "HEAD 200", "GET 200", "HEAD 200", "GET 200", "HEAD 404", "GET 404"
        ]
    );
}

#[tokio::test]
async fn a_manifest_by_its_sha512_digest() {
    let case = Case::new();
    let bytes =
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let mut digester = Digester::new(Algorithm::Sha512);
    digester.update(bytes);
    let digest = digester.finish().to_string();
    let answer = |body: &[u8]| Misbehaviour::Answer {
        status: 200,
        headers: vec![(
            "Content-Type".to_owned(),
            "application/vnd.oci.image.index.v1+json".to_owned(),
        )],
        body: body.to_vec(),
    };
    case.inject(1, "GET", "/manifests/sha512:", answer(bytes));
    let (_, descriptor) = case.repository("a").pull_manifest(&digest).await.unwrap();
    assert_eq!(descriptor.size, bytes.len() as u64);
    case.inject(1, "GET", "/manifests/sha512:", answer(b"{\"schemaVersion\":2}"));
    let refused = case.repository("a").pull_manifest(&digest).await.unwrap_err();
    assert!(refused.to_string().contains(&digest), "{refused}");
}

#[tokio::test]
async fn a_registry_that_does_not_answer_head_is_asked_with_get() {
    for status in [400, 403, 405] {
        let case = Case::new();
        let stored = store_manifest(&case).await;
        case.inject(1, "HEAD", "/manifests/", Misbehaviour::answer(status, &[]));
        let found = case.repository("a").head_manifest("v").await.unwrap();
        assert_eq!(found, Some(stored), "{status}");
    }
}

#[tokio::test]
async fn a_head_without_digest_or_size_is_not_believed() {
    let media_type = ("Content-Type", "application/vnd.oci.image.index.v1+json");
    let case = Case::new();
    let stored = store_manifest(&case).await;
    case.inject(1, "HEAD", "/manifests/", Misbehaviour::answer(200, &[media_type]));
    // The front adds `Content-Length: 0` to its own answers.
    let digest = stored.digest.to_string();
    let empty = Misbehaviour::answer(200, &[media_type, ("Docker-Content-Digest", &digest)]);
    case.inject(1, "HEAD", "/manifests/", empty);
    for _ in 0..2 {
        let found = case.repository("a").head_manifest("v").await.unwrap();
        assert_eq!(found.as_ref(), Some(&stored));
    }
}

#[tokio::test]
async fn a_manifest_that_is_cut_is_asked_for_again() {
    let case = Case::new();
    let stored = store_manifest(&case).await;
    case.inject(1, "GET", "/manifests/", Misbehaviour::CutBody { after: 10 });
    let (_, found) = case.repository("a").pull_manifest("v").await.unwrap();
    assert_eq!(found, stored);
}

#[tokio::test]
async fn a_manifest_that_is_not_what_was_named_is_refused() {
    let case = Case::new();
    let stored = store_manifest(&case).await;
    let other = Misbehaviour::ReplaceBody(br#"{"schemaVersion":2,"manifests":[]}"#.to_vec());
    // By digest it is not what was asked for; by tag it is not what the header announces.
    for identifier in [stored.digest.to_string(), "v".to_owned()] {
        case.inject(1, "GET", "/manifests/", other.clone());
        let failed = case.repository("a").pull_manifest(&identifier).await.unwrap_err();
        assert!(matches!(failed, RegistryError::Mismatch { .. }), "{failed}");
    }
}

#[tokio::test]
async fn a_manifest_beyond_four_megabytes_is_refused() {
    let case = Case::new();
    store_manifest(&case).await;
    let large = Misbehaviour::ReplaceBody(vec![b' '; 4 * 1024 * 1024 + 1]);
    case.inject(1, "GET", "/manifests/", large);
    let failed = case.repository("a").pull_manifest("v").await.unwrap_err();
    assert!(matches!(failed, RegistryError::TooLarge { .. }), "{failed}");
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever_and_not_everywhere() {
    let case = Case::new();
    let blob = bytes(1000);
    let descriptor = case.store("a", &blob).await;
    let straight = format!("http://{}/v2/a/blobs/{}", case.registry.host(), descriptor.digest);
    case.inject(
        1,
        "GET",
        "/blobs/",
        Misbehaviour::answer(307, &[("Location", &straight)]),
    );
    assert!(read(&case.repository("a"), &descriptor).await.unwrap() == blob);

    let loops = format!("/v2/a/blobs/{}", descriptor.digest);
    case.inject(
        100,
        "GET",
        "/blobs/",
        Misbehaviour::answer(307, &[("Location", &loops)]),
    );
    let failed = read(&case.repository("a"), &descriptor).await.unwrap_err();
    assert!(
        matches!(failed, RegistryError::Redirects { limit: 5, .. }),
        "{failed}"
    );

    for target in [
        "http://169.254.169.254/latest",
        "http://[fd00:ec2::254]/",
        "file:///etc/passwd",
    ] {
        let case = Case::new();
        let descriptor = case.store("a", &blob).await;
        case.inject(
            1,
            "GET",
            "/blobs/",
            Misbehaviour::answer(307, &[("Location", target)]),
        );
        let failed = soon(read(&case.repository("a"), &descriptor)).await.unwrap_err();
        assert!(
            matches!(failed, RegistryError::Forbidden { .. }),
            "{target}: {failed}"
        );
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_shows_it_no_credential() {
    let login = onlay_testkit::Credential::new("tester", "hunter2");
    let registry = Registry::start();
    let storage = Front::start(registry.host(), FrontAuth::Registry);
    let case = crate::credentials::bearer_case(Some(login), 1000);
    let blob = bytes(1000);
    let descriptor = case.store("a", &blob).await;
    let session = repository(&case.client, registry.host(), "a")
        .start_upload()
        .await
        .unwrap();
    let body = onlay_registry::BlobBody::from_bytes(blob.clone());
    session.put(&descriptor, body).await.unwrap();
    let target = format!("http://{}/v2/a/blobs/{}", storage.host(), descriptor.digest);
    case.inject(
        1,
        "GET",
        "/blobs/",
        Misbehaviour::answer(307, &[("Location", &target)]),
    );
    assert!(read(&case.repository("a"), &descriptor).await.unwrap() == blob);
    let seen = storage.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].authorization, None);
}

/// Answers the first request with `beginning` and then nothing more, and each further one from its range on.
async fn stalling_server(beginning: &[u8], whole: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (beginning, whole) = (beginning.to_vec(), whole.to_vec());
    tokio::spawn(async move {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
        let (mut first, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        _ = first.read(&mut request).await.unwrap();
        first.write_all(head.as_bytes()).await.unwrap();
        first.write_all(&beginning).await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        _ = second.read(&mut request).await.unwrap();
        let rest = &whole[beginning.len()..];
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {}-{}/{}\r\n\r\n",
            rest.len(),
            beginning.len(),
            whole.len() - 1,
            whole.len()
        );
        second.write_all(head.as_bytes()).await.unwrap();
        second.write_all(rest).await.unwrap();
        tokio::time::sleep(FOR_EVER).await;
        drop(first);
    });
    host
}
