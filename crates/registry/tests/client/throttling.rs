//! Registries that are asked too much: each kind of request is slowed by itself, and nobody asks inside a window. The
//! front's log has the times.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use onlay_oci::{Descriptor, Family, MediaType, Registry, Repository};
use onlay_registry::{
    Action, BlobBody, ClientOptions, Credential, Extension, ExtensionFuture, Pace, PullLimit, RegistryError,
};
use onlay_testkit::{Front, FrontAuth, LoggedRequest, Misbehaviour};

use crate::case::{Case, FOR_EVER, bytes, layer, read, soon};

const INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

fn index() -> Descriptor {
    Descriptor::of(MediaType::Index(Family::Oci), INDEX)
}

/// An answer with a body, which [`Misbehaviour::answer`] has not.
fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Misbehaviour {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Misbehaviour::Answer {
        status,
        headers: headers.collect(),
        body: body.as_bytes().to_vec(),
    }
}

/// Waits until a request was answered in this way.
async fn answered(case: &Case, method: &str, path: &str, status: u16) -> Instant {
    loop {
        let requests = case.requests(method, path);
        let found = requests.iter().find(|request| request.status == Some(status));
        if let Some(at) = found.and_then(|request| request.answered) {
            // The client has it by then.
            tokio::time::sleep(Duration::from_millis(100)).await;
            return at;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Requests that arrived in a span of time after a moment.
fn within(requests: &[LoggedRequest], from: Instant, span: Duration) -> usize {
    let is_within = |request: &&LoggedRequest| request.arrived > from && request.arrived < from + span;
    requests.iter().filter(is_within).count()
}

#[tokio::test]
async fn throttled_manifests_do_not_slow_blobs() {
    let case = Case::new();
    let blob = case.store("a", &bytes(10)).await;
    // Longer than twenty HEADs take on a busy machine.
    let window = Duration::from_secs(5);
    let later = Misbehaviour::answer(429, &[("Retry-After", "5")]);
    case.inject(1, "PUT", "/manifests/", later);
    let repository = case.repository("a");
    let put = async |tag: String| repository.put_manifest(&tag, &index(), INDEX).await;
    let puts = async {
        let first = put("first".to_owned());
        let others = async {
            answered(&case, "PUT", "/manifests/", 429).await;
            join_all((0..30).map(|number| put(format!("v{number}")))).await
        };
        let (first, others) = tokio::join!(first, others);
        first.unwrap();
        others.into_iter().for_each(|put| put.unwrap());
    };
    let heads = async {
        answered(&case, "PUT", "/manifests/", 429).await;
        for _ in 0..20 {
            repository.head_blob(&blob.digest).await.unwrap();
        }
    };
    soon(async { tokio::join!(puts, heads) }).await;
    let throttled_at = answered(&case, "PUT", "/manifests/", 429).await;
    let puts = case.requests("PUT", "/manifests/");
    assert_eq!(within(&puts, throttled_at, window), 0);
    assert_eq!(puts.len(), 32);
    assert_eq!(
        within(&case.requests("HEAD", "/blobs/"), throttled_at, window),
        20
    );
}

#[tokio::test]
async fn the_error_code_counts_under_any_status() {
    for (status, body) in [
        (
            400,
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}"#,
        ),
        (
            403,
            r#"{"errors":[{"code":"toomanyrequests","message":"Rate exceeded"}]}"#,
        ),
        (429, ""),
        (503, "Slow Down"),
    ] {
        let case = Case::new();
        let limited = answer(status, &[("Retry-After", "1")], body);
        case.inject(1, "PUT", "/manifests/", limited);
        soon(case.repository("a").put_manifest("v", &index(), INDEX))
            .await
            .unwrap();
        let puts = case.requests("PUT", "/manifests/");
        let at = puts[0].answered.unwrap();
        assert_eq!(puts.len(), 2, "{status}");
        assert_eq!(within(&puts, at, Duration::from_secs(1)), 0, "{status}");
    }
}

#[tokio::test]
async fn without_a_wait_a_throttled_registry_is_left_alone_for_a_second_at_least() {
    let case = Case::new();
    let blob = case.store("a", &bytes(10)).await;
    case.inject(1, "HEAD", "/blobs/", Misbehaviour::answer(429, &[]));
    let repository = case.repository("a");
    let first = repository.head_blob(&blob.digest);
    let others = async {
        answered(&case, "HEAD", "/blobs/", 429).await;
        join_all((0..10).map(|_| repository.head_blob(&blob.digest))).await
    };
    let (first, others) = soon(async { tokio::join!(first, others) }).await;
    assert_eq!(first.unwrap(), Some(10));
    assert!(others.into_iter().all(|head| head.unwrap() == Some(10)));
    let heads = case.requests("HEAD", "/blobs/");
    assert_eq!(
        within(&heads, heads[0].answered.unwrap(), Duration::from_secs(1)),
        0
    );
}

#[tokio::test]
async fn others_are_told_of_a_wait_that_is_too_long_without_asking() {
    let case = Case::new();
    let tomorrow = Misbehaviour::answer(503, &[("Retry-After", "86400")]);
    case.inject(1, "POST", "/uploads/", tomorrow);
    let repository = case.repository("a");
    for _ in 0..3 {
        let failed = soon(repository.start_upload()).await.unwrap_err();
        assert!(
            matches!(failed, RegistryError::ComeBackLater { wait, .. } if wait > Duration::from_secs(86_390)),
            "{failed}"
        );
    }
    assert_eq!(case.requests("POST", "/uploads/").len(), 1);
}

#[tokio::test]
async fn token_requests_wait_as_all_others_do() {
    let case = Case::new();
    let blob = case.store("a", &bytes(10)).await;
    let refusal = |case: &Case| {
        let challenge = format!(r#"Bearer realm="http://{}/token""#, case.front.host());
        Misbehaviour::answer(401, &[("WWW-Authenticate", &challenge)])
    };
    case.inject(1, "HEAD", "/blobs/", refusal(&case));
    let later = answer(
        400,
        &[("Retry-After", "1")],
        r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#,
    );
    case.inject(1, "GET", "/token", later);
    case.inject(1, "GET", "/token", answer(200, &[], r#"{"token":"t"}"#));
    let size = soon(case.repository("a").head_blob(&blob.digest)).await;
    assert_eq!(size.unwrap(), Some(10));
    let tokens = case.requests("GET", "/token");
    let [first, second] = &tokens[..] else {
        panic!("{tokens:?}")
    };
    assert!(second.arrived - first.answered.unwrap() >= Duration::from_secs(1));
    // One that is not to be had today is an error that says so.
    let case = Case::new();
    case.inject(9, "HEAD", "/blobs/", refusal(&case));
    let tomorrow = Misbehaviour::answer(429, &[("Retry-After", "86400")]);
    case.inject(9, "GET", "/token", tomorrow);
    let failed = soon(case.repository("a").head_blob(&blob.digest)).await;
    let failed = failed.unwrap_err().to_string();
    assert!(failed.contains("86400 seconds"), "{failed}");
    assert_eq!(case.requests("GET", "/token").len(), 1);
}

#[tokio::test]
async fn where_redirects_lead_is_another_host() {
    let case = Case::new();
    let (there, here) = (
        case.store("a", &bytes(10)).await,
        case.store("a", &bytes(20)).await,
    );
    let storage = Front::start(case.registry.host(), FrontAuth::Registry);
    let moved = format!("http://{}/v2/a/blobs/{}", storage.host(), there.digest);
    let path = format!("/blobs/{}", there.digest);
    case.inject(
        9,
        "GET",
        &path,
        Misbehaviour::answer(307, &[("Location", &moved)]),
    );
    let later = Misbehaviour::answer(503, &[("Retry-After", "300")]);
    storage.inject(onlay_testkit::Fault::times(1, "GET", "/blobs/", later));
    let repository = case.repository("a");
    let slow = read(&repository, &there);
    let fast = async {
        while storage.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        read(&repository, &here).await.unwrap();
    };
    // The storage is waited for, and the registry is not.
    soon(async {
        tokio::select! {
            _ = slow => panic!("a request inside the window"),
            () = fast => {}
        }
    })
    .await;
    assert_eq!(storage.requests().len(), 1);
}

#[tokio::test]
async fn an_upload_that_is_refused_for_ever_has_one_budget() {
    let later = [("Retry-After", "1")];
    // A registry that is asked too much gets six requests, one that stumbles twice as many, and none without an end.
    let cases = [(429, &later[..], 6), (503, &later[..], 12), (500, &[], 12)];
    let cases = cases.map(|expected| (Case::new(), expected));
    let refused = cases.iter().map(|(case, (status, headers, most))| async move {
        case.inject(1000, "PUT", "/uploads/", Misbehaviour::answer(*status, headers));
        let blob = bytes(1000);
        let session = case.repository("a").start_upload().await.unwrap();
        let body = BlobBody::from_bytes(blob.clone());
        let failed = session.put(&layer(&blob), body).await.unwrap_err();
        assert!(
            matches!(&failed, RegistryError::Status { status: found, .. } if found.as_u16() == *status),
            "{failed}"
        );
        assert_eq!(case.requests("PUT", "/uploads/").len(), *most, "{status}");
    });
    soon(join_all(refused)).await;
}

/// Knows at which rate the registry takes HEADs of blobs.
#[derive(Debug)]
struct PacedHeads(Pace);

impl Extension for PacedHeads {
    fn matches(&self, _: &Registry) -> bool {
        true
    }

    fn credential<'a>(&'a self, _: &'a Registry, _: bool) -> ExtensionFuture<'a, Option<Credential>> {
        Box::pin(async { Ok(None) })
    }

    fn ensure_repository<'a>(&'a self, _: &'a Registry, _: &'a Repository) -> ExtensionFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn pace(&self, _: &Registry, action: Action) -> Option<Pace> {
        (action == Action::HeadBlob).then_some(self.0)
    }
}

/// Three HEADs at once, and one more each `interval`.
fn with_paced_heads(interval: Duration) -> Case {
    let pace = Pace { interval, burst: 3 };
    let options = ClientOptions {
        extensions: vec![Arc::new(PacedHeads(pace))],
        ..ClientOptions::default()
    };
    Case::with(FrontAuth::Registry, options)
}

#[tokio::test]
async fn a_known_rate_is_kept_to() {
    let case = with_paced_heads(Duration::from_millis(100));
    let blob = case.store("a", &bytes(10)).await;
    let repository = case.repository("a");
    let start = Instant::now();
    let heads = join_all((0..13).map(|_| repository.head_blob(&blob.digest)));
    let sizes = soon(heads).await;
    assert!(sizes.into_iter().all(|size| size.unwrap() == Some(10)));
    // Three at once, ten more at one each 100 ms.
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(case.requests("HEAD", "/blobs/").len(), 13);
}

#[tokio::test]
async fn a_known_rate_is_that_of_its_action() {
    let case = with_paced_heads(FOR_EVER);
    let blob = case.store("a", &bytes(10)).await;
    let repository = case.repository("a");
    let heads = join_all((0..4).map(|_| repository.head_blob(&blob.digest)));
    let reads = async {
        while case.requests("HEAD", "/blobs/").len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for _ in 0..20 {
            read(&repository, &blob).await.unwrap();
        }
    };
    soon(async {
        tokio::select! {
            _ = heads => panic!("a fourth at once"),
            () = reads => {}
        }
    })
    .await;
    assert_eq!(case.requests("HEAD", "/blobs/").len(), 3);
    assert_eq!(case.requests("GET", "/blobs/").len(), 20);
}

/// Docker Hub's words, and its headers, which are not promised.
const PULL_LIMIT: &str = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"}]}"#;

const LIMIT_HEADERS: [(&str, &str); 3] = [
    ("ratelimit-limit", "100;w=21600"),
    ("ratelimit-remaining", "0;w=21600"),
    ("docker-ratelimit-source", "192.0.2.1"),
];

#[tokio::test]
async fn the_limit_on_pulls_is_an_error_of_its_own_and_not_asked_for_again() {
    let case = Case::new();
    case.straight("b")
        .put_manifest("v", &index(), INDEX)
        .await
        .unwrap();
    case.inject(9, "GET", "/a/manifests/", answer(429, &LIMIT_HEADERS, PULL_LIMIT));
    let repository = case.repository("a");
    for _ in 0..2 {
        let failed = soon(repository.pull_manifest("v")).await.unwrap_err();
        let RegistryError::PullLimit { place, limit, wait } = &failed else {
            panic!("{failed}");
        };
        assert!(place.ends_with("/v2/a/manifests/v"), "{place}");
        assert_eq!((limit.limit, limit.remaining), (Some(100), Some(0)));
        assert!(wait.unwrap() > Duration::from_secs(21_590));
        assert!(!failed.is_not_found());
    }
    let failed = soon(repository.pull_manifest("v")).await.unwrap_err().to_string();
    assert!(
        failed.contains(
            "the limit on pulls is reached (0 of 100 pulls left in 6 hours, counted for 192.0.2.1)"
        ),
        "{failed}"
    );
    assert_eq!(case.requests("GET", "/a/manifests/").len(), 1);
    // What nobody counts may be had, and looking costs nothing.
    soon(case.repository("b").pull_manifest("v")).await.unwrap();
    assert_eq!(soon(repository.head_manifest("v")).await.unwrap(), None);
}

#[tokio::test]
async fn the_limit_on_pulls_without_headers() {
    let case = Case::new();
    case.inject(9, "GET", "/manifests/", answer(429, &[], PULL_LIMIT));
    let failed = soon(case.repository("a").pull_manifest("v")).await.unwrap_err();
    assert!(
        failed
            .to_string()
            .ends_with("/v2/a/manifests/v: the limit on pulls is reached; more may be pulled later"),
        "{failed}"
    );
}

#[tokio::test]
async fn too_many_requests_in_a_minute_pass_in_seconds() {
    for body in ["", "toomanyrequests: Too Many Requests (HAP429)"] {
        let case = Case::new();
        case.straight("a")
            .put_manifest("v", &index(), INDEX)
            .await
            .unwrap();
        case.inject(1, "GET", "/manifests/", answer(429, &[], body));
        let (_, found) = soon(case.repository("a").pull_manifest("v")).await.unwrap();
        assert_eq!(found.digest, index().digest);
        let pulls = case.requests("GET", "/manifests/");
        let pause = pulls[1].arrived - pulls[0].answered.unwrap();
        assert!(pause >= Duration::from_secs(1), "{pause:?}");
    }
}

#[tokio::test]
async fn too_many_requests_do_not_mean_that_there_is_nothing() {
    let case = Case::new();
    case.straight("a")
        .put_manifest("v", &index(), INDEX)
        .await
        .unwrap();
    let now = Misbehaviour::answer(429, &[("Retry-After", "0")]);
    case.inject(100, "HEAD", "", now);
    let repository = case.repository("a");
    let manifest = soon(repository.head_manifest("v")).await;
    let blob = soon(repository.head_blob(&index().digest)).await;
    for failed in [manifest.map(drop), blob.map(drop)] {
        let failed = failed.unwrap_err();
        assert!(!failed.is_not_found());
        assert!(failed.to_string().contains("429"), "{failed}");
    }
    // GET would have counted as a pull.
    assert!(case.requests("GET", "/manifests/").is_empty());
}

#[tokio::test]
async fn what_is_left_is_read_from_every_answer() {
    let case = Case::new();
    case.straight("a")
        .put_manifest("v", &index(), INDEX)
        .await
        .unwrap();
    let left = |remaining: &str| {
        let headers = [
            ("content-type", INDEX_TYPE),
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", remaining),
            ("docker-ratelimit-source", "192.0.2.1"),
        ];
        answer(200, &headers, std::str::from_utf8(INDEX).unwrap())
    };
    let repository = case.repository("a");
    let known = |remaining| {
        let limit = PullLimit {
            limit: Some(100),
            remaining: Some(remaining),
            window: Some(Duration::from_secs(21_600)),
            source: Some("192.0.2.1".to_owned()),
        };
        BTreeMap::from([(repository.registry().clone(), limit)])
    };
    assert_eq!(case.client.pull_limits(), BTreeMap::new());
    case.inject(1, "HEAD", "/manifests/", left("76;w=21600"));
    // A HEAD of the front has no digest, which is why GET follows.
    repository.head_manifest("v").await.unwrap();
    assert_eq!(case.client.pull_limits(), known(76));
    case.inject(1, "GET", "/manifests/", left("75;w=21600"));
    repository.pull_manifest("v").await.unwrap();
    assert_eq!(case.client.pull_limits(), known(75));
    // An image without a limit says nothing of the others.
    repository.pull_manifest("v").await.unwrap();
    assert_eq!(case.client.pull_limits(), known(75));
}
