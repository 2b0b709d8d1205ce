//! ONBUILD triggers of a base run before the lines, in `apply` as in `build`.

use onlay_testkit::{Image, Layer, Layout, Platform, Strictness, entry::dir, validate_layout};
use serde_json::json;

use crate::onlay::Home;

#[test]
fn triggers_run_first_and_are_gone() {
    let home = Home::new();
    let layout = Layout::create(home.join("base"));
    let config = json!({ "Env": ["PATH=/bin"], "OnBuild": ["ENV FROM_TRIGGER=1", "RUN mkdir /made"] });
    let image = Image::new(Platform::amd64())
        .layer(Layer::new(&[dir("etc")]))
        .with_config(&config.to_string());
    layout.tag(&layout.write_image(&image), "1");

    home.run(&[
        "apply",
        "oci:base:1",
        "ENV LATER=$FROM_TRIGGER",
        "-t",
        "oci:out:v",
    ])
    .success();
    let report = validate_layout(&home.join("out"), "v", Strictness::LayersAbove(1));
    let image = report.image(&Platform::amd64());
    let config = &image.config["config"];
    assert_eq!(config["Env"], json!(["PATH=/bin", "FROM_TRIGGER=1", "LATER=1"]));
    assert!(
        config.get("OnBuild").is_none_or(serde_json::Value::is_null),
        "{config}"
    );
    assert_eq!(image.layers.last().unwrap().names, ["made/"]);

    let failing = json!({ "OnBuild": ["RUN mkdir /etc"] });
    let image = Image::new(Platform::amd64())
        .layer(Layer::new(&[dir("etc")]))
        .with_config(&failing.to_string());
    layout.tag(&layout.write_image(&image), "2");
    let run = home.run(&["apply", "oci:base:2", "ENV A=1"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("ONBUILD trigger 1 of the base:1:5"),
        "{}",
        run.stderr
    );
}
