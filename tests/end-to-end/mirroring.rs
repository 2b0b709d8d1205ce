//! `onlay mirror`: Docker Hub's front on one side, Amazon ECR's on the other, real registries behind both.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use onlay_testkit::entry::dir;
use onlay_testkit::{
    Credential, EcrAccount, EcrFront, Family, FileKind, HubFront, HubManners, Image, Layer, Layout,
    LoggedRequest, Platform, Registry, Strictness, TestBase, flatten_layout, upload_layout,
    validate_registry,
};

use crate::copy::raw;
use crate::ecr::{HOST, Moto};
use crate::onlay::{Home, Run};

/// The inputs of the Terraform module, as its users write them: 5 images, 6 tags, 2 of them with lines.
const INPUTS: &str = r#"
namespace = "ecsclone"
containers = {
  "mongo"                  = ["latest"]
  "redis"                  = ["latest"]
  "nginx"                  = ["stable"]
  "cloudflare/cloudflared" = ["2024.1"]
  "hashicorp/vault"        = ["1.14", "1.13.3"]
}
build_commands = {
  "hashicorp/vault:1.14" = [
    "RUN mkdir /etc/vault",
    "RUN chmod 777 /etc/vault",
    "VOLUME [\"/etc/vault\"]"
  ]
  "cloudflare/cloudflared:2024.1" = ["RUN mkdir -p /data && chmod 1777 /data"]
}
"#;

const IMAGES: [(&str, &str); 6] = [
    ("library/mongo", "latest"),
    ("library/redis", "latest"),
    ("library/nginx", "stable"),
    ("cloudflare/cloudflared", "2024.1"),
    ("hashicorp/vault", "1.14"),
    ("hashicorp/vault", "1.13.3"),
];

struct Case {
    hub: HubFront,
    ecr: EcrFront,
    home: Home,
    /// What stands for ECR Public; it is empty.
    public: Registry,
    endpoints: [String; 3],
}

impl Case {
    fn new(pulls: Option<u32>) -> Self {
        Self::with(HubManners {
            pulls,
            ..HubManners::default()
        })
    }

    fn with(manners: HubManners) -> Self {
        let hub = HubFront::start(manners);
        let ecr = EcrFront::start(EcrAccount::default());
        let home = Home::new()
            .with_variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .with_variable("AWS_SECRET_ACCESS_KEY", "secret-of-aws")
            .with_variable("AWS_ENDPOINT_URL_ECR", &ecr.api_url());
        home.test_base(&TestBase {
            attestations: false,
            ..TestBase::FULL
        });
        for (repository, tag) in IMAGES {
            upload_layout(&home.join("base"), "1", hub.behind(), repository, tag, None);
        }
        let public = Registry::start();
        let endpoints = [
            format!("docker.io=http://{}/", hub.host()),
            format!("{HOST}=http://{}/", ecr.host()),
            format!("public.ecr.aws=http://{}/", public.host()),
        ];
        let case = Self {
            hub,
            ecr,
            home,
            public,
            endpoints,
        };
        case.home.write("terraform.tfvars", INPUTS);
        let imported = case.home.run(&["mirror", "import", "terraform.tfvars"]).success();
        case.home.write("mirror.yaml", &imported.stdout);
        case
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let endpoints = [
            "--registry-endpoint",
            &self.endpoints[0],
            "--registry-endpoint",
            &self.endpoints[1],
            "--registry-endpoint",
            &self.endpoints[2],
        ];
        [
            &["mirror", "mirror.yaml", "--registry", HOST][..],
            &endpoints,
            more,
        ]
        .concat()
    }

    fn mirror(&self, more: &[&str]) -> Run {
        self.clear();
        self.home.run(&self.arguments(more))
    }

    fn clear(&self) {
        self.hub.clear_requests();
        self.ecr.clear_requests();
    }

    /// Requests to Docker Hub for manifests, as method and path.
    fn upstream(&self) -> Vec<(String, String)> {
        let mut requests = self.hub.requests();
        requests.retain(|request| request.status != Some(401) && request.path.contains("/manifests/"));
        requests
            .into_iter()
            .map(|request| (request.method, request.path))
            .collect()
    }

