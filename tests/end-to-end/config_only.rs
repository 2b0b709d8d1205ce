//! Lines that only edit the configuration need manifest and configuration, and not one byte more.

use onlay_testkit::{
    Front, FrontAuth, Platform, Registry, Strictness, TestBase, upload_layout, validate_registry,
};
use serde_json::json;

use crate::onlay::Home;

#[test]
fn nothing_but_manifest_and_configuration_is_read() {
    let home = Home::new();
    let registry = Registry::start();
    home.test_base(&TestBase::FULL);
    upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
    let front = Front::start(registry.host(), FrontAuth::Registry);
    let host = front.host();
    home.run(&[
        "apply",
        &format!("{host}/base:1"),
        "ENV A=1 B=\"two words\"",
        "LABEL l=1",
        "CMD [\"sh\", \"-c\", \"echo $A\"]",
        "HEALTHCHECK --interval=90s CMD true",
        "STOPSIGNAL SIGUSR1",
        "--platform=linux/amd64",
        "-t",
        &format!("{host}/edited:1"),
    ])
    .success();
    let read: Vec<String> = front
        .requests()
        .into_iter()
        .filter(|request| request.method == "GET" && request.path != "/v2/")
        .map(|request| request.path)
        .collect();
    assert_eq!(read.len(), 3, "index, manifest, configuration: {read:#?}");
    assert_eq!(read.iter().filter(|path| path.contains("/blobs/")).count(), 1);

    let report = validate_registry(registry.host(), "edited", "1", None, Strictness::NoLayer);
    let image = report.image(&Platform::amd64());
    let config = &image.config["config"];
    assert_eq!(config["Healthcheck"]["Interval"], json!(90_000_000_000u64));
    assert_eq!(config["StopSignal"], json!("SIGUSR1"));
    let environment = config["Env"].as_array().unwrap();
    assert!(environment.contains(&json!("B=two words")), "{environment:?}");
    let history = image.config["history"].as_array().unwrap();
    assert_eq!(history.last().unwrap()["created_by"], json!("STOPSIGNAL SIGUSR1"));
    assert_eq!(history.last().unwrap()["empty_layer"], json!(true));
}

/// What the base carries and nobody here knows comes out as it went in.
#[test]
fn unknown_members_survive() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    home.run(&["apply", &base, "ENV A=1", "-t", "oci:out:1"])
        .success();
    let config_of = |directory: &str, tag: &str| {
        let report = onlay_testkit::validate_layout(&home.join(directory), tag, Strictness::NoLayer);
        let digest = report.image(&Platform::amd64()).config_digest.clone();
        let encoded = digest.strip_prefix("sha256:").unwrap().to_owned();
        std::fs::read_to_string(home.join(directory).join("blobs/sha256").join(encoded)).unwrap()
    };
    let (before, after) = (config_of("base", "1"), config_of("out", "1"));
    // The number has a form that a float would lose.
    assert!(
        before.contains("1.50") && after.contains(r#"{"n":1.50"#),
        "{after}"
    );
    let (before, after): (serde_json::Value, serde_json::Value) = (
        serde_json::from_str(&before).unwrap(),
        serde_json::from_str(&after).unwrap(),
    );
    for member in ["Healthcheck", "ArgsEscaped", "StopSignal", "Labels", "Volumes"] {
        assert_eq!(before["config"][member], after["config"][member], "{member}");
    }
    let edited = ["config", "created", "history"];
    for (name, value) in before.as_object().unwrap() {
        if !edited.contains(&name.as_str()) {
            assert_eq!(&after[name], value, "{name}");
        }
    }
}
