//! Timeouts: for the connection, for the beginning of an answer, for standing still; never for a whole blob.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use onlay_oci::{Descriptor, Family, MediaType};
use onlay_registry::{BlobBody, Client, ClientOptions, Event, Observer, RegistryError};
use onlay_testkit::{FrontAuth, Misbehaviour};

use crate::case::{Case, FOR_EVER, bytes, layer, read, repository, soon};

const INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// Every timeout there is, short.
fn hasty() -> ClientOptions {
    let short = Duration::from_millis(1200);
    ClientOptions {
        connect_timeout: short,
        answer_timeout: short,
        idle_timeout: short,
        ..ClientOptions::default()
    }
}

/// A server that answers each request with these pieces, with a pause after each, under the length of `size`.
fn trickling(pieces: Vec<Bytes>, pause: Duration, size: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, pieces) = (connection.unwrap(), pieces.clone());
            thread::spawn(move || {
                let head = BufReader::new(connection.try_clone().unwrap()).lines();
                head.map_while(Result::ok).find(String::is_empty);
                let _ = write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
                for piece in pieces {
                    let _ = connection.write_all(&piece);
                    thread::sleep(pause);
                }
            });
        }
    });
    host
}

fn pieces(blob: &Bytes, count: usize) -> Vec<Bytes> {
    let size = blob.len() / count;
    (0..count)
        .map(|piece| blob.slice(piece * size..(piece + 1) * size))
        .collect()
}

#[tokio::test]
async fn a_download_takes_as_long_as_it_moves() {
    let blob = bytes(1000);
    let host = trickling(pieces(&blob, 10), Duration::from_millis(200), blob.len());
    let client = Client::new(hasty()).unwrap();
    let start = Instant::now();
    let found = soon(read(&repository(&client, &host, "a"), &layer(&blob)))
        .await
        .unwrap();
    assert!(found == blob);
    assert!(
        start.elapsed() > Duration::from_millis(1500),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(client.counters().traffic().requests, 1);
}

#[tokio::test]
async fn an_upload_takes_as_long_as_it_moves() {
    let case = Case::with(FrontAuth::Registry, hasty());
    let blob = bytes(1000);
    let body = BlobBody::from_stream({
        let pieces = pieces(&blob, 10);
        move || {
            let pieces = stream::iter(pieces.clone()).then(|piece| async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Ok(piece)
            });
            async move { Ok(pieces) }
        }
    });
    let session = case.repository("a").start_upload().await.unwrap();
    let start = Instant::now();
    soon(session.put(&layer(&blob), body)).await.unwrap();
    assert!(
        start.elapsed() > Duration::from_millis(1500),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(case.exchanges(), ["POST 202", "PUT 201"]);
}

#[tokio::test]
async fn a_download_that_stands_still_is_taken_up_again() {
    let blob = bytes(100_000);
    let case = Case::with(FrontAuth::Registry, hasty());
    let descriptor = case.store("a", &blob).await;
    // Half of it, and then nothing.
    let stalling = trickling(vec![blob.slice(..50_000)], FOR_EVER, blob.len());
    let there = format!("http://{stalling}/blob");
    let moved = Misbehaviour::answer(307, &[("Location", &there)]);
    case.inject(1, "GET", "/blobs/", moved);
    let found = soon(read(&case.repository("a"), &descriptor)).await.unwrap();
    assert!(found == blob);
    let requests = case.requests("GET", "/blobs/");
    let rest = requests.iter().map(|request| request.response_bytes).sum::<u64>();
    assert_eq!((requests.len(), rest), (2, 50_000));
}

#[tokio::test]
async fn errors_tell_place_and_attempts() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_host = silent.local_addr().unwrap().to_string();
    let options = ClientOptions {
        tls_registries: [silent_host.clone()].into(),
        connect_timeout: Duration::from_millis(600),
        ..ClientOptions::default()
    };
    let client = Client::new(options).unwrap();
    let options = ClientOptions {
        answer_timeout: Duration::from_secs(1),
        ..ClientOptions::default()
    };
    let case = Case::with(FrontAuth::Registry, options);
    case.inject(100, "HEAD", "", Misbehaviour::Stall(Duration::from_secs(2)));
    let digest = layer(&[]).digest;
    let cases = [
        (repository(&client, &nobody, "a"), "no answer after 2 attempts"),
        (
            repository(&client, &silent_host, "a"),
            "no answer after 6 attempts",
        ),
        (case.repository("a"), "no answer within 1 seconds, 6 times"),
    ];
    let (digest, silent_host) = (&digest, silent_host.as_str());
    let cases = cases.iter().map(|(repository, expected)| async move {
        let failed = repository.head_blob(digest).await.unwrap_err();
        let place = format!("HEAD {}/v2/a/blobs/{digest}: ", repository.registry());
        assert_eq!(failed.to_string(), format!("{place}{expected}"));
        if repository.registry().as_str() == silent_host {
            assert!(matches!(failed, RegistryError::Transport { source, .. } if source.is_timeout()));
        }
    });
    join_all(cases).await;
    drop(silent);
}

