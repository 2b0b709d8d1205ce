//! One line for each effect in the table of instructions: what changes in the configuration, what the history says.

use std::time::Duration;

use onlay_image::{CommandForm, Healthcheck, Image, ImageError, Probe};
use onlay_oci::Compression;
use serde_json::{Value, json};

use crate::base::{NOW, configuration_of, image, layer, pairs, strings};

/// Checks that an edit changes these members of the runtime `config`, `null` for those that go, and no others, and that
/// it adds this history entry, or none, which says this of its layer.
fn check_entry(
    edit: impl FnOnce(Image) -> Result<Image, ImageError>,
    changes: Value,
    created_by: Option<&str>,
    has_layer: bool,
) {
    let before = image();
    let after = edit(before.clone()).unwrap();
    let (before, after) = (configuration_of(&before), configuration_of(&after));
    assert_eq!(
        difference(&before["config"], &after["config"]),
        changes,
        "{created_by:?}"
    );

    let mut expected = before["history"].as_array().unwrap().clone();
    expected.extend(created_by.map(|text| {
        let mut entry = json!({"created": NOW, "created_by": text, "comment": "buildkit.dockerfile.v0"});
        if !has_layer {
            entry["empty_layer"] = json!(true);
        }
        entry
    }));
    assert_eq!(after["history"], json!(expected));
    assert_eq!(after["created"], NOW);
    assert_eq!(after["x-unknown"].to_string(), before["x-unknown"].to_string());
}

fn check(edit: impl FnOnce(Image) -> Result<Image, ImageError>, changes: Value, created_by: &str) {
    check_entry(edit, changes, Some(created_by), false);
}

fn difference(before: &Value, after: &Value) -> Value {
    let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
    let changed = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(value));
    let removed = before.keys().filter(|name| !after.contains_key(*name));
    changed
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain(removed.map(|name| (name.clone(), Value::Null)))
        .collect()
}

fn shell(text: &str) -> CommandForm {
    CommandForm::Shell(text.to_owned())
}

fn exec(words: &[&str]) -> CommandForm {
    CommandForm::Exec(strings(words))
}

fn probe(command: CommandForm) -> Probe {
    Probe {
        command,
        interval: Duration::ZERO,
        timeout: Duration::ZERO,
        start_period: Duration::ZERO,
        start_interval: Duration::ZERO,
        retries: 0,
    }
}

#[test]
fn variables_and_labels() {
    check(
        |image| image.with_env(&pairs(&[("a", "1"), ("MODE", "two words"), ("a", "2")])),
        json!({"Env": ["PATH=/bin", "MODE=two words", "a=2"]}),
        "ENV a=1 MODE=two words a=2",
    );
    check(
        |image| image.with_labels(&pairs(&[("b", "x y"), ("a", "")])),
        json!({"Labels": {"a": "", "b": "x y", "c": "<3"}}),
        "LABEL b=x y a=",
    );
    check_entry(
        |image| image.with_unrecorded_labels(&pairs(&[("d", "1")])),
        json!({"Labels": {"a": "1", "c": "<3", "d": "1"}}),
        None,
        false,
    );
    let args = [
        ("A".to_owned(), Some("1 2".to_owned())),
        ("B".to_owned(), None),
        ("C".to_owned(), Some(String::new())),
    ];
    check(|image| image.with_arg(&args), json!({}), "ARG A=1 2 B C=");
}

#[test]
fn ports_and_volumes() {
    check(
        |image| image.with_exposed_ports(&strings(&["81/tcp", "80/tcp", "53/udp"])),
        json!({"ExposedPorts": {"53/udp": {}, "80/tcp": {}, "81/tcp": {}}}),
        "EXPOSE [81/tcp 80/tcp 53/udp]",
    );
    check(
        |image| image.with_volumes(&strings(&["/etc/vault"])),
        json!({"Volumes": {"/data": {}, "/etc/vault": {}}}),
        "VOLUME [/etc/vault]",
    );
    check(
        |image| image.with_volumes(&strings(&["[/a,", "/b]"])),
        json!({"Volumes": {"/b]": {}, "/data": {}, "[/a,": {}}}),
        "VOLUME [[/a, /b]]",
    );
}

#[test]
fn words() {
    check(
        |image| image.with_user("a b:1"),
        json!({"User": "a b:1"}),
        "USER a b:1",
    );
    check(|image| image.with_user(""), json!({"User": null}), "USER ");
    check(
        |image| image.with_stop_signal("9"),
        json!({"StopSignal": "9"}),
        "STOPSIGNAL 9",
    );
    check(
        |image| image.with_workdir("/", None),
        json!({"WorkingDir": "/"}),
        "WORKDIR /",
    );
    check_entry(
        |image| image.with_workdir("/a//b/../c/", Some(layer("workdir", Compression::Gzip))),
        json!({"WorkingDir": "/a//b/../c/"}),
        Some("WORKDIR /a//b/../c/"),
        true,
    );
    check(
        |image| image.with_maintainer("Ann <ann@example.com>"),
        json!({}),
        "MAINTAINER Ann <ann@example.com>",
    );
    let author = configuration_of(&image().with_maintainer("Ann").unwrap());
    assert_eq!(author["author"], "Ann");
}

