//! `onlay doctor`: what is needed, without asking anybody.

use serde_json::{Value, json};

use crate::ecr::HOST;
use crate::onlay::Home;

fn policy(home: &Home, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = ["doctor", "iam", "--"]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    let run = home.run(&arguments).success();
    assert_eq!(run.stderr, "");
    serde_json::from_str(&run.stdout).unwrap()
}

fn allow(actions: &[&str], resource: &str) -> Value {
    json!({"Effect": "Allow", "Action": actions, "Resource": [resource]})
}

fn arn(repository: &str) -> String {
    format!("arn:aws:ecr:eu-west-1:123456789012:repository/{repository}")
}

const PULL: [&str; 2] = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
const PUSH: [&str; 6] = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
];

#[test]
fn the_policy_of_an_apply() {
    let destination = format!("{HOST}/team/vault:1.14");
    // The program's own name may stand in front, as it is copied from a script.
    let found = policy(
        &Home::new(),
        &[
            "onlay",
            "apply",
            "hashicorp/vault:1.14",
            "RUN mkdir /etc/vault",
            "-t",
            &destination,
        ],
    );
    let expected = json!({"Version": "2012-10-17", "Statement": [
        allow(&["ecr:GetAuthorizationToken"], "*"),
        allow(&PUSH, &arn("team/vault")),
    ]});
    assert_eq!(found, expected);
}

#[test]
fn the_policy_of_a_build_with_a_cache_for_docker_hub_and_a_role() {
    let home = Home::new();
    home.write(
        "Dockerfile",
        &format!(
            "ARG NAME=unset\nFROM golang AS build\nFROM {HOST}/bases/$NAME\nCOPY --from=build /go /\nCOPY --from={HOST}/tools:1 /x /\n"
        ),
    );
    let other = "210987654321.dkr.ecr.us-gov-west-1.amazonaws.com";
    let found = policy(
        &home,
        &[
            "build",
            "--build-arg",
            "NAME=alpine",
            "-t",
            &format!("{other}/app"),
            "--registry-mirror",
            &format!("docker.io={HOST}/hub"),
            "--ecr-create-repository",
            "--ecr-assume-role",
            &format!("{other}=arn:aws-us-gov:iam::210987654321:role/push"),
        ],
    );
    let mut push = PUSH.to_vec();
    push.insert(3, "ecr:CreateRepository");
    let import = [
        "ecr:BatchGetImage",
        "ecr:BatchImportUpstreamImage",
        "ecr:CreateRepository",
        "ecr:GetDownloadUrlForLayer",
    ];
    let pulled = json!({"Effect": "Allow", "Action": PULL, "Resource": [arn("bases/alpine"), arn("tools")]});
    let expected = json!({
        "caller": {"Version": "2012-10-17", "Statement": [
            allow(&["ecr:GetAuthorizationToken"], "*"),
            pulled,
            allow(&import, &arn("hub/library/golang")),
            allow(&["sts:AssumeRole"], "arn:aws-us-gov:iam::210987654321:role/push"),
        ]},
        "arn:aws-us-gov:iam::210987654321:role/push": {"Version": "2012-10-17", "Statement": [
            allow(&["ecr:GetAuthorizationToken"], "*"),
            allow(&push, "arn:aws-us-gov:ecr:us-gov-west-1:210987654321:repository/app"),
        ]},
    });
    assert_eq!(found, expected);
}

#[test]
fn the_policies_of_looks() {
    let image = format!("{HOST}/team/vault:1.14");
    let other = format!("{HOST}/team/other");
    let token = allow(&["ecr:GetAuthorizationToken"], "*");
    let pull = allow(&PULL, &arn("team/vault"));
    let both = json!({"Effect": "Allow", "Action": PULL, "Resource": [arn("team/other"), arn("team/vault")]});
    let cases: [(&[&str], &Value); 7] = [
        (&["cat", &image, "/etc/passwd"], &pull),
        (&["diff", &image, &other], &both),
        (&["digest", &image], &pull),
        (&["history", &image], &pull),
        (&["inspect", &image], &pull),
        (&["ls", &image], &pull),
        (&["tags", &other], &allow(&["ecr:ListImages"], &arn("team/other"))),
    ];
    for (arguments, expected) in cases {
        assert_eq!(
            policy(&Home::new(), arguments)["Statement"],
            json!([token, expected]),
            "{arguments:?}"
        );
    }
}

#[test]
fn the_policy_of_a_copy_within_ecr() {
    let (from, to) = (format!("{HOST}/team/vault:1.14"), format!("{HOST}/team/other"));
    let expected = json!([
        allow(&["ecr:GetAuthorizationToken"], "*"),
        allow(&PUSH, &arn("team/other")),
        allow(&PULL, &arn("team/vault")),
    ]);
    assert_eq!(policy(&Home::new(), &["copy", &from, &to])["Statement"], expected);
}

#[test]
fn a_command_line_that_is_wrong_is_refused_as_it_would_be() {
    let home = Home::new();
    let cases: [(&[&str], &str); 4] = [
        (
            &["apply", "x", "--colour"],
            "unexpected argument '--colour' found",
        ),
        (&["apply", "x", "RUNN x"], "unknown instruction"),
        (&["apply", "x", "-t", "short"], "`-t short`"),
        (
            &["doctor", "iam", "--", "x"],
            "`doctor` itself needs nothing of AWS",
        ),
    ];
    for (arguments, expected) in cases {
        let arguments: Vec<&str> = ["doctor", "iam", "--"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let run = home.run(&arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
}