    fn writes(&self) -> Vec<LoggedRequest> {
        let mut requests = self.ecr.requests();
        requests.retain(|request| matches!(request.method.as_str(), "PUT" | "PATCH" | "POST"));
        requests.retain(|request| request.path.starts_with("/v2/") && request.status != Some(401));
        requests
    }

    /// Puts another image in the place of one upstream.
    fn move_upstream(&self, repository: &str, tag: &str) {
        let layout = Layout::create(self.home.join(&format!("other-{tag}")));
        let image = Image::new(Platform::amd64()).layer(Layer::new(&[dir("etc"), dir("moved")]));
        layout.tag(&layout.write_image(&image), "1");
        upload_layout(layout.dir(), "1", self.hub.behind(), repository, tag, None);
    }

    fn kept(&self, repository: &str, tag: &str) -> Option<String> {
        self.ecr.tagged(&format!("ecsclone/{repository}"), tag)
    }
}

/// How each image ended, by the first word of its line.
fn ends(run: &Run) -> Vec<(String, String)> {
    let lines = run.stdout.lines().filter(|line| line.contains(HOST));
    let words = lines.map(|line| {
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    });
    words.collect()
}

fn count(run: &Run, status: &str) -> usize {
    ends(run).iter().filter(|(found, _)| found == status).count()
}

#[test]
fn the_modules_example_is_kept_in_sync() {
    let case = Case::new(None);
    let cold = case.mirror(&[]).success();
    assert_eq!(
        (count(&cold, "copied"), count(&cold, "patched")),
        (4, 2),
        "{}",
        cold.stdout
    );
    for (repository, tag) in IMAGES {
        let name = repository.trim_start_matches("library/");
        let patched = matches!(
            (name, tag),
            ("hashicorp/vault", "1.14") | ("cloudflare/cloudflared", _)
        );
        let strictness = match patched {
            true => Strictness::LayersAbove(TestBase::LAYERS),
            false => Strictness::NoLayer,
        };
        validate_registry(
            case.ecr.behind(),
            &format!("ecsclone/{name}"),
            tag,
            None,
            strictness,
        );
    }
    let files = |platform: &Platform| {
        _ = std::fs::remove_dir_all(case.home.join("vault"));
        let kept = format!("{HOST}/ecsclone/hashicorp/vault:1.14");
        case.home
            .run(&[
                "copy",
                &kept,
                "oci:vault:1",
                "--registry-endpoint",
                &case.endpoints[1],
            ])
            .success();
        flatten_layout(&case.home.join("vault"), "1", platform)
    };
    for platform in [Platform::amd64(), Platform::arm64()] {
        let vault = &files(&platform).files["etc/vault"];
        assert_eq!(
            (vault.mode, &vault.kind),
            (0o777, &FileKind::Directory),
            "{platform:?}"
        );
    }

    // Nothing has changed: a HEAD each, a look at each repository, and nothing else.
    let unchanged = case.mirror(&[]).success();
    assert_eq!(count(&unchanged, "unchanged"), 6, "{}", unchanged.stdout);
    let asked = case.upstream();
    assert_eq!(asked.len(), 6, "{asked:#?}");
    assert!(asked.iter().all(|(method, _)| method == "HEAD"), "{asked:#?}");
    assert!(case.writes().is_empty(), "{:#?}", case.writes());
    let reads = case.ecr.requests();
    assert!(
        reads.iter().all(|request| !request.path.contains("/manifests/")),
        "{reads:#?}"
    );
    let looks = case
        .ecr
        .actions()
        .iter()
        .filter(|action| action.contains("DescribeImages"))
        .count();
    assert_eq!(looks, 5, "{:?}", case.ecr.actions());

    // One tag moved.
    case.move_upstream("library/redis", "latest");
    let moved = case.mirror(&[]).success();
    assert_eq!(
        (count(&moved, "copied"), count(&moved, "unchanged")),
        (1, 5),
        "{}",
        moved.stdout
    );
    let gets: Vec<_> = case
        .upstream()
        .into_iter()
        .filter(|(method, _)| method == "GET")
        .collect();
    assert!(
        gets.iter().all(|(_, path)| path.contains("library/redis")),
        "{gets:#?}"
    );
    assert!(
        case.writes()
            .iter()
            .all(|request| request.path.contains("ecsclone/redis"))
    );

    // One line edited: the base is there, so that no more than the new layers and documents are sent.
    let text = std::fs::read_to_string(case.home.join("mirror.yaml")).unwrap();
    case.home
        .write("mirror.yaml", &text.replace("chmod 777", "chmod 755"));
    let edited = case.mirror(&["--format", "json"]).success();
    let report: serde_json::Value = serde_json::from_str(&edited.stdout).unwrap();
    let images = report["images"].as_array().unwrap();
    let vault = images.iter().find(|image| image["status"] == "patched").unwrap();
    assert_eq!(
        images
            .iter()
            .filter(|image| image["status"] == "unchanged")
            .count(),
        5
    );
    assert!(vault["bytes"].as_u64().unwrap() < 2 * 4096, "{vault}");
    assert_eq!(files(&Platform::arm64()).files["etc/vault"].mode, 0o755);
    assert!(
        case.upstream().iter().all(|(method, _)| method == "HEAD"),
        "{:#?}",
        case.upstream()
    );
}

