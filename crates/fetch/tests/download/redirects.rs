use crate::server::{Answer, Server};
use crate::{bytes, chain, download};

#[tokio::test]
async fn redirects_are_followed_and_keep_the_name() {
    let target = Server::start([Answer::file("content")]);
    let server = Server::start([
        Answer::redirect("/second"),
        Answer::redirect(&target.url("/other?signature=x")),
    ]);
    let file = download(&server.url("/first")).await.unwrap();
    assert_eq!(bytes(&file), b"content");
    assert_eq!(file.file_name, "first");
    assert_eq!(file.url.as_str(), target.url("/other?signature=x"));
    assert_eq!(server.requests()[1].line, "GET /second HTTP/1.1");
}

#[tokio::test]
async fn credentials_stay_at_their_origin() {
    let target = Server::start([Answer::file("content")]);
    let server = Server::start([Answer::redirect("/second"), Answer::redirect(&target.url("/x"))]);
    let url = format!("http://user:p%40ss@{}/first", server.host());
    let file = download(&url).await.unwrap();
    assert_eq!(file.url.as_str(), target.url("/x"));
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Basic dXNlcjpwQHNz"));
    }
    assert_eq!(target.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn loops_end() {
    let server = Server::start([Answer::redirect("/again")]);
    let error = download(&server.url("/x")).await.unwrap_err();
    assert_eq!(
        chain(&error),
        format!("`{}`: more than 10 redirects", server.url("/x"))
    );
    assert_eq!(server.requests().len(), 11);
}

#[tokio::test]
async fn ten_redirects_are_not_too_many() {
    let answers = vec![Answer::redirect("/again"); 10];
    let server = Server::start(answers.into_iter().chain([Answer::file("content")]));
    assert_eq!(bytes(&download(&server.url("/x")).await.unwrap()), b"content");
}

#[tokio::test]
async fn some_targets_are_refused() {
    for (location, shown) in [
        (
            "http://169.254.169.254/latest/meta-data?x",
            "http://169.254.169.254/latest/meta-data",
        ),
        ("http://[fd00:ec2::254]/", "http://[fd00:ec2::254]/"),
        ("http://[fe80::1]/x", "http://[fe80::1]/x"),
        ("http://u:p@[::ffff:a9fe:a9fe]/", "http://[::ffff:a9fe:a9fe]/"),
        ("file:///etc/passwd", "file:///etc/passwd"),
    ] {
        let server = Server::start([Answer::redirect(location)]);
        let error = download(&server.url("/x")).await.unwrap_err();
        let message = format!(
            "`{}`: the server redirects to `{shown}`, which is refused",
            server.url("/x")
        );
        assert_eq!(chain(&error), message);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_an_error() {
    let server = Server::start([Answer::redirect("http://a b/"), Answer::new("302 Found")]);
    let error = download(&server.url("/x")).await.unwrap_err();
    assert!(
        chain(&error).contains("redirects to `http://a b/`, which is not a URL"),
        "{}",
        chain(&error)
    );
    let error = download(&server.url("/x")).await.unwrap_err();
    assert_eq!(chain(&error), format!("`{}`: 302 Found", server.url("/x")));
}
