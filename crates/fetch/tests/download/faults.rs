use std::time::Duration;

use crate::server::{Answer, Server};
use crate::{bytes, chain, download};

const CONTENT: &str = "some content that is long enough to be cut";

fn tagged(tag: &str) -> Answer {
    Answer::file(CONTENT).header("ETag", tag)
}

#[tokio::test]
async fn a_cut_transfer_goes_on_where_it_broke_off() {
    let answers = [
        tagged("\"a\"")
            .header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
            .cut(10),
        Answer::new("503 Busy").header("Retry-After", "0"),
        Answer::rest(CONTENT, 10).header("ETag", "\"a\""),
    ];
    let server = Server::start(answers);
    let file = download(&server.url("/x")).await.unwrap();
    assert_eq!(bytes(&file), CONTENT.as_bytes());
    assert_eq!(file.last_modified, Some(784_111_777));
    let requests = server.requests();
    assert_eq!(requests[0].header("range"), None);
    for request in &requests[1..] {
        assert_eq!(request.header("range"), Some("bytes=10-"));
        assert_eq!(request.header("if-range"), Some("\"a\""));
    }
}

#[tokio::test]
async fn a_cut_transfer_starts_over_where_it_cannot_go_on() {
    let other = "something else, because the file has changed";
    let cases = [
        // No tag, a weak one, and a server that does not know ranges.
        (
            Answer::file(CONTENT).cut(10),
            Answer::file(CONTENT),
            None,
            CONTENT,
        ),
        (tagged("W/\"a\"").cut(10), tagged("W/\"a\""), None, CONTENT),
        (
            tagged("\"a\"").cut(10),
            tagged("\"a\""),
            Some("bytes=10-"),
            CONTENT,
        ),
        // The file has changed.
        (
            tagged("\"a\"").cut(10),
            Answer::file(other).header("ETag", "\"b\""),
            Some("bytes=10-"),
            other,
        ),
    ];
    for (first, second, range, content) in cases {
        let server = Server::start([first, second]);
        let file = download(&server.url("/x")).await.unwrap();
        assert_eq!(bytes(&file), content.as_bytes());
        assert_eq!(server.requests()[1].header("range"), range);
    }
}

#[tokio::test]
async fn a_rest_of_something_else_is_not_taken() {
    let not_this = [
        Answer::rest(CONTENT, 10).header("ETag", "\"b\""),
        Answer::rest(CONTENT, 9).header("ETag", "\"a\""),
        Answer::rest(format!("{CONTENT} and more"), 10),
        Answer::new("416 Range Not Satisfiable").header("Content-Length", "0"),
    ];
    for answer in not_this {
        let server = Server::start([tagged("\"a\"").cut(10), answer, tagged("\"c\"")]);
        let file = download(&server.url("/x")).await.unwrap();
        assert_eq!(bytes(&file), CONTENT.as_bytes());
        assert_eq!(server.requests()[2].header("range"), None);
    }
}

#[tokio::test]
async fn a_compressed_transfer_goes_on_too() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(CONTENT.as_bytes()).unwrap();
    let compressed = encoder.finish().unwrap();
    let marked = |answer: Answer| answer.header("ETag", "\"a\"").header("Content-Encoding", "gzip");
    let answers = [
        marked(Answer::file(&compressed)).cut(12),
        marked(Answer::rest(&compressed, 12)),
    ];
    let server = Server::start(answers);
    assert_eq!(
        bytes(&download(&server.url("/x")).await.unwrap()),
        CONTENT.as_bytes()
    );
}

