//! Docker's and OCI's media types: one family for each image and each index.

use std::collections::BTreeMap;

use onlay_image::{ConversionReason, Image, ImageError, IndexError, assemble_index, common_family};
use onlay_oci::{Compression, Document, Family, ImageConfiguration, MediaType, Platform};

use crate::base::{CONFIGURATION, finish, image, image_of, layer, manifest_of};

fn docker() -> Image {
    image_of(CONFIGURATION, Family::Docker)
}

fn annotations() -> BTreeMap<String, String> {
    BTreeMap::from([("k".to_owned(), "v".to_owned())])
}

/// Checks the family of every descriptor and the reason for the conversion.
fn check(
    image: Image,
    requested: Option<Family>,
    annotations: &BTreeMap<String, String>,
    expected: Family,
    reason: Option<ConversionReason>,
) {
    let finished = image.finish(requested, annotations).unwrap();
    assert_eq!(finished.manifest.family(), expected);
    assert_eq!(
        finished.configuration_descriptor().media_type.family(),
        Some(expected)
    );
    assert!(
        finished
            .layers()
            .iter()
            .all(|layer| layer.media_type.family() == Some(expected))
    );
    assert!(
        finished
            .configuration_descriptor()
            .digest
            .matches(&finished.configuration)
    );
    assert_eq!(finished.converted, reason);
}

#[test]
fn an_image_without_edits_keeps_its_bytes() {
    for (family, compression) in [
        (Family::Oci, Compression::Zstd),
        (Family::Docker, Compression::Gzip),
    ] {
        let configuration = ImageConfiguration::parse(CONFIGURATION.as_bytes()).unwrap();
        let manifest = manifest_of(&configuration, family, compression);
        let image = Image::from_base(manifest.clone(), configuration, None).unwrap();
        let (_, image) = image
            .begin_stage()
            .with_unrecorded_labels(&[])
            .unwrap()
            .take_onbuild()
            .unwrap();
        assert!(!image.is_edited());
        let finished = image.finish(Some(family), &BTreeMap::new()).unwrap();
        assert_eq!(finished.manifest.bytes(), manifest.bytes());
        assert_eq!(finished.configuration[..], *CONFIGURATION.as_bytes());
        assert_eq!(finished.converted, None);
    }
}

#[test]
fn the_family_is_the_bases_unless_something_needs_oci() {
    let none = BTreeMap::new();
    let gzip = |image: Image| image.with_layer(layer("new", Compression::Gzip), "RUN").unwrap();
    let zstd = |image: Image| image.with_layer(layer("new", Compression::Zstd), "RUN").unwrap();
    let of_zstd = MediaType::Layer(Family::Oci, Compression::Zstd);
    check(gzip(docker()), None, &none, Family::Docker, None);
    check(gzip(image()), None, &none, Family::Oci, None);
    check(zstd(image()), None, &annotations(), Family::Oci, None);
    check(
        zstd(docker()),
        None,
        &none,
        Family::Oci,
        Some(ConversionReason::LayerType(of_zstd.clone())),
    );
    check(
        docker(),
        None,
        &annotations(),
        Family::Oci,
        Some(ConversionReason::Annotations),
    );
    check(
        docker(),
        Some(Family::Oci),
        &none,
        Family::Oci,
        Some(ConversionReason::Requested),
    );
    check(
        zstd(docker()),
        Some(Family::Oci),
        &none,
        Family::Oci,
        Some(ConversionReason::LayerType(of_zstd)),
    );
    check(
        gzip(image()),
        Some(Family::Docker),
        &none,
        Family::Docker,
        Some(ConversionReason::Requested),
    );
    for refused in [
        zstd(image()).finish(Some(Family::Docker), &none),
        image().finish(Some(Family::Docker), &annotations()),
    ] {
        assert!(matches!(refused, Err(ImageError::NeedsOci { .. })));
    }
}

#[test]
fn annotations_are_the_callers_only() {
    let text = |image: Image, annotations: &BTreeMap<String, String>| {
        let finished = image.finish(None, annotations).unwrap();
        String::from_utf8(finished.manifest.bytes().to_vec()).unwrap()
    };
    assert!(text(image(), &BTreeMap::new()).contains(r#""of": "base""#));
    assert!(!text(image().with_user("x").unwrap(), &BTreeMap::new()).contains("annotations"));
    assert!(text(image(), &annotations()).contains(r#""annotations":{"k":"v"}"#));
}

#[test]
fn one_image_is_a_manifest_and_several_are_an_index() {
    let platform = |text: &str| {
        let [os, architecture, variant] = text.split('/').collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        let (os, architecture, variant) = (os.to_owned(), architecture.to_owned(), Some(variant.to_owned()));
        Platform {
            os,
            architecture,
            variant,
            ..Platform::default()
        }
    };
    let (arm, x86) = (platform("linux/arm64/v8"), platform("linux/amd64/v1"));
    let none = BTreeMap::new();
    let one = assemble_index(&[(arm.clone(), finish(image()))], Family::Oci, &none).unwrap();
    assert!(
        matches!(one, Document::Manifest(manifest) if manifest.bytes() == finish(image()).manifest.bytes())
    );

    let several = [
        (arm.clone(), finish(docker())),
        (x86.clone(), finish(docker().with_user("x").unwrap())),
    ];
    let Ok(Document::Index(index)) = assemble_index(&several, Family::Docker, &none) else {
        panic!("not an index")
    };
    assert_eq!(index.family(), Family::Docker);
    let platforms: Vec<_> = index
        .manifests()
        .iter()
        .map(|entry| entry.platform.clone())
        .collect();
    assert_eq!(platforms, [Some(arm.clone()), Some(x86.clone())]);
    assert!(
        index
            .manifests()
            .iter()
            .zip(&several)
            .all(|(entry, (_, image))| entry.digest.matches(image.manifest.bytes()))
    );

    let edited = finish(docker().with_user("x").unwrap());
    let mixed = [(arm.clone(), edited), (x86.clone(), finish(image()))];
    assert!(matches!(
        assemble_index(&mixed, Family::Oci, &none),
        Err(IndexError::MixedFamilies { platform, .. }) if platform == arm
    ));
    let kept = [(arm, finish(docker())), (x86.clone(), finish(image()))];
    assert!(assemble_index(&kept, Family::Oci, &none).is_ok());
    assert!(matches!(
        assemble_index(&[], Family::Oci, &none),
        Err(IndexError::NoImages)
    ));
    assert!(matches!(
        assemble_index(&mixed[..1], Family::Docker, &annotations()),
        Err(IndexError::AnnotationsOfOne)
    ));
    assert!(matches!(
        assemble_index(&several, Family::Docker, &annotations()),
        Err(IndexError::AnnotationsOfDocker)
    ));
}

#[test]
fn an_index_is_dockers_only_if_all_of_it_can_be() {
    assert_eq!(common_family(&[docker(), docker()], false), Family::Docker);
    assert_eq!(common_family(&[docker(), docker()], true), Family::Oci);
    assert_eq!(common_family(&[docker(), image()], false), Family::Oci);
    let zstd = docker()
        .with_layer(layer("new", Compression::Zstd), "RUN")
        .unwrap();
    assert_eq!(common_family(&[docker(), zstd], false), Family::Oci);
}
