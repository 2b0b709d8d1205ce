//! Docker's engine loads, pulls and runs what was made, and makes the same of the same Dockerfile.
//!
//! The engine is Debian's, whose BuildKit is of 2020: newer syntax is compared elsewhere.

use std::collections::BTreeMap;
use std::process::Command;

use onlay_testkit::{Platform, Registry, RootFs, TestBase, flatten_layout, upload_layout};
use serde_json::Value;

use crate::dockerd::Dockerd;
use crate::onlay::Home;

/// Lines of every kind that this engine knows, on paths with every trap of the base.
const LINES: &str = r#"
ARG WHO=nobody
ENV PLACE=/srv/place GREETING="hello world"
LABEL a=b "c d"=$WHO
RUN mkdir /etc/vault
RUN chmod 777 /etc/vault
RUN mkdir -p $PLACE/deep && touch $PLACE/file && ln -s file $PLACE/link && ln $PLACE/file $PLACE/hard
RUN echo "$GREETING" > /tmp/greeting && chown app:app /tmp/greeting
RUN mkdir /bin/tools && echo x > /opt/owned/new && rm -rf /opt/owned/x
RUN cp -a $PLACE /copy && mv /copy/file /copy/moved
WORKDIR /data/work
WORKDIR below
VOLUME ["/etc/vault"]
EXPOSE 80 443/tcp
USER app
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s CMD true
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "id"]
"#;

/// What the comparison leaves to the engines: keys of Docker's own that BuildKit drops, and those that name a build.
const COMPARED: &[&str] = &[
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "OnBuild",
    "Shell",
];

#[test]
fn the_engine_agrees() {
    let home = Home::new();
    let base = TestBase {
        busybox: Some("/bin/busybox".into()),
        ..TestBase::READABLE_BY_OLD_TOOLS
    };
    let layout = home.test_base(&base);
    let registry = Registry::start();
    upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
    let engine = Dockerd::start();

    an_archive_is_loaded_and_runs(&home, &engine, &layout);
    a_pull_finds_the_same_digest(&home, &engine, registry.host());
    a_dockerfile_means_the_same(&home, &engine, registry.host());
}

fn an_archive_is_loaded_and_runs(home: &Home, engine: &Dockerd, base: &str) {
    let archive = home.join("vault.tar").display().to_string();
    let destination = format!("docker-archive:{archive}:vault:1");
    home.apply_vault(base, &["-t", &destination, "--platform=linux/amd64"]);
    engine.docker(&["load", "--input", &archive]);
    let volumes = engine.docker(&["inspect", "--format", "{{json .Config.Volumes}}", "vault:1"]);
    assert!(volumes.contains(r#""/etc/vault":{}"#), "{volumes}");
    let mode = ["/bin/busybox", "stat", "-c", "%a %u:%g", "/etc/vault"];
    let run = [
        &["run", "--rm", "--network=none", "--entrypoint=", "vault:1"][..],
        &mode,
    ]
    .concat();
    assert_eq!(engine.docker(&run), "777 0:0");
}

fn a_pull_finds_the_same_digest(home: &Home, engine: &Dockerd, host: &str) {
    let name = format!("{host}/vault:1");
    let base = format!("{host}/base:1");
    let applied = home.apply_vault(&base, &["-t", &name, "--platform=linux/amd64"]);
    engine.docker(&["pull", "--quiet", &name]);
    let digests = engine.docker(&["inspect", "--format", "{{json .RepoDigests}}", &name]);
    assert!(digests.contains(&applied.digest()), "{digests}");
}

fn a_dockerfile_means_the_same(home: &Home, engine: &Dockerd, host: &str) {
    home.write("context/Dockerfile", &format!("FROM {host}/base:1\n{LINES}"));
    let context = home.join("context").display().to_string();
    let by_engine = format!("{host}/engine:1");
    engine.docker(&["build", "--network=none", "--tag", &by_engine, &context]);
    engine.docker(&["push", "--quiet", &by_engine]);
    let by_onlay = format!("{host}/onlay:1");
    home.run(&["build", "-t", &by_onlay, &context]).success();

    let (expected, found) = (files(home, host, "engine"), files(home, host, "onlay"));
    let difference = found.difference(&expected);
    assert!(difference.is_empty(), "- onlay, + engine: {difference:#?}");
    let (expected, found) = (image(host, "engine"), image(host, "onlay"));
    assert_eq!(configuration(&found), configuration(&expected));
    assert_eq!(history(&found), history(&expected));
}

/// The merged files of a pushed image.
fn files(home: &Home, host: &str, repository: &str) -> RootFs {
    let layout = format!("oci:{}:1", home.join(repository).display());
    let status = Command::new("skopeo")
        .args(["copy", "--quiet", "--src-tls-verify=false"])
        .args([&format!("docker://{host}/{repository}:1"), &layout])
        .status();
    assert!(status.unwrap().success());
    flatten_layout(&home.join(repository), "1", &Platform::amd64()).without(TestBase::ENGINE_DEPENDENT)
}

/// The configuration of a pushed image, its bytes as they are. The engine calls a plain layer of the base gzip when it
/// pushes it again, so its manifest would not be found valid.
fn image(host: &str, repository: &str) -> Value {
    let output = Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", "--config", "--raw"])
        .arg(format!("docker://{host}/{repository}:1"))
        .output()
        .unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn configuration(image: &Value) -> BTreeMap<&str, Value> {
    let config = &image["config"];
    let value = |key: &&'static str| Some((*key, config.get(*key).filter(|value| !value.is_null())?.clone()));
    COMPARED.iter().filter_map(value).collect()
}

/// What each instruction left, without times. Two texts were others in 2020: of them the keyword alone counts.
fn history(image: &Value) -> Vec<(Value, Value, Value)> {
    let entries = image["history"].as_array().expect("a history");
    let own = entries.iter().skip(TestBase::LAYERS);
    own.map(|entry| {
        let key = |key: &str| entry.get(key).cloned().unwrap_or_default();
        let text = key("created_by");
        let keyword = text.as_str().and_then(|text| text.split(' ').next());
        let text = match keyword {
            Some(keyword @ ("EXPOSE" | "HEALTHCHECK")) => keyword.into(),
            _ => text,
        };
        (text, key("comment"), key("empty_layer"))
    })
    .collect()
}
