//! Looking at images: what is printed is true, and nothing is read that the question does not need.

use onlay_testkit::{
    Front, FrontAuth, LoggedRequest, Platform, Registry, TestBase, flatten_layout, sha256, upload_layout,
};
use serde_json::Value;

use crate::onlay::Home;

/// The test base in a registry with a front before it, and in a layout.
struct Case {
    home: Home,
    front: Front,
    _registry: Registry,
}

impl Case {
    fn new() -> Self {
        let home = Home::new();
        let registry = Registry::start();
        home.test_base(&TestBase::FULL);
        upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
        Self {
            front: Front::start(registry.host(), FrontAuth::Registry),
            home,
            _registry: registry,
        }
    }

    fn image(&self) -> String {
        format!("{}/base:1", self.front.host())
    }

    /// Runs a command, and gives its standard output with the requests that it made.
    fn look(&self, arguments: &[&str]) -> (String, Vec<LoggedRequest>) {
        self.front.clear_requests();
        let run = self.home.run(arguments).success();
        (run.stdout, self.front.requests())
    }
}

fn kinds(requests: &[LoggedRequest]) -> Vec<String> {
    let kind = |request: &LoggedRequest| {
        let part = request.path.split('/').rev().nth(1).unwrap_or_default();
        format!("{} {part}", request.method)
    };
    requests.iter().map(kind).collect()
}

#[test]
fn a_digest_is_one_head() {
    let case = Case::new();
    let (digest, requests) = case.look(&["digest", &case.image()]);
    assert_eq!(kinds(&requests), ["HEAD manifests"]);
    let layout = case.home.run(&["digest", "oci:base:1"]).success();
    assert_eq!(digest, layout.stdout);
    let (of_platform, requests) = case.look(&["digest", &case.image(), "--platform", "linux/arm64"]);
    assert_eq!(kinds(&requests), ["GET manifests"]);
    assert_ne!(digest, of_platform);
    let missing = case
        .home
        .run(&["digest", &format!("{}/base:2", case.front.host())]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("is not there"), "{}", missing.stderr);
}

#[test]
fn inspecting_reads_documents_only() {
    let case = Case::new();
    let (index, requests) = case.look(&["inspect", &case.image()]);
    assert_eq!(kinds(&requests), ["GET manifests"]);
    assert!(
        index.contains("linux/amd64:") && index.contains("linux/arm64:"),
        "{index}"
    );
    let (json, requests) = case.look(&[
        "inspect",
        &case.image(),
        "--platform",
        "linux/amd64",
        "--format",
        "json",
    ]);
    // Where the tag points, which is known by now; then what is not.
    assert_eq!(kinds(&requests), ["HEAD manifests", "GET manifests", "GET blobs"]);
    let value: Value = serde_json::from_str(&json).unwrap();
    let image = &value["images"][0];
    assert_eq!(image["layers"].as_array().unwrap().len(), TestBase::LAYERS);
    assert_eq!(image["configuration"]["architecture"], "amd64");
    let (raw, _) = case.look(&["inspect", &case.image(), "--raw"]);
    assert_eq!(sha256(raw.as_bytes()), value["digest"].as_str().unwrap());
    let (config, _) = case.look(&["inspect", &case.image(), "--config", "--platform", "linux/amd64"]);
    assert_eq!(
        sha256(config.as_bytes()),
        image["configurationDigest"].as_str().unwrap()
    );
}

#[test]
fn files_are_listed_as_they_are() {
    let case = Case::new();
    let platform = ["--platform", "linux/amd64"];
    let (listed, _) = case.look(&[
        "ls",
        "-R",
        &case.image(),
        platform[0],
        platform[1],
        "--format",
        "json",
    ]);
    let truth = flatten_layout(&case.home.join("base"), "1", &Platform::amd64());
    let files: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let paths: Vec<&str> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    let mut expected: Vec<&String> = truth.files.keys().filter(|path| !path.is_empty()).collect();
    expected.sort();
    let mut sorted = paths.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    for file in &files {
        let is = &truth.files[file["path"].as_str().unwrap()];
        assert_eq!(file["mode"], format!("{:04o}", is.mode), "{file}");
        assert_eq!(
            (&file["uid"], &file["gid"]),
            (&is.uid.into(), &is.gid.into()),
            "{file}"
        );
    }

    // The listing is known by now.
    let (names, requests) = case.look(&["ls", &case.image(), "/", platform[0], platform[1]]);
    assert_eq!(kinds(&requests), ["HEAD manifests"]);
    let top: Vec<&str> = paths.iter().copied().filter(|path| !path.contains('/')).collect();
    assert_eq!(names.lines().collect::<Vec<_>>(), top);
    let (long, _) = case.look(&["ls", "-l", &case.image(), platform[0], platform[1]]);
    let tmp = long.lines().find(|line| line.ends_with(" tmp")).unwrap();
    assert!(tmp.starts_with("drwxrwxrwt     0     0 "), "{tmp}");
}

