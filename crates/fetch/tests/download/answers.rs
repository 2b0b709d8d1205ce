use std::io::Write;

use onlay_oci::Digest;

use crate::server::{Answer, Server};
use crate::{bytes, chain, download, expect, options};

#[tokio::test]
async fn a_file_with_all_that_is_known_of_it() {
    let answer = Answer::file("content").header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    let server = Server::start([answer]);
    let file = download(&server.url("/dir/a%20file.tar?token=x")).await.unwrap();
    assert_eq!(bytes(&file), b"content");
    assert_eq!(file.size, 7);
    assert_eq!(file.digest, Digest::of(b"content"));
    assert_eq!(file.file_name, "a file.tar");
    assert_eq!(file.last_modified, Some(784_111_777));
    assert_eq!(file.url.as_str(), server.url("/dir/a%20file.tar?token=x"));
    assert!(!format!("{file:?}").contains("token"));
    let request = &server.requests()[0];
    assert_eq!(request.line, "GET /dir/a%20file.tar?token=x HTTP/1.1");
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert!(request.header("user-agent").unwrap().starts_with("onlay/"));
}

#[tokio::test]
async fn names_are_looked_up_and_downloads_run_side_by_side() {
    let server = Server::start([Answer::file("content")]);
    let fetcher = onlay_fetch::Fetcher::new(options(None)).unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let url = server.url("/x").replace("127.0.0.1", "localhost");
            let fetcher = fetcher.clone();
            tokio::spawn(async move { fetcher.download(&url, None).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(bytes(&task.await.unwrap().unwrap()), b"content");
    }
}

#[tokio::test]
async fn an_empty_file_without_a_date() {
    let file = download(&Server::start([Answer::file("")]).url("/x"))
        .await
        .unwrap();
    assert_eq!((file.size, file.last_modified), (0, None));
    assert_eq!(file.digest, Digest::of(b""));
}

#[tokio::test]
async fn the_server_has_no_say_in_the_name() {
    let answer = Answer::file("x").header("Content-Disposition", "attachment; filename=\"../../etc/passwd\"");
    let server = Server::start([answer]);
    assert_eq!(download(&server.url("/name")).await.unwrap().file_name, "name");
    assert_eq!(download(&server.url("/")).await.unwrap().file_name, "__unnamed__");
}

#[tokio::test]
async fn expected_digests_are_compared() {
    let server = Server::start([Answer::file("abc")]);
    let sha512 = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                  2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    for digest in [&Digest::of(b"abc").to_string(), sha512] {
        let file = expect(&server.url("/x"), Some(digest)).await.unwrap();
        assert_eq!(file.digest, Digest::of(b"abc"));
    }
    let wrong = Digest::of(b"abd").to_string();
    let error = expect(&server.url("/x?secret"), Some(&wrong)).await.unwrap_err();
    let found = Digest::of(b"abc");
    let expected = format!(
        "`{}`: expected {wrong}, found {found} (3 bytes)",
        server.url("/x")
    );
    assert_eq!(chain(&error), expected);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn compressed_answers_are_kept_as_buildkit_keeps_them() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"content").unwrap();
    let compressed = encoder.finish().unwrap();
    let marked = |encoding: &str| Answer::file(&compressed).header("Content-Encoding", encoding);
    let other = |content: &str| Answer::file(content).header("Content-Encoding", "gzip");
    let server = Server::start([marked("gzip"), marked("br"), other(""), other("x")]);
    assert_eq!(bytes(&download(&server.url("/x")).await.unwrap()), b"content");
    assert_eq!(bytes(&download(&server.url("/x.gz")).await.unwrap()), compressed);
    assert_eq!(bytes(&download(&server.url("/x")).await.unwrap()), b"");
    let error = download(&server.url("/x")).await.unwrap_err();
    assert!(
        chain(&error).contains("`Content-Encoding: gzip`"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn large_files_go_to_the_temporary_directory() {
    let content: Vec<u8> = (0..9_000_000_u32).map(|index| (index >> 7) as u8).collect();
    let server = Server::start([Answer::file(&content)]);
    let directory = tempfile::tempdir().unwrap();
    let fetcher = onlay_fetch::Fetcher::new(options(Some(directory.path().to_owned()))).unwrap();
    let file = fetcher.download(&server.url("/x"), None).await.unwrap();
    assert!(bytes(&file) == content);
    assert_eq!(file.digest, Digest::of(&content));
    let error = download(&server.url("/x")).await.unwrap_err();
    assert!(chain(&error).contains("temporary directory"), "{}", chain(&error));
}

#[tokio::test]
async fn what_is_no_url_to_download_from_is_refused() {
    let cases = [
        ("nothing", "`nothing` is not a URL: relative URL without a base"),
        (
            "ftp://u:p@a.example/x",
            "`ftp://a.example/x` cannot be downloaded, expected `http` or `https`, found `ftp`",
        ),
        (
            "http://169.254.169.254/latest?x",
            "`http://169.254.169.254/latest` is at a link-local or metadata address, which is refused",
        ),
    ];
    for (url, message) in cases {
        assert_eq!(chain(&download(url).await.unwrap_err()), message);
    }
}
