//! `onlay doctor`: what a machine allows, and what is needed.

use std::os::unix::process::CommandExt;
use std::process::Command;

use onlay_testkit::Registry;
use serde_json::{Value, json};

use crate::ecr::HOST;
use crate::onlay::{Home, Run};

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

fn report(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn the_rungs_that_root_has_and_a_user_has_not() {
    let home = Home::new();
    let open = Command::new("chmod").arg("755").arg(home.path()).status();
    assert!(open.unwrap().success());
    let command = || home.command(&["doctor", "--format=json"]);
    let found = report(&Run::of(command().output().unwrap()).success());
    assert_eq!(found["run"], "namespaces");
    assert_eq!(found["machine"]["user"], 0);
    assert_eq!(
        found["sandboxes"][2],
        json!({"name": "ptrace", "refused": null, "obstacle": null})
    );
    assert_eq!(found["temporary"]["writable"], true);
    assert!(found["temporary"]["free"].as_u64().unwrap() > 0);

    let found = report(&Run::of(command().uid(1000).gid(1000).output().unwrap()).success());
    assert_eq!(found["run"], "ptrace");
    assert_eq!(found["machine"]["capabilities"], json!([]));
    for (number, step) in [(0, "unshare"), (1, "chroot")] {
        assert_eq!(found["sandboxes"][number]["refused"], step);
        let obstacle = found["sandboxes"][number]["obstacle"].as_str().unwrap();
        assert!(obstacle.contains("Operation not permitted"), "{obstacle}");
    }
    // The same for people.
    let run = home.run(&["doctor"]).success();
    assert!(
        run.stdout.contains("  namespaces  yes, and used\n"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("Credentials:\n  none"), "{}", run.stdout);
}

#[test]
fn registries_and_credentials_are_named_and_no_secret_is_shown() {
    let registry = Registry::start();
    let home = Home::new().with_variable("AWS_ACCESS_KEY_ID", "key-that-is-secret");
    let config = json!({"auths": {
        registry.host(): {"auth": "dXNlcjpwYXNzd29yZC10aGF0LWlzLXNlY3JldA=="},
    }});
    home.write(".docker/config.json", &config.to_string());
    for format in ["json", "text"] {
        let run = home.run(&["doctor", "127.0.0.1:1", "--format", format]);
        assert_eq!(run.code, Some(1));
        assert!(
            run.stderr.contains("error: `127.0.0.1:1` cannot be used"),
            "{}",
            run.stderr
        );
        for secret in ["password-that-is", "cGFzc3dvcmQ", "dXNlcjpw", "key-that-is"] {
            assert!(
                !run.stdout.contains(secret) && !run.stderr.contains(secret),
                "{}",
                run.stdout
            );
        }
        if format == "text" {
            assert!(run.stdout.contains("Connection refused"), "{}", run.stdout);
            continue;
        }
        let found = report(&run);
        assert_eq!(found["credentials"]["entries"][0]["name"], registry.host());
        assert_eq!(found["credentials"]["variables"], json!(["AWS_ACCESS_KEY_ID"]));
        let asked = found["registries"].as_array().unwrap();
        let answer = asked
            .iter()
            .find(|asked| asked["name"] == registry.host())
            .unwrap();
        assert_eq!(
            (&answer["login"], &answer["error"]),
            (&json!("open"), &Value::Null)
        );
    }
    // What is wrong with a file is a finding, too.
    home.write(".docker/config.json", "{");
    let run = home.run(&["doctor"]).success();
    assert!(
        run.stdout.contains("is not a docker configuration file"),
        "{}",
        run.stdout
    );
}