#[test]
fn commands() {
    check(
        |image| image.with_cmd(&shell("a b")),
        json!({"Cmd": ["/bin/sh", "-c", "a b"], "ArgsEscaped": true}),
        r#"CMD ["/bin/sh" "-c" "a b"]"#,
    );
    check(
        |image| image.with_cmd(&exec(&["e", "say \"x\"\t"])),
        json!({"Cmd": ["e", "say \"x\"\t"], "ArgsEscaped": true}),
        r#"CMD ["e" "say \"x\"\t"]"#,
    );
    check(
        |image| image.with_cmd(&shell("")),
        json!({"Cmd": ["/bin/sh", "-c", ""], "ArgsEscaped": true}),
        r#"CMD ["/bin/sh" "-c" ""]"#,
    );
    check(
        |image| image.with_cmd(&exec(&[])),
        json!({"Cmd": null, "ArgsEscaped": true}),
        "CMD []",
    );
    check(
        |image| image.with_entrypoint(&exec(&["e"])),
        json!({"Entrypoint": ["e"], "Cmd": null}),
        r#"ENTRYPOINT ["e"]"#,
    );
    check(
        |image| image.with_entrypoint(&shell("e f")),
        json!({"Entrypoint": ["/bin/sh", "-c", "e f"], "Cmd": null}),
        r#"ENTRYPOINT ["/bin/sh" "-c" "e f"]"#,
    );
    check(
        |image| image.with_entrypoint(&exec(&[])),
        json!({"Entrypoint": null, "Cmd": null}),
        "ENTRYPOINT []",
    );
    check(
        |image| image.with_shell(&strings(&["/bin/sh", "-ec"])),
        json!({"Shell": ["/bin/sh", "-ec"]}),
        "SHELL [/bin/sh -ec]",
    );
}

#[test]
fn health_checks() {
    check(
        |image| image.with_healthcheck(&Healthcheck::None),
        json!({"Healthcheck": {"Test": ["NONE"]}}),
        "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
    );
    check(
        |image| image.with_healthcheck(&Healthcheck::Probe(probe(shell("a || b")))),
        json!({"Healthcheck": {"Test": ["CMD-SHELL", "a || b"]}}),
        "HEALTHCHECK {Test:[CMD-SHELL a || b] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
    );
    let full = Probe {
        interval: Duration::from_secs(90),
        timeout: Duration::from_millis(500),
        start_period: Duration::from_secs(3600),
        start_interval: Duration::from_secs(2),
        retries: 5,
        ..probe(exec(&["a", "b"]))
    };
    check(
        |image| image.with_healthcheck(&Healthcheck::Probe(full)),
        json!({"Healthcheck": {
            "Test": ["CMD", "a", "b"], "Interval": 90_000_000_000_u64, "Timeout": 500_000_000,
            "StartPeriod": 3_600_000_000_000_u64, "StartInterval": 2_000_000_000, "Retries": 5,
        }}),
        "HEALTHCHECK {Test:[CMD a b] Interval:1m30s Timeout:500ms StartPeriod:1h0m0s StartInterval:2s Retries:5}",
    );
    let endless = Probe {
        timeout: Duration::MAX,
        ..probe(shell("a"))
    };
    let refused = image().with_healthcheck(&Healthcheck::Probe(endless));
    assert!(matches!(refused, Err(ImageError::DurationTooLong { .. })));
}

#[test]
fn triggers_leave_no_history() {
    check_entry(
        |image| image.with_onbuild("RUN a")?.with_onbuild("COPY . ."),
        json!({"OnBuild": ["RUN a", "COPY . ."]}),
        None,
        false,
    );
    check_entry(
        |image| Ok(image.with_onbuild("RUN a")?.take_onbuild()?.1),
        json!({}),
        None,
        false,
    );
}

#[test]
fn layers_add_an_entry_that_is_not_empty() {
    check_entry(
        |image| {
            image.with_layer(
                layer("run", Compression::Gzip),
                "RUN /bin/sh -c mkdir /x # buildkit",
            )
        },
        json!({}),
        Some("RUN /bin/sh -c mkdir /x # buildkit"),
        true,
    );
    let edited = image()
        .with_layer(layer("run", Compression::Gzip), "RUN")
        .unwrap();
    assert_eq!(edited.layers().len(), 2);
    assert_eq!(
        edited.diff_ids().last(),
        Some(&layer("run", Compression::Gzip).diff_id)
    );
}