#[test]
fn a_file_is_printed_through_links_byte_for_byte() {
    let case = Case::new();
    let binary: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    std::fs::create_dir_all(case.home.join("context")).unwrap();
    std::fs::write(case.home.join("context/data"), &binary).unwrap();
    let lines = ["COPY data /opt/data", "RUN ln -s ../opt/data /tmp/link"];
    let target = format!("{}/more:1", case.front.host());
    case.home
        .run(&[
            "apply",
            &case.image(),
            lines[0],
            lines[1],
            "--context",
            "context",
            "-t",
            &target,
        ])
        .success();
    case.front.clear_requests();
    let output = case
        .home
        .command(&["cat", &target, "/tmp/link", "--platform=linux/amd64"])
        .output();
    let output = output.unwrap();
    assert!(output.status.success());
    assert!(output.stdout == binary);
    // The layer with the link, the one with the file, and the configuration; the base's layers are listed already.
    let layers = case.front.requests();
    let layers = layers
        .iter()
        .filter(|request| request.path.contains("/blobs/"))
        .count();
    assert!(layers <= 4, "{layers}");
    let (passwd, _) = case.look(&["cat", &target, "/etc/passwd", "--platform=linux/amd64"]);
    assert!(passwd.starts_with("root:"), "{passwd}");
    let directory = case.home.run(&["cat", &target, "/opt", "--platform=linux/amd64"]);
    assert!(
        directory
            .stderr
            .contains("`/opt` is a directory, expected a file"),
        "{}",
        directory.stderr
    );
}

#[test]
fn differences_are_named() {
    let case = Case::new();
    let target = format!("{}/more:1", case.front.host());
    let lines = [
        "RUN mkdir /new && chmod 700 /tmp && rm -r /var/cache",
        "ENV X=1",
        "USER 5",
    ];
    case.home
        .run(&[
            "apply",
            &case.image(),
            lines[0],
            lines[1],
            lines[2],
            "-t",
            &target,
        ])
        .success();
    let arguments = ["diff", &case.image(), &target, "--platform=linux/amd64"];
    let (text, _) = case.look(&arguments);
    let expected = [
        "+ config.Env \"X=1\"",
        "+ config.User \"5\"",
        "+ /new",
        "~ /tmp (mode)",
        "- /var/cache",
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("/usr"), "{text}");
    let code = |more: &[&str]| {
        let arguments: Vec<&str> = arguments.iter().chain(more).copied().collect();
        case.home.run(&arguments).code
    };
    assert_eq!((code(&[]), code(&["--exit-code"])), (Some(0), Some(1)));
    let (none, requests) = case.look(&["diff", &case.image(), "oci:base:1", "--exit-code"]);
    assert_eq!(none, "");
    assert!(
        kinds(&requests)
            .iter()
            .filter(|kind| *kind == "GET blobs")
            .count()
            <= 1
    );
}

#[test]
fn tags_and_history() {
    let case = Case::new();
    let repository = format!("{}/base", case.front.host());
    let (tags, _) = case.look(&["tags", &repository]);
    assert_eq!(tags, "1\n");
    let (json, _) = case.look(&["tags", &repository, "--format", "json"]);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["tags"], serde_json::json!(["1"]));
    let tagged = case.home.run(&["tags", &case.image()]);
    assert_eq!(tagged.code, Some(2), "{}", tagged.stderr);
    let (json, _) = case.look(&[
        "history",
        &case.image(),
        "--platform=linux/amd64",
        "--format",
        "json",
    ]);
    let value: Value = serde_json::from_str(&json).unwrap();
    let history = value["history"].as_array().unwrap();
    let layers = history.iter().filter(|entry| !entry["layer"].is_null()).count();
    assert_eq!(layers, TestBase::LAYERS);
}
