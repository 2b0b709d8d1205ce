use std::path::Path;

use fs_err as fs;
use onlay_oci::{Compression, Digest, Document, Reference};
use onlay_store::{DockerArchive, Layout, StoreError};

use crate::support::{
    compressed, configuration, flip_in, layer, mismatch, open, read_all, tar, try_open, write_image,
    write_layers,
};

#[test]
fn a_written_archive_has_the_configuration_and_the_layers_unpacked() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("layout")).unwrap();
    let image = write_image(&layout, "1.0", "a");
    let name: Reference = "hashicorp/vault:1.14".parse().unwrap();
    let file = directory.path().join("image.tar");
    DockerArchive::write(&layout, &image, Some(&name), &file).unwrap();

    for location in ["", ":hashicorp/vault:1.14"] {
        let (store, root) = open(&format!("docker-archive:{}{location}", file.display()));
        let read = read_all(&store, &root);
        assert_eq!(read.config().digest, image.config().digest);
        let diff_ids = [0, 1, 2].map(|index| Digest::of(&layer(&format!("a-{index}"))));
        let digests: Vec<_> = read.layers().iter().map(|layer| layer.digest.clone()).collect();
        assert_eq!(digests, diff_ids);
    }
}

#[test]
fn a_layer_that_an_image_has_twice_is_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("layout")).unwrap();
    let layers = [
        (Compression::Gzip, layer("same")),
        (Compression::Gzip, layer("same")),
    ];
    let image = write_layers(&layout, "1.0", &layers);
    let file = directory.path().join("image.tar");
    DockerArchive::write(&layout, &image, None, &file).unwrap();

    let mut archive = tar::Archive::new(fs::File::open(&file).unwrap());
    assert_eq!(
        archive.entries().unwrap().count(),
        3,
        "configuration, layer, list"
    );
    let (store, root) = open(&format!("docker-archive:{}", file.display()));
    assert_eq!(read_all(&store, &root).layers().len(), 2);
}

#[test]
fn the_same_image_gives_the_same_archive() {
    let archives = ["a", "b"].map(|name| {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(&directory.path().join(name)).unwrap();
        let image = write_image(&layout, "1.0", "same");
        let file = directory.path().join("image.tar");
        DockerArchive::write(&layout, &image, None, &file).unwrap();
        fs::read(file).unwrap()
    });
    assert!(archives[0] == archives[1]);
}

#[test]
fn old_archives_share_layers_by_links() {
    let directory = tempfile::tempdir().unwrap();
    let layer = layer("shared");
    let file = directory.path().join("image.tar");
    let config = configuration([&layer[..], &layer[..]].into_iter());
    let list = r#"[{"Config":"c.json","RepoTags":null,"Layers":["one/layer.tar","two/layer.tar"]}]"#;
    let mut builder = tar::Builder::new(fs::File::create(&file).unwrap());
    for (name, content) in [
        ("c.json", &config[..]),
        ("manifest.json", list.as_bytes()),
        ("one/layer.tar", &layer),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    }
    let mut link = tar::Header::new_ustar();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    builder
        .append_link(&mut link, "two/layer.tar", "../one/layer.tar")
        .unwrap();
    builder.into_inner().unwrap();

    let (store, root) = open(&format!("docker-archive:{}", file.display()));
    let layers = read_all(&store, &root).layers().to_vec();
    assert_eq!(layers[0].digest, Digest::of(&layer));
    assert_eq!(layers[0], layers[1]);
}

#[test]
fn compressed_layers_keep_their_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let layer = layer("zipped");
    let stored = compressed(Compression::Gzip, &layer);
    let file = directory.path().join("image.tar");
    write_archive(&file, &configuration([&layer[..]].into_iter()), &stored);
    let (store, root) = open(&format!("docker-archive:{}", file.display()));
    let blob = read_all(&store, &root).layers()[0].clone();
    assert_eq!(store.read_blob(&blob).unwrap(), stored);
    assert_eq!(blob.digest, Digest::of(&stored));
}

#[test]
fn a_flipped_byte_in_a_layer_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let layer = layer("needle");
    let file = directory.path().join("image.tar");
    write_archive(&file, &configuration([&layer[..]].into_iter()), &layer);
    flip_in(&file, b"needle");
    let (store, root) = open(&format!("docker-archive:{}", file.display()));
    let Document::Manifest(image) = store.document(&root).unwrap() else {
        panic!("{root:?} is an index");
    };
    let error = store.read_blob(&image.layers()[0]).unwrap_err();
    assert_eq!(mismatch(&error).unwrap().expected, Digest::of(&layer));
}

#[test]
fn one_of_several_images_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("images.tar");
    let config = configuration(std::iter::empty());
    let list = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":[]},{"Config":"c.json","RepoTags":["b:2"],"Layers":[]}]"#;
    fs::write(&file, tar(&[("manifest.json", list), ("c.json", &config)])).unwrap();
    let location = |name: &str| format!("docker-archive:{}{name}", file.display());
    let ambiguous = try_open(&location("")).unwrap_err().to_string();
    assert!(ambiguous.ends_with("it has `a:1`, `b:2`"), "{ambiguous}");
    assert!(try_open(&location(":b:2")).is_ok());
    assert!(matches!(
        try_open(&location(":b:3")),
        Err(StoreError::NoTag { .. })
    ));
}

fn write_archive(file: &Path, config: &[u8], layer: &[u8]) {
    let list = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["one/layer.tar"]}]"#;
    let files = [
        ("manifest.json", &list[..]),
        ("c.json", config),
        ("one/layer.tar", layer),
    ];
    fs::write(file, tar(&files)).unwrap();
}