#[tokio::test]
async fn a_manifest_is_asked_for_as_often_as_is_said() {
    // It does not begin, or it breaks off.
    let wrongs = [
        Misbehaviour::CutRequest { after: 0 },
        Misbehaviour::CutBody { after: 10 },
    ];
    let cases = wrongs.into_iter().map(|wrong| async move {
        let case = Case::new();
        let descriptor = Descriptor::of(MediaType::Index(Family::Oci), INDEX);
        let straight = case.straight("a");
        straight.put_manifest("v", &descriptor, INDEX).await.unwrap();
        case.inject(100, "GET", "/manifests/", wrong);
        let failed = case.repository("a").pull_manifest("v").await.unwrap_err();
        assert!(
            failed
                .to_string()
                .ends_with("/v2/a/manifests/v: no answer after 6 attempts"),
            "{failed}"
        );
        case.requests("GET", "/manifests/").len()
    });
    let counts = join_all(cases).await;
    // The HTTP library repeats by itself what an old connection broke off.
    assert!(counts[0] >= 6);
    assert_eq!(counts[1], 6);
}

/// Every repetition is told before it is waited for, and what hardly ever passes is not tried as often.
#[tokio::test]
async fn repetitions_are_told() {
    let told = Arc::<Mutex<Vec<Event>>>::default();
    let log = told.clone();
    let options = || ClientOptions {
        observer: Observer::new({
            let log = log.clone();
            move |event| log.lock().unwrap().push(event)
        }),
        insecure_registries: ["nobody.invalid".to_owned()].into(),
        ..ClientOptions::default()
    };
    let retries = || -> Vec<String> {
        let told = std::mem::take(&mut *told.lock().unwrap());
        let line = |event| match event {
            Event::Retry(retry) => format!(
                "{}: {} ({} of {})",
                retry.host, retry.why, retry.attempt, retry.of
            ),
            other => panic!("{other:?}"),
        };
        told.into_iter().map(line).collect()
    };
    let digest = layer(&[]).digest;

    let client = Client::new(options()).unwrap();
    let unknown = repository(&client, "nobody.invalid", "a")
        .head_blob(&digest)
        .await;
    assert!(
        unknown
            .unwrap_err()
            .to_string()
            .ends_with("no answer after 3 attempts")
    );
    let line = |number| format!("nobody.invalid: no answer (no such host) ({number} of 3)");
    assert_eq!(retries(), [line(2), line(3)]);

    // Lists are not asked for as often again.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = repository(&client, &nobody.to_string(), "a");
    assert!(gone.tags().await.is_err() && gone.pull_manifest("v").await.is_err());
    let line = format!("{nobody}: no answer (connection refused) (2 of 2)");
    assert_eq!(retries(), [line.clone(), line]);

    let case = Case::with(FrontAuth::Registry, options());
    let host = case.front.host().to_owned();
    case.inject(1, "HEAD", "", Misbehaviour::answer(503, &[("Retry-After", "1")]));
    case.inject(1, "HEAD", "", Misbehaviour::answer(500, &[]));
    assert_eq!(case.repository("a").head_blob(&digest).await.unwrap(), None);
    let lines = [
        format!("{host}: answered 503 (2 of 6)"),
        format!("{host}: answered 500 (3 of 6)"),
    ];
    assert_eq!(retries(), lines);

    let blob = bytes(100_000);
    let descriptor = case.store("a", &blob).await;
    case.inject(1, "GET", "/blobs/", Misbehaviour::CutBody { after: 50_000 });
    assert!(read(&case.repository("a"), &descriptor).await.unwrap() == blob);
    let cut = retries();
    assert!(
        matches!(&cut[..], [one] if one.starts_with(&format!("{host}: the transfer stops at "))),
        "{cut:?}"
    );
}