#[test]
fn images_with_lines_carry_what_they_were_made_from() {
    let case = Case::new(None);
    case.mirror(&["--only", "vault:1.14$"]).success();
    assert_eq!(case.ecr.repositories(), ["ecsclone/hashicorp/vault"]);
    let shown = case.home.run(&[
        "inspect",
        &format!("{HOST}/ecsclone/hashicorp/vault:1.14"),
        "--raw",
        "--registry-endpoint",
        &case.endpoints[1],
    ]);
    let text = shown.success().stdout;
    for words in [
        "org.opencontainers.image.base.name",
        "docker.io/hashicorp/vault:1.14",
        "org.opencontainers.image.base.digest",
        "onlay.lines",
        "RUN mkdir /etc/vault",
        "onlay.recipe",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn one_image_that_fails_does_not_stop_the_others() {
    let case = Case::new(None);
    case.mirror(&[]).success();
    let before = case.kept("mongo", "latest");
    let text = std::fs::read_to_string(case.home.join("mirror.yaml")).unwrap();
    let text = text
        .replace("\"stable\"", "\"stable\", \"gone\"")
        .replace("mkdir -p /data", "mkdir -p /data /more");
    let text = text.replace("RUN chmod 777 /etc/vault", "RUN chmod 777 /no/such/place");
    case.home.write("mirror.yaml", &text);
    let run = case.mirror(&["--report", "report.json", "--metrics-file", "onlay.prom"]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    assert_eq!(
        (
            count(&run, "failed"),
            count(&run, "patched"),
            count(&run, "unchanged")
        ),
        (2, 1, 4),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("not there upstream"), "{}", run.stdout);
    assert!(run.stdout.contains("/no/such/place"), "{}", run.stdout);
    assert_eq!(case.kept("mongo", "latest"), before);
    let report = std::fs::read_to_string(case.home.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["images"].as_array().unwrap().len(), 7);
    let metrics = std::fs::read_to_string(case.home.join("onlay.prom")).unwrap();
    assert!(
        metrics.contains("onlay_mirror_images{status=\"failed\"} 2"),
        "{metrics}"
    );
}

#[test]
fn a_pinned_digest_that_moved_is_refused() {
    let case = Case::new(None);
    case.mirror(&["--only", "redis"]).success();
    let pinned = case.kept("redis", "latest").unwrap();
    let config = format!("images:\n  - source: redis\n    tags: ['latest@{pinned}']\nnamespace: ecsclone\n");
    case.home.write("mirror.yaml", &config);
    assert_eq!(count(&case.mirror(&[]).success(), "unchanged"), 1);
    case.move_upstream("library/redis", "latest");
    let run = case.mirror(&[]);
    assert_eq!((run.code, count(&run, "refused")), (Some(3), 1), "{}", run.stdout);
    assert_eq!(case.kept("redis", "latest"), Some(pinned));
    assert!(case.writes().is_empty());
}

#[test]
fn pulls_that_are_not_left_are_not_made() {
    // Each image is an index of two, which takes three pulls; four are new.
    let case = Case::new(Some(7));
    let priorities = "namespace: ecsclone\nimages:\n\
        \x20 - {source: mongo, tags: [latest]}\n\
        \x20 - {source: redis, tags: [latest], priority: 5}\n\
        \x20 - {source: nginx, tags: [stable], priority: 9}\n\
        \x20 - {source: cloudflare/cloudflared, tags: ['2024.1']}\n";
    case.home.write("mirror.yaml", priorities);
    let plan = case.mirror(&["--plan"]).success();
    assert_eq!(case.hub.pulls_left(), Some(7));
    assert!(
        plan.stdout.contains("docker.io: about 12 pulls needed, left: 7"),
        "{}",
        plan.stdout
    );
    assert!(case.writes().is_empty() && case.ecr.repositories().is_empty());

    let first = case.mirror(&[]);
    assert_eq!(first.code, Some(75), "{}{}", first.stdout, first.stderr);
    assert_eq!(
        (count(&first, "copied"), count(&first, "postponed")),
        (2, 2),
        "{}",
        first.stdout
    );
    assert!(case.kept("nginx", "stable").is_some() && case.kept("redis", "latest").is_some());
    assert_eq!(case.hub.pulls_left(), Some(1));
    assert!(
        case.upstream()
            .iter()
            .all(|(_, path)| !path.contains("mongo") || !path.contains("sha256"))
    );

    let second = case.mirror(&[]);
    assert_eq!(second.code, Some(75));
    assert_eq!(
        (count(&second, "unchanged"), count(&second, "postponed")),
        (2, 2),
        "{}",
        second.stdout
    );
}

#[test]
fn a_limit_that_is_hit_is_never_taken_for_up_to_date() {
    let case = Case::new(None);
    case.mirror(&[]).success();
    case.move_upstream("library/redis", "latest");
    case.hub.storm(4);
    let run = case.mirror(&["--only", "redis|mongo"]);
    // Waited for, or said to be left: but not passed over.
    let redis = ends(&run)
        .into_iter()
        .find(|(_, source)| source.contains("redis"))
        .unwrap();
    assert!(
        matches!(redis.0.as_str(), "copied" | "postponed"),
        "{}",
        run.stdout
    );
    let again = case.mirror(&["--only", "redis"]).success();
    assert!(
        ends(&again)
            .iter()
            .all(|(status, _)| matches!(status.as_str(), "copied" | "unchanged"))
    );
}

#[test]
fn parts_are_together_the_whole() {
    let whole = Case::new(None);
    whole.mirror(&[]).success();
    let parts = Case::new(None);
    let mut sources = BTreeSet::new();
    for part in ["1/2", "2/2"] {
        let run = parts.mirror(&["--shard", part]).success();
        for (_, source) in ends(&run) {
            assert!(sources.insert(source.clone()), "{source} twice");
        }
    }
    assert_eq!(sources.len(), 6);
    for (repository, tag) in IMAGES {
        let name = repository.trim_start_matches("library/");
        assert_eq!(parts.kept(name, tag), whole.kept(name, tag), "{name}:{tag}");
    }
    let unknown = parts.mirror(&["--shard", "auto"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
}

#[test]
fn a_run_that_was_killed_is_finished_by_the_next() {
    let case = Case::new(None);
    let mut running = case
        .home
        .command(&case.arguments(&["--concurrency", "1"]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    for _ in 0..400 {
        if !case.writes().is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let run = case.mirror(&[]).success();
    assert_eq!(count(&run, "failed"), 0);
    assert_eq!(count(&case.mirror(&[]).success(), "unchanged"), 6);
    for (repository, tag) in IMAGES {
        let name = repository.trim_start_matches("library/");
        assert!(case.kept(name, tag).is_some(), "{name}:{tag}");
    }
}

/// A task that is ended by its scheduler finishes what is under way, begins nothing, and says so.
#[test]
fn a_run_that_is_asked_to_end_ends_in_an_orderly_way() {
    let case = Case::new(None);
    let running = case
        .home
        .command(&case.arguments(&["--concurrency", "1", "--report", "report.json"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    for _ in 0..400 {
        if !case.writes().is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let process = rustix::process::Pid::from_raw(running.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let ended = Run::of(running.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(75), "{}", ended.stdout);
    let copied = count(&ended, "copied") + count(&ended, "patched");
    assert!(
        copied >= 1 && count(&ended, "postponed") + copied == 6,
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("asked to end"), "{}", ended.stdout);
    assert!(case.home.join("report.json").exists());
    assert_eq!(count(&case.mirror(&[]).success(), "unchanged"), copied);
}

/// Docker's official images are at ECR Public, too, and taken from there only if they are the same.
#[test]
fn what_docker_hub_does_not_give_comes_from_ecr_public_if_it_is_the_same() {
    let case = Case::new(Some(4));
    let config = "namespace: ecsclone\nimages:\n\
        \x20 - {source: redis, tags: [latest], priority: 9}\n\
        \x20 - {source: mongo, tags: [latest], lines: [RUN mkdir /etc/made]}\n\
        \x20 - {source: nginx, tags: [stable]}\n";
    case.home.write("mirror.yaml", config);
    upload_layout(
        &case.home.join("base"),
        "1",
        case.public.host(),
        "docker/library/mongo",
        "latest",
        None,
    );
    let other = Layout::create(case.home.join("other"));
    let image = Image::new(Platform::amd64()).layer(Layer::new(&[dir("other")]));
    other.tag(&other.write_image(&image), "1");
    upload_layout(
        other.dir(),
        "1",
        case.public.host(),
        "docker/library/nginx",
        "stable",
        None,
    );
    let run = case.mirror(&[]);
    assert_eq!(run.code, Some(75), "{}", run.stdout);
    assert_eq!(
        (
            count(&run, "copied"),
            count(&run, "patched"),
            count(&run, "postponed")
        ),
        (1, 1, 1),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("from public.ecr.aws: docker.io allows 1 more pulls"),
        "{}",
        run.stdout
    );
    assert!(case.kept("mongo", "latest").is_some() && case.kept("nginx", "stable").is_none());
    let manifest = raw(case.ecr.behind(), "ecsclone/mongo", "latest");
    assert!(String::from_utf8_lossy(&manifest).contains("docker.io/library/mongo:latest"));
    let none = case.mirror(&["--only", "mongo"]).success();
    assert_eq!(count(&none, "unchanged"), 1, "{}", none.stdout);
}

#[test]
fn what_is_replaced_keeps_another_tag_if_asked() {
    let case = Case::new(None);
    let config = "namespace: ecsclone\ndefaults: {previous: '{tag}-previous'}\nimages:\n  - {source: redis, tags: [latest]}\n";
    case.home.write("mirror.yaml", config);
    case.mirror(&[]).success();
    let before = case.kept("redis", "latest");
    assert_eq!(case.kept("redis", "latest-previous"), None);
    case.move_upstream("library/redis", "latest");
    case.mirror(&[]).success();
    assert_ne!(case.kept("redis", "latest"), before);
    assert_eq!(case.kept("redis", "latest-previous"), before);
    assert_eq!(count(&case.mirror(&[]).success(), "unchanged"), 1);
}

/// moto's server stands for Secrets Manager, Parameter Store and SNS.
#[test]
fn passwords_come_from_aws_and_somebody_is_told() {
    let case = Case::with(HubManners {
        pulls: None,
        login: Some(Credential::new("team", "dckr_pat")),
        ..HubManners::default()
    });
    let moto = Moto::start();
    let ask = |target: &str, body: &str| moto.ask(target, body);
    ask(
        "secretsmanager.CreateSecret",
        r#"{"Name": "hub", "SecretString": "{\"username\": \"team\", \"accessToken\": \"dckr_pat\"}"}"#,
    );
    ask(
        "AmazonSSM.PutParameter",
        r#"{"Name": "/hub/wrong", "Value": "wrong", "Type": "SecureString"}"#,
    );
    let topic = moto.topic("news");
    let home = Home::new()
        .with_variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with_variable("AWS_SECRET_ACCESS_KEY", "secret-of-aws")
        .with_variable("AWS_REGION", "eu-west-1")
        .with_variable("AWS_ENDPOINT_URL_ECR", &case.ecr.api_url())
        .with_variable("AWS_ENDPOINT_URL_SECRETS_MANAGER", &moto.url())
        .with_variable("AWS_ENDPOINT_URL_SSM", &moto.url())
        .with_variable("AWS_ENDPOINT_URL_SNS", &moto.url());
    let (address, told) = webhook();
    let run = |password: &str, more: &[&str]| {
        let config = format!(
            "namespace: ecsclone\nregistries:\n  docker.io: {password}\nimages:\n  - {{source: redis, tags: [latest]}}\n"
        );
        home.write("mirror.yaml", &config);
        home.run(&case.arguments(more))
    };
    let missing = run("{secret: nothing}", &[]);
    assert!(
        missing.stderr.contains("secret `nothing`") && missing.stderr.contains("ResourceNotFound"),
        "{}",
        missing.stderr
    );
    let wrong = run("{username: team, parameter: /hub/wrong}", &[]);
    assert_eq!(wrong.code, Some(3), "{}{}", wrong.stdout, wrong.stderr);
    assert!(!format!("{}{}", wrong.stdout, wrong.stderr).contains("dckr_pat"));
    let arguments = ["--notify", &address, "--notify-topic", &topic, "--emf", "onlay"];
    let right = run("{secret: hub}", &arguments).success();
    assert_eq!(count(&right, "copied"), 1, "{}", right.stdout);
    assert!(!right.stderr.contains("was not told"), "{}", right.stderr);
    let body = told.recv_timeout(Duration::from_secs(5)).unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["text"], "onlay mirror: 1 copied");
    assert_eq!(body["report"]["images"][0]["status"], "copied");
    assert!(moto.data().contains("1 copied"));
    let figures = right.stderr.lines().find(|line| line.starts_with('{')).unwrap();
    let figures: serde_json::Value = serde_json::from_str(figures).unwrap();
    assert_eq!(figures["copied"], 1);
    assert_eq!(figures["_aws"]["CloudWatchMetrics"][0]["Namespace"], "onlay");
    // Nothing is said where nothing changed.
    run("{secret: hub}", &arguments).success();
    assert!(told.try_recv().is_err());
}

#[test]
fn what_aws_has_to_allow_is_worked_out() {
    let home = Home::new();
    let config = "registries:\n  docker.io: {secret: hub}\nimages:\n  - {source: redis, tags: [latest]}\n";
    home.write("mirror.yaml", config);
    let command = ["doctor", "iam", "--", "mirror", "mirror.yaml", "--registry", HOST];
    let policy = home.run(&[&command[..], &["--notify-topic", "arn:aws:sns:eu-west-1:1:news"]].concat());
    let policy = policy.success().stdout;
    for words in [
        "ecr:DescribeImages",
        "ecr:CreateRepository",
        "ecr:PutImage",
        "secretsmanager:GetSecretValue",
        "secret:hub-??????",
        "sns:Publish",
    ] {
        assert!(policy.contains(words), "{words}: {policy}");
    }
    let command = [
        "doctor",
        "iam",
        "--",
        "mirror",
        "prune",
        "mirror.yaml",
        "--registry",
        HOST,
    ];
    let policy = home.run(&command).success().stdout;
    assert!(
        policy.contains("ecr:BatchDeleteImage") && !policy.contains("ecr:PutImage"),
        "{policy}"
    );
}

/// Somebody who listens on a loopback port, and passes on what was posted.
fn webhook() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            reader.get_mut().write_all(answer).unwrap();
            if sender.send(String::from_utf8(body).unwrap()).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

#[test]
fn what_was_replaced_is_pruned_and_nothing_else() {
    let case = Case::new(None);
    let with = |mode: u32, tags: &str, keep: u32| {
        let config = format!(
            "namespace: ecsclone\ndefaults: {{keep: {keep}}}\nimages:\n  - {{source: hashicorp/vault, tags: {tags}, lines: [RUN mkdir -m {mode} /etc/vault]}}\n"
        );
        case.home.write("mirror.yaml", &config);
    };
    let prune = |more: &[&str]| {
        let mut arguments = case.arguments(more);
        arguments.insert(1, "prune");
        case.home.run(&arguments)
    };
    let mut made = Vec::new();
    for mode in [700, 711, 755, 777] {
        with(mode, "['1.14', '1.13.3']", 1);
        case.mirror(&[]).success();
        made.push(case.kept("hashicorp/vault", "1.14").unwrap());
    }
    // Both tags name the same image upstream, and here two that tell their names.
    let again = case.mirror(&[]).success();
    assert_eq!(count(&again, "unchanged"), 2, "{}", again.stdout);
    // Somebody runs the second one.
    case.ecr
        .tag("ecsclone/hashicorp/vault", "in-production", &made[1]);
    let listed = prune(&[]).success();
    assert!(
        listed.stdout.contains(&made[0]) && !listed.stdout.contains(&made[1]),
        "{}",
        listed.stdout
    );
    assert!(
        !listed.stdout.contains(&made[2]),
        "the newest that was replaced is kept: {}",
        listed.stdout
    );
    assert!(listed.stdout.contains("would be deleted"), "{}", listed.stdout);
    let there = |digest: &str| case.ecr.has("ecsclone/hashicorp/vault", digest);
    assert!(there(&made[0]));
    let deleted = prune(&["--delete"]).success();
    assert!(deleted.stdout.contains("deleted"), "{}", deleted.stdout);
    assert_eq!(
        [0, 1, 2, 3].map(|index| there(&made[index])),
        [false, true, true, true]
    );
    // What left the configuration goes with the tag that it had, and what is wanted still stands.
    with(777, "['1.14']", 0);
    assert!(case.kept("hashicorp/vault", "1.13.3").is_some());
    prune(&["--delete"]).success();
    assert_eq!(case.kept("hashicorp/vault", "1.13.3"), None);
    assert_eq!([1, 2, 3].map(|index| there(&made[index])), [true, false, true]);
    assert_eq!(case.kept("hashicorp/vault", "1.14").as_ref(), Some(&made[3]));
    assert_eq!(count(&case.mirror(&[]).success(), "unchanged"), 1);
    // Where upstream has no tags at all, something else is wrong.
    with(777, "[{regex: x}]", 0);
    let config = "namespace: ecsclone\nimages:\n  - {source: empty, tags: [{newest: 1}], keep: 0}\n";
    case.home.write("mirror.yaml", config);
    let run = prune(&["--delete"]);
    assert_eq!(run.code, Some(3), "{}{}", run.stdout, run.stderr);
}

#[test]
fn the_jobs_environment_says_what_is_mirrored() {
    let case = Case::new(None);
    let home = Home::new()
        .with_variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with_variable("AWS_SECRET_ACCESS_KEY", "secret-of-aws")
        .with_variable("AWS_ENDPOINT_URL_ECR", &case.ecr.api_url())
        .with_variable("AWS_ACCOUNT_ID", "123456789012")
        .with_variable("AWS_REGION", "eu-west-1")
        .with_variable("NAMESPACE", "ecsclone")
        .with_variable("REPOLIST", "redis:latest,hashicorp/vault:1.14")
        .with_variable(
            "BUILDSTRINGS",
            r#"{"redis:latest": [], "hashicorp/vault:1.14": ["RUN mkdir /etc/vault"]}"#,
        );
    let endpoints = [
        "--registry-endpoint",
        &case.endpoints[0],
        "--registry-endpoint",
        &case.endpoints[1],
    ];
    let run = home.run(&[&["mirror"][..], &endpoints].concat()).success();
    assert_eq!(
        (count(&run, "copied"), count(&run, "patched")),
        (1, 1),
        "{}",
        run.stdout
    );
    assert!(case.kept("hashicorp/vault", "1.14").is_some());
}

#[test]
fn images_of_other_systems_stay_as_they_are() {
    let case = Case::new(None);
    let layout = Layout::create(case.home.join("systems"));
    let of = |platform| Image::new(platform).layer(Layer::new(&[dir("etc")]));
    let windows = of(Platform::new("windows", "amd64", None)).with_family(Family::Docker);
    layout.tag(
        &layout.write_index(&[of(Platform::amd64()), windows.clone()]),
        "1",
    );
    layout.tag(&layout.write_image(&windows.with_family(Family::Oci)), "2");
    upload_layout(layout.dir(), "1", case.hub.behind(), "library/systems", "1", None);
    upload_layout(layout.dir(), "2", case.hub.behind(), "library/systems", "2", None);
    let config = "namespace: ecsclone\nimages:\n  - {source: systems, tags: ['1', '2'], lines: [RUN mkdir /etc/vault]}\n";
    case.home.write("mirror.yaml", config);
    let run = case.mirror(&[]).success();
    assert_eq!(
        (count(&run, "patched"), count(&run, "copied")),
        (1, 1),
        "{}",
        run.stdout
    );
    let entries = |repository: &str, host: &str| -> Vec<(String, String)> {
        let index: serde_json::Value = serde_json::from_slice(&raw(host, repository, "1")).unwrap();
        let entries = index["manifests"].as_array().unwrap().iter();
        entries
            .map(|entry| (entry["platform"]["os"].to_string(), entry["digest"].to_string()))
            .collect()
    };
    let upstream = entries("library/systems", case.hub.behind());
    let kept = entries("ecsclone/systems", case.ecr.behind());
    assert_eq!((kept.len(), &kept[1]), (2, &upstream[1]));
    assert_ne!(kept[0].1, upstream[0].1);
    let again = case.mirror(&[]).success();
    assert_eq!(count(&again, "unchanged"), 2, "{}", again.stdout);
}

/// Lines that have to be executed can be for this machine's architecture only.
#[test]
fn what_becomes_of_platforms_that_cannot_run_here_is_said_by_the_configuration() {
    let case = Case::new(None);
    let busybox = Home::new();
    busybox.test_base(&TestBase {
        attestations: false,
        busybox: Some("/bin/busybox".into()),
        ..TestBase::FULL
    });
    upload_layout(
        &busybox.join("base"),
        "1",
        case.hub.behind(),
        "library/busybox",
        "1",
        None,
    );
    let with = |policy: &str| {
        let config = format!(
            "namespace: ecsclone\ndefaults: {{cannot_run: {policy}}}\nimages:\n  - {{source: busybox, tags: ['1'], lines: ['RUN awk \"BEGIN {{ print 1 > \\\"/made\\\" }}\"']}}\n"
        );
        case.home.write("mirror.yaml", &config);
        case.mirror(&[])
    };
    let failing = with("fail");
    assert_eq!(count(&failing, "failed"), 1, "{}", failing.stdout);
    assert!(failing.stdout.contains("linux/arm64"), "{}", failing.stdout);
    assert_eq!(case.kept("busybox", "1"), None);
    let skipping = with("skip").success();
    assert_eq!(count(&skipping, "patched"), 1, "{}", skipping.stdout);
    assert!(
        skipping.stdout.contains("without linux/arm64"),
        "{}",
        skipping.stdout
    );
    let again = with("skip").success();
    assert_eq!(count(&again, "unchanged"), 1, "{}", again.stdout);
}

#[test]
fn some_platforms_are_a_choice_that_is_remembered() {
    let case = Case::new(None);
    let config =
        "namespace: ecsclone\nimages:\n  - {source: redis, tags: [latest], platforms: linux/arm64}\n";
    case.home.write("mirror.yaml", config);
    assert_eq!(count(&case.mirror(&[]).success(), "copied"), 1);
    let again = case.mirror(&[]).success();
    assert_eq!(count(&again, "unchanged"), 1, "{}", again.stdout);
    assert!(case.writes().is_empty());
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_with_its_line() {
    let case = Case::new(None);
    for (config, words) in [
        (
            "images:\n  - source: redis\n    tagz: [latest]\n",
            "mirror.yaml:3:5: ",
        ),
        ("images:\n  - source: redis\n    tags: [1.10]\n", "in quotes"),
        (
            "containers: {redis: [latest]}\nbuild_commands: {'redis:7': [USER x]}\n",
            "redis:7",
        ),
        ("images: [\n", "mirror.yaml"),
        (
            "images:\n  - {source: redis, tags: [latest], lines: ['RUNN x']}\n",
            "RUNN",
        ),
    ] {
        case.home.write("mirror.yaml", config);
        let run = case.mirror(&[]);
        assert_eq!(run.code, Some(2), "{config}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{config}: {}", run.stderr);
        assert!(case.hub.requests().is_empty());
    }
}

#[test]
fn the_schema_in_the_repository_is_the_programs_own() {
    let printed = Home::new().run(&["mirror", "schema"]).success().stdout;
    let kept = include_str!("../../docs/mirror.schema.json");
    assert!(printed == kept, "`onlay mirror schema` writes it anew");
}
