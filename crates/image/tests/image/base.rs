//! The images that the tests start from.

use onlay_image::{FinishedImage, Image, NewLayer};
use onlay_oci::{
    Compression, Descriptor, DiffId, Digest, Document, Family, ImageConfiguration, Manifest, MediaType,
    Timestamp,
};
use serde_json::{Value, json};

/// The time at which everything in these tests is built.
pub(crate) const NOW: &str = "2026-01-31T08:00:00Z";

/// A configuration with something in every member, unknown ones too.
pub(crate) const CONFIGURATION: &str = concat!(
    r#"{"architecture":"amd64","#,
    r#""config":{"User":"app","ExposedPorts":{"80/tcp":{}},"Env":["PATH=/bin","MODE=slow"],"#,
    r#""Entrypoint":["/init"],"Cmd":["serve"],"Volumes":{"/data":{}},"WorkingDir":"/srv","#,
    r#""Labels":{"a":"1","c":"\u003c3"},"Hostname":"","X":1.50},"#,
    r#""created":"2023-06-13T10:00:00.5Z","#,
    r#""history":[{"created":"2023-06-13T10:00:00.50Z","created_by":"base","odd":1}],"os":"linux","#,
    r#""rootfs":{"type":"layers","diff_ids":["sha256:c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2"]},"#,
    r#""x-unknown":{"n":1.50}}"#
);

/// The [`CONFIGURATION`] as an image of one layer.
pub(crate) fn image() -> Image {
    image_of(CONFIGURATION, Family::Oci)
}

/// This configuration as an image with as many layers as it has diff ids.
pub(crate) fn image_of(configuration: &str, family: Family) -> Image {
    let configuration = ImageConfiguration::parse(configuration.as_bytes()).unwrap();
    let manifest = manifest_of(&configuration, family, Compression::Gzip);
    Image::from_base(manifest, configuration, Some(now())).unwrap()
}

/// A manifest that fits the configuration, with annotations of its own where the family has any.
pub(crate) fn manifest_of(
    configuration: &ImageConfiguration,
    family: Family,
    compression: Compression,
) -> Manifest {
    let layer = |diff_id: &DiffId| {
        let media_type = MediaType::Layer(family, compression);
        json!(Descriptor::of(media_type, diff_id.to_string().as_bytes()))
    };
    let document = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::Manifest(family),
        "config": configuration.descriptor(family).unwrap(),
        "layers": configuration.diff_ids().iter().map(layer).collect::<Vec<_>>(),
        "annotations": {"of": "base"},
    });
    let pretty = serde_json::to_vec_pretty(&document).unwrap();
    let Ok(Document::Manifest(manifest)) = Document::parse(pretty, None) else {
        panic!("not a manifest")
    };
    manifest
}

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A layer that nothing else is made of.
pub(crate) fn layer(name: &str, compression: Compression) -> NewLayer {
    NewLayer {
        descriptor: Descriptor::of(MediaType::Layer(Family::Oci, compression), name.as_bytes()),
        diff_id: DiffId::new(Digest::of(format!("tar of {name}").as_bytes())),
    }
}

pub(crate) fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

pub(crate) fn pairs(items: &[(&str, &str)]) -> Vec<(String, String)> {
    items
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

pub(crate) fn finish(image: Image) -> FinishedImage {
    image.finish(None, &Default::default()).unwrap()
}

/// The configuration as it would be pushed.
pub(crate) fn configuration_of(image: &Image) -> Value {
    serde_json::from_slice(&image.configuration().to_bytes().unwrap()).unwrap()
}
