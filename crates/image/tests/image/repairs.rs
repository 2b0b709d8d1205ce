//! Bases whose parts do not agree.

use onlay_image::{Image, ImageError};
use onlay_oci::{Compression, Digest, Document, Family, ImageConfiguration, Timestamp};
use serde_json::{Value, json};

use crate::base::{NOW, configuration_of, image_of, manifest_of, now};

/// A configuration of `layers` layers and this history.
fn configuration(layers: usize, history: &Value) -> String {
    let diff_ids: Vec<String> = (0..layers)
        .map(|layer| Digest::of(&[layer as u8]).to_string())
        .collect();
    json!({
        "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]}, "created": "2023-06-13T10:00:00Z",
        "history": history, "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string()
}

#[test]
fn history_is_made_to_agree_with_the_layers() {
    let check = |layers: usize, history: Value, expected: Value| {
        let edited = image_of(&configuration(layers, &history), Family::Oci)
            .with_onbuild("RUN a")
            .unwrap();
        assert_eq!(configuration_of(&edited)["history"], expected, "{history}");
    };
    let missing = json!({"created": NOW, "comment": "onlay: missing base history"});
    let (full, empty) = (
        json!({"created_by": "a", "odd": 1}),
        json!({"created_by": "b", "empty_layer": true}),
    );
    check(0, json!(null), json!([]));
    check(2, json!(null), json!([missing, missing]));
    check(1, json!([full, empty]), json!([full, empty]));
    check(2, json!([full, empty]), json!([full, empty, missing]));
    check(
        0,
        json!([full]),
        json!([{"created_by": "a", "odd": 1, "empty_layer": true}]),
    );
    check(
        1,
        json!([full, empty, full, full]),
        json!([
            full,
            empty,
            {"created_by": "a", "odd": 1, "empty_layer": true},
            {"created_by": "a", "odd": 1, "empty_layer": true},
        ]),
    );
}

#[test]
fn parts_of_different_images_are_refused() {
    let two = ImageConfiguration::parse(configuration(2, &json!([])).as_bytes()).unwrap();
    let one = ImageConfiguration::parse(configuration(1, &json!([])).as_bytes()).unwrap();
    let refused = Image::from_base(manifest_of(&one, Family::Oci, Compression::Gzip), two, None);
    assert!(matches!(
        refused,
        Err(ImageError::LayerCount {
            layers: 1,
            diff_ids: 2
        })
    ));
}

#[test]
fn artifacts_are_refused() {
    let empty = "application/vnd.oci.empty.v1+json";
    let text = json!({"schemaVersion": 2, "config": {"mediaType": empty, "digest": Digest::of(b"{}"), "size": 2}, "layers": []});
    let Ok(Document::Manifest(manifest)) = Document::parse(text.to_string().into_bytes(), None) else {
        panic!("not a manifest")
    };
    let configuration = ImageConfiguration::parse(&b"{}"[..]).unwrap();
    let refused = Image::from_base(manifest, configuration, None).unwrap_err();
    assert!(refused.to_string().contains(empty), "{refused}");
}

#[test]
fn times_come_from_the_build_then_the_base_then_the_epoch() {
    let created = |text: &str, build_time: Option<Timestamp>| {
        let configuration = ImageConfiguration::parse(text.as_bytes()).unwrap();
        let manifest = manifest_of(&configuration, Family::Oci, Compression::Gzip);
        Image::from_base(manifest, configuration, build_time).map(|image| image.created().to_string())
    };
    let base = r#"{"created":"2023-06-13T10:00:00.5Z"}"#;
    assert_eq!(created(base, Some(now())).unwrap(), NOW);
    assert_eq!(created(base, None).unwrap(), "2023-06-13T10:00:00.5Z");
    assert_eq!(created("{}", None).unwrap(), "1970-01-01T00:00:00Z");
    assert_eq!(created(r#"{"created":"soon"}"#, Some(now())).unwrap(), NOW);
    assert!(created(r#"{"created":"soon"}"#, None).is_err());
}

#[test]
fn malformed_members_are_errors_of_the_edit_that_needs_them() {
    let image = image_of(
        r#"{"os":"linux","config":{"Labels":[],"Env":["PATH=/"],"OnBuild":7}}"#,
        Family::Oci,
    );
    assert!(image.clone().with_user("x").is_ok());
    assert!(image.clone().with_onbuild("RUN a").is_err());
    assert!(image.with_labels(&[("a".to_owned(), "b".to_owned())]).is_err());
}
