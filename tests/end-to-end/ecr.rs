//! Amazon ECR: moto's server for the API, docker-registry with a password for the data, the host mapped by
//! configuration. What moto is not faithful in is in `crates/ecr`'s own tests.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use onlay_testkit::{Credential, Registry, Strictness, TestBase, validate_registry};

use crate::onlay::{Home, VAULT};

pub(crate) const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// moto's server on a loopback port of its own; ends when dropped.
pub(crate) struct Moto {
    process: Child,
    pub(crate) port: u16,
}

impl Moto {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(more: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let program = std::env::var("ONLAY_MOTO_SERVER").unwrap_or_else(|_| "moto_server".to_owned());
        let process = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("`{program}`: {error}; scripts/test installs it"));
        let moto = Self { process, port };
        for _ in 0..600 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return moto;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("moto does not answer");
    }

    /// All that it knows, as text.
    pub(crate) fn data(&self) -> String {
        let output = Command::new("curl")
            .args(["-sS", &format!("{}/moto-api/data.json", self.url())])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Moto {
    /// Calls an action of a service that speaks JSON, as `Service.Action`.
    pub(crate) fn ask(&self, target: &str, body: &str) -> serde_json::Value {
        let (service, _) = target.split_once('.').unwrap();
        let service = if service == "AmazonSSM" { "ssm" } else { service };
        let answer = self.post(
            service,
            &["-H", &format!("X-Amz-Target: {target}")],
            "application/x-amz-json-1.1",
            body,
        );
        serde_json::from_str(&answer).unwrap()
    }

    /// Makes a topic of SNS, and gives its ARN.
    pub(crate) fn topic(&self, name: &str) -> String {
        let form = format!("Action=CreateTopic&Version=2010-03-31&Name={name}");
        let answer = self.post("sns", &[], "application/x-www-form-urlencoded", &form);
        let (_, rest) = answer.split_once("<TopicArn>").unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    }

    /// moto tells services apart by the scope of the signature, which it does not check.
    fn post(&self, service: &str, more: &[&str], content_type: &str, body: &str) -> String {
        let scope = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let output = Command::new("curl")
            .args([
                "-sS",
                "-H",
                &scope,
                "-H",
                &format!("Content-Type: {content_type}"),
                "-d",
                body,
            ])
            .args(more)
            .arg(self.url())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_vault_image_goes_to_ecr() {
    let moto = Moto::start();
    // What moto gives out as the password of every account.
    let credential = Credential::new("AWS", "123456789012-auth-token");
    let registry = Registry::start_with_credential(&credential);
    let home = Home::new()
        .with_variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with_variable("AWS_SECRET_ACCESS_KEY", "secret-of-aws")
        .with_variable("AWS_ENDPOINT_URL_ECR", &moto.url());
    let base = home.test_base(&TestBase::FULL);
    let destination = format!("{HOST}/ecsclone/hashicorp/vault:1.14");
    let endpoint = format!("{HOST}=http://{}/", registry.host());
    let arguments: Vec<&str> = ["apply", &base]
        .into_iter()
        .chain(VAULT)
        .chain([
            "-t",
            &destination,
            "--registry-endpoint",
            &endpoint,
            "--ecr-create-repository",
        ])
        .collect();
    let run = home.run(&arguments).success();
    assert_eq!(run.stdout, format!("{destination}@{}\n", run.digest()));
    for secret in ["secret-of-aws", "auth-token"] {
        assert!(!run.stderr.contains(secret) && !run.stdout.contains(secret));
    }
    let above = Strictness::LayersAbove(TestBase::LAYERS);
    let report = validate_registry(
        registry.host(),
        "ecsclone/hashicorp/vault",
        "1.14",
        Some(&credential),
        above,
    );
    assert_eq!(report.digest, run.digest());
    assert_eq!(repositories(&moto), ["ecsclone/hashicorp/vault"]);

    // Once more: the repository exists, the image is there, nothing is sent.
    let again = home.run(&arguments).success();
    assert_eq!(again.digest(), run.digest());
    assert!(again.stderr.contains("has it already"), "{}", again.stderr);
}

/// Asks moto by the same API that AWS's own tools use.
fn repositories(moto: &Moto) -> Vec<String> {
    let output = Command::new("curl")
        .args(["-sS", "-X", "POST", "-d", "{}", &moto.url()])
        .args(["-H", "X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.DescribeRepositories"])
        .args(["-H", "Content-Type: application/x-amz-json-1.1"])
        .args(["-H", "Authorization: AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/ecr/aws4_request, SignedHeaders=host, Signature=0"])
        .output()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let repositories = answer["repositories"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    repositories
        .iter()
        .map(|repository| repository["repositoryName"].as_str().unwrap().to_owned())
        .collect()
}
