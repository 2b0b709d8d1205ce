//! Where AWS's credentials come from: each source on its own, with nothing else to fall back to. moto takes any key, so
//! that an image arrives says that there was one.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use onlay_testkit::{Credential, Registry, TestBase};

use crate::ecr::{HOST, Moto};
use crate::onlay::{Home, Run, VAULT};

const KEYS: &str = r#""AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"secret-of-aws","Token":"session-of-aws","Expiration":"2100-01-01T00:00:00Z""#;

/// A server on loopback that answers GET and PUT with JSON or text, as the machine's own services do.
struct Service {
    address: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// `answer` is told the first line and all headers, in lower case.
    fn start(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&stream.unwrap(), &answer, &requests);
            }
        });
        Self { address, log }
    }

    fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, answer: &dyn Fn(&str) -> Option<String>, log: &Mutex<Vec<String>>) {
    let mut head = String::new();
    for line in BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
    {
        head.push_str(&line.to_lowercase());
        head.push('\n');
    }
    log.lock()
        .unwrap()
        .push(head.lines().next().unwrap_or_default().to_owned());
    let (status, body) = match answer(&head) {
        Some(body) => (200, body),
        None => (404, String::new()),
    };
    // The header is of the instance metadata service's tokens. The other side may have gone.
    let _ = (&*stream).write_all(
        format!(
            "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
}

fn home(moto: &Moto) -> Home {
    Home::new()
        .with_variable("AWS_ENDPOINT_URL_ECR", &moto.url())
        .with_variable("AWS_ENDPOINT_URL_STS", &moto.url())
        .with_variable("AWS_REGION", "eu-west-1")
}

fn without_metadata(home: Home) -> Home {
    home.with_variable("AWS_EC2_METADATA_DISABLED", "true")
}

/// Publishes the vault's image in ECR.
fn publish(home: &Home, more: &[&str]) -> Run {
    // What moto gives out as the password of every account.
    let registry = Registry::start_with_credential(&Credential::new("AWS", "123456789012-auth-token"));
    let base = home.test_base(&TestBase::FULL);
    let destination = format!("{HOST}/team/vault:1.14");
    let endpoint = format!("{HOST}=http://{}/", registry.host());
    let arguments: Vec<&str> = ["apply", &base]
        .into_iter()
        .chain(VAULT)
        .chain(["-t", &destination, "--registry-endpoint", &endpoint])
        .chain(["--ecr-create-repository"])
        .chain(more.iter().copied())
        .collect();
    let run = home.run(&arguments);
    for secret in ["secret-of-aws", "session-of-aws", "auth-token"] {
        assert!(
            !run.stderr.contains(secret) && !run.stdout.contains(secret),
            "{}",
            run.stderr
        );
    }
    run
}

#[test]
fn without_any_the_error_says_so_and_soon() {
    let moto = Moto::start();
    let start = Instant::now();
    let run = publish(&without_metadata(home(&moto)), &[]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr
            .contains("CreateRepository in `eu-west-1` got no answer")
            || run
                .stderr
                .contains("GetAuthorizationToken in `eu-west-1` got no answer"),
        "{}",
        run.stderr
    );
    assert!(start.elapsed().as_secs() < 90);
}

#[test]
fn a_profile() {
    let moto = Moto::start();
    let home = without_metadata(home(&moto)).with_variable("AWS_PROFILE", "work");
    home.write(
        ".aws/credentials",
        "[work]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = secret-of-aws\n",
    );
    publish(&home, &[]).success();
}

#[test]
fn a_profile_that_takes_on_a_role() {
    let moto = Moto::start();
    let home = without_metadata(home(&moto)).with_variable("AWS_PROFILE", "role");
    home.write(
        ".aws/config",
        "[profile keys]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = secret-of-aws\n\
         [profile role]\nrole_arn = arn:aws:iam::123456789012:role/profile\nsource_profile = keys\n",
    );
    publish(&home, &[]).success();
    assert!(moto.data().contains("role/profile"), "{}", moto.data());
}

#[test]
fn a_program() {
    let moto = Moto::start();
    let home = without_metadata(home(&moto));
    let program = home.write(
        "keys",
        &format!(
            "#!/bin/sh\necho '{{\"Version\":1,{}}}'\n",
            KEYS.replace("\"Token\"", "\"SessionToken\"")
        ),
    );
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    home.write(
        ".aws/config",
        &format!("[default]\ncredential_process = {program}\n"),
    );
    publish(&home, &[]).success();
}

#[test]
fn single_sign_on() {
    let moto = Moto::start();
    let portal = Service::start(|head| {
        let is_ours = head.starts_with("get /federation/credentials?")
            && head.contains("x-amz-sso_bearer_token: sso-token");
        is_ours.then(|| {
            r#"{"roleCredentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"secret-of-aws","sessionToken":"session-of-aws","expiration":4102444800000}}"#.to_owned()
        })
    });
    let home = without_metadata(home(&moto)).with_variable("AWS_ENDPOINT_URL_SSO", &portal.address);
    home.write(
        ".aws/config",
        "[default]\nsso_start_url = https://d-1.awsapps.com/start\nsso_region = eu-west-1\n\
         sso_account_id = 123456789012\nsso_role_name = push\n",
    );
    // What `aws sso login` leaves: a file named by the start URL's SHA-1.
    home.write(
        ".aws/sso/cache/0c54b6c27e90660baa89eaad85ac1d5dae26cb7d.json",
        r#"{"startUrl":"https://d-1.awsapps.com/start","region":"eu-west-1","accessToken":"sso-token","expiresAt":"2100-01-01T00:00:00Z"}"#,
    );
    publish(&home, &[]).success();
    assert!(!portal.requests().is_empty());
}

#[test]
fn a_web_identity() {
    let moto = Moto::start();
    let home = without_metadata(home(&moto));
    let token = home.write("token", "eyJhbGciOiJub25lIn0.e30.");
    let home = home
        .with_variable("AWS_WEB_IDENTITY_TOKEN_FILE", &token)
        .with_variable("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/web");
    publish(&home, &[]).success();
    assert!(moto.data().contains("role/web"), "{}", moto.data());
}

#[test]
fn the_endpoint_of_a_container() {
    let moto = Moto::start();
    let endpoint = Service::start(|head| {
        let is_ours =
            head.starts_with("get /v1/credentials ") && head.contains("authorization: of-the-container");
        is_ours.then(|| format!("{{{KEYS}}}"))
    });
    let home = without_metadata(home(&moto));
    let token = home.write("token", "of-the-container");
    let home = home
        .with_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token)
        .with_variable(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            &format!("{}/v1/credentials", endpoint.address),
        );
    publish(&home, &[]).success();
    // Once for all that the run asks of AWS.
    assert_eq!(endpoint.requests().len(), 1, "{:?}", endpoint.requests());
}

#[test]
fn the_metadata_of_an_instance() {
    let moto = Moto::start();
    let metadata = Service::start(|head| {
        let has_token = head.contains("x-aws-ec2-metadata-token: of-the-instance");
        let path = head
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .trim_end_matches('/')
            .to_owned();
        match path.as_str() {
            "/latest/api/token" if head.starts_with("put ") => Some("of-the-instance".to_owned()),
            "/latest/meta-data/iam/security-credentials" if has_token => Some("push".to_owned()),
            "/latest/meta-data/iam/security-credentials/push" if has_token => Some(format!(
                r#"{{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z",{KEYS}}}"#
            )),
            _ => None,
        }
    });
    let home = home(&moto).with_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.address);
    publish(&home, &[]).success();
}

#[test]
fn a_role_for_the_registry() {
    let moto = Moto::start();
    let home = without_metadata(home(&moto))
        .with_variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with_variable("AWS_SECRET_ACCESS_KEY", "secret-of-aws");
    let role = format!("{HOST}=arn:aws:iam::123456789012:role/visitor,our-external-id");
    publish(&home, &["--ecr-assume-role", &role]).success();
    let data = moto.data();
    assert!(
        data.contains("role/visitor") && data.contains("our-external-id"),
        "{data}"
    );
}