#[tokio::test]
async fn what_is_always_cut_is_given_up() {
    let server = Server::start([Answer::file(CONTENT).cut(10)]);
    let error = download(&server.url("/x?secret")).await.unwrap_err();
    let size = CONTENT.len();
    let start = format!(
        "`{}`: the transfer broke off at 10 of {size} bytes, 3 times",
        server.url("/x")
    );
    assert!(chain(&error).starts_with(&start), "{}", chain(&error));
    assert!(!chain(&error).contains("secret"), "{}", chain(&error));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_rest_that_is_shorter_than_announced_goes_on_again() {
    let short = Answer::new("206 Partial Content")
        .header("Content-Length", "0")
        .header("Content-Range", &format!("bytes 10-41/{}", CONTENT.len()));
    let server = Server::start([tagged("\"a\"").cut(10), short, Answer::rest(CONTENT, 10)]);
    assert_eq!(
        bytes(&download(&server.url("/x")).await.unwrap()),
        CONTENT.as_bytes()
    );
}

#[tokio::test]
async fn a_rest_that_is_longer_than_announced_is_thrown_away() {
    let long = Answer::new("206 Partial Content")
        .header("Content-Length", "33")
        .header("Content-Range", &format!("bytes 10-41/{}", CONTENT.len()));
    let long = long.body("012345678901234567890123456789012");
    let server = Server::start([tagged("\"a\"").cut(10), long, tagged("\"a\"")]);
    assert_eq!(
        bytes(&download(&server.url("/x")).await.unwrap()),
        CONTENT.as_bytes()
    );
    assert_eq!(server.requests()[2].header("range"), None);
}

#[tokio::test]
async fn silence_counts_as_a_cut() {
    let silent = tagged("\"a\"").cut(10).silence(Duration::from_secs(5));
    let server = Server::start([silent.clone(), Answer::rest(CONTENT, 10)]);
    assert_eq!(
        bytes(&download(&server.url("/x")).await.unwrap()),
        CONTENT.as_bytes()
    );
    let server = Server::start([silent.clone().cut(0)]);
    let error = download(&server.url("/x")).await.unwrap_err();
    assert_eq!(
        chain(&error),
        format!("`{}`: nothing came for 300ms, 3 times", server.url("/x"))
    );
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    for status in [
        "503 Service Unavailable",
        "429 Too Many Requests",
        "500 Internal Server Error",
    ] {
        let busy = Answer::new(status)
            .header("Retry-After", "0")
            .header("Content-Length", "0");
        let server = Server::start([busy.clone(), busy.clone(), Answer::file(CONTENT)]);
        assert_eq!(
            bytes(&download(&server.url("/x")).await.unwrap()),
            CONTENT.as_bytes()
        );
        let server = Server::start([busy]);
        let error = download(&server.url("/x")).await.unwrap_err();
        assert_eq!(
            chain(&error),
            format!("`{}`: {status}, 3 times", server.url("/x"))
        );
    }
}

#[tokio::test]
async fn a_server_that_is_busy_for_hours_is_not_waited_for() {
    let server = Server::start([Answer::new("429 Too Many Requests").header("Retry-After", "7200")]);
    let error = download(&server.url("/x")).await.unwrap_err();
    let message = "429 Too Many Requests, the server asks to come back in 7200 seconds";
    assert_eq!(chain(&error), format!("`{}`: {message}", server.url("/x")));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_no_is_a_no() {
    for status in [
        "404 Not Found",
        "403 Forbidden",
        "206 Partial Content",
        "304 Not Modified",
    ] {
        let server = Server::start([Answer::new(status)]);
        let url = server.url("/x?token=secret").replace("//", "//user:password@");
        let error = download(&url).await.unwrap_err();
        assert_eq!(chain(&error), format!("`{}`: {status}", server.url("/x")));
        assert_eq!(error.is_not_found(), status == "404 Not Found");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    drop(listener);
    let error = download(&format!("http://{host}/x?secret")).await.unwrap_err();
    let start = format!("`http://{host}/x`: no answer, 2 times: ");
    assert!(chain(&error).starts_with(&start), "{}", chain(&error));
    assert!(!chain(&error).contains("secret"), "{}", chain(&error));
}
