//! What the user wants of Amazon ECR, as arguments and files.

use std::io::{Read, Write};

use onlay_testkit::{Credential, Registry, TestBase};

use crate::ecr::{HOST, Moto};
use crate::onlay::{Home, VAULT};

#[test]
fn a_template_decides_what_missing_repositories_are_like() {
    let moto = Moto::start();
    let registry = Registry::start_with_credential(&Credential::new("AWS", "123456789012-auth-token"));
    let home = Home::new()
        .with_variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with_variable("AWS_SECRET_ACCESS_KEY", "secret-of-aws")
        .with_variable("AWS_ENDPOINT_URL_ECR", &moto.url());
    let base = home.test_base(&TestBase::FULL);
    let template = home.write(
        "template.toml",
        "tag-mutability = \"IMMUTABLE\"\ntag-mutability-exclusions = [\"latest*\"]\n",
    );
    let destination = format!("{HOST}/team/vault:1.14");
    let endpoint = format!("{HOST}=http://{}/", registry.host());
    // To name a template is to ask for it.
    let arguments: Vec<&str> = ["apply", &base]
        .into_iter()
        .chain(VAULT)
        .chain(["-t", &destination, "--registry-endpoint", &endpoint])
        .chain(["--ecr-repository-template", &template])
        .collect();
    home.run(&arguments).success();
    let data = moto.data();
    for word in ["IMMUTABLE_WITH_EXCLUSION", "latest*"] {
        assert!(data.contains(word), "{word}: {data}");
    }
}

#[test]
fn what_is_wrong_is_known_before_any_request() {
    let home = Home::new();
    let template = home.write("template.toml", "scan-on-push = true\ncolour = \"red\"\n");
    let cases: [(&[&str], &str); 4] = [
        (
            &["--ecr-repository-template", &template],
            "template.toml:2:1: unknown field `colour`",
        ),
        (
            &["--ecr-pace", "PutImages=50"],
            "`--ecr-pace`: unknown action `PutImages`, expected one of BatchCheckLayerAvailability",
        ),
        (
            &["--ecr-assume-role", "docker.io=arn:aws:iam::123456789012:role/x"],
            "`docker.io` is no registry of ECR",
        ),
        (
            &["--ecr-assume-role", "public.ecr.aws=arn:aws:iam::1:role/x"],
            "`arn:aws:iam::1:role/x` is no role",
        ),
    ];
    for (arguments, expected) in cases {
        let arguments: Vec<&str> = ["apply", "registry.invalid/x", "ENV A=1"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let run = home.run(&arguments);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
}

#[test]
fn a_missing_right_is_named_and_where_to_find_the_others() {
    // An API that denies everything; the registry of the test wants no token.
    let home = Home::new()
        .with_variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with_variable("AWS_SECRET_ACCESS_KEY", "secret-of-aws")
        .with_variable("AWS_ENDPOINT_URL_ECR", &denying());
    let registry = Registry::start();
    let base = home.test_base(&TestBase::FULL);
    let destination = format!("{HOST}/team/vault:1.14");
    let endpoint = format!("{HOST}=http://{}/", registry.host());
    let run = home.run(&[
        "apply",
        &base,
        "ENV A=1",
        "-t",
        &destination,
        "--registry-endpoint",
        &endpoint,
        "--ecr-create-repository",
    ]);
    assert_eq!(run.code, Some(1));
    for expected in [
        "caused by: `ecr:CreateRepository` on `arn:aws:ecr:eu-west-1:123456789012:repository/team/vault` is not allowed: ",
        "hint: `onlay doctor iam -- COMMAND LINE` prints all that AWS has to allow for it",
    ] {
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
}

/// An address where every request is denied, as AWS's JSON services do it.
fn denying() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 16 * 1024];
            // A request of a few hundred bytes comes in one piece, or is of no interest.
            let _ = stream.read(&mut request);
            let body = r#"{"__type":"AccessDeniedException","message":"User: arn:aws:iam::1:user/x is not authorized to perform: ecr:CreateRepository on resource: x"}"#;
            let _ = write!(
                stream,
                "HTTP/1.1 400 x\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}
