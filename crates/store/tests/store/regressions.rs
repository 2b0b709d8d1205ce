//! Each was wrong once.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use fs_err as fs;
use onlay_oci::{Compression, Descriptor, Family, Manifest, MediaType};
use onlay_store::{Destination, DockerArchive, Layout, OciArchive};

use crate::support::{
    blob_path, compressed, configuration, flip, layer, open, read_all, tag_of, tar, try_open, write_blob,
    write_image,
};

#[test]
fn a_damaged_configuration_gets_into_no_docker_archive() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("layout")).unwrap();
    let image = write_image(&layout, "1.0", "a");
    flip(&blob_path(
        &directory.path().join("layout"),
        &image.config().digest,
    ));
    let file = directory.path().join("image.tar");
    assert!(DockerArchive::write(&layout, &image, None, &file).is_err());
    assert!(!file.exists());
}

#[test]
fn a_damaged_blob_gets_into_no_oci_archive() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("layout")).unwrap();
    let image = write_image(&layout, "1.0", "a");
    flip(&blob_path(
        &directory.path().join("layout"),
        &image.layers()[1].digest,
    ));
    let file = directory.path().join("image.tar");
    assert!(OciArchive::write(&layout, &file).is_err());
    assert!(!file.exists());
}

#[test]
fn a_blob_that_no_image_needs_is_not_archived() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("layout")).unwrap();
    write_image(&layout, "1.0", "a");
    let stray = write_blob(&layout, MediaType::from("x/y"), b"stray");
    let file = directory.path().join("image.tar");
    OciArchive::write(&layout, &file).unwrap();
    assert!(OciArchive::open(&file).unwrap().open_blob(&stray).is_err());
}

#[test]
fn layouts_made_at_the_same_time_keep_every_tag() {
    let image = Descriptor::of(MediaType::from("x/y"), b"image");
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for thread in 0..12 {
                let (directory, image) = (directory.path(), &image);
                scope.spawn(move || {
                    let layout = Layout::create(directory).unwrap();
                    layout.tag(image, &tag_of(&format!("t{thread}"))).unwrap();
                });
            }
        });
        assert_eq!(
            Layout::open(directory.path()).unwrap().images().unwrap().len(),
            12
        );
    }
}

#[test]
fn no_layout_is_started_among_other_files() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), "").unwrap();
    assert!(Layout::create(directory.path()).is_err());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn other_entries_of_the_index_keep_their_text() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let digest = onlay_oci::Digest::of(b"other");
    let entry = format!(r#"{{"x":1.50,"size":5,"digest":"{digest}","mediaType":"x/y","annotations":{{}}}}"#);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#);
    fs::write(directory.path().join("index.json"), index).unwrap();
    let image = Descriptor::of(MediaType::from("x/y"), b"image");
    layout.tag(&image, &tag_of("1.0")).unwrap();
    let text = fs::read_to_string(directory.path().join("index.json")).unwrap();
    assert!(text.contains(&entry), "{text}");
}

#[test]
fn a_compressed_archive_is_called_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.tar.gz");
    fs::write(
        &file,
        compressed(Compression::Gzip, &tar(&[("manifest.json", b"[]")])),
    )
    .unwrap();
    let error = try_open(&format!("docker-archive:{}", file.display()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("gzip"), "{error}");
}

#[test]
fn a_malformed_list_is_not_a_missing_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.tar");
    fs::write(&file, tar(&[("manifest.json", b"{")])).unwrap();
    let error = try_open(&format!("docker-archive:{}", file.display()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("malformed"), "{error}");
}

#[test]
fn zstd_layers_of_a_docker_archive_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.tar");
    let layer = layer("zstd");
    let stored = compressed(Compression::Zstd, &layer);
    let config = configuration([&layer[..]].into_iter());
    let list = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]"#;
    fs::write(
        &file,
        tar(&[("manifest.json", list), ("c.json", &config), ("l.tar", &stored)]),
    )
    .unwrap();
    let (store, root) = open(&format!("docker-archive:{}", file.display()));
    assert_eq!(
        read_all(&store, &root).layers()[0].media_type,
        MediaType::Layer(Family::Oci, Compression::Zstd)
    );
}

#[test]
fn a_compressed_layer_is_the_one_that_the_configuration_names() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.tar");
    let config = configuration([&layer("one")[..]].into_iter());
    let stored = compressed(Compression::Gzip, &layer("another"));
    let list = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]"#;
    fs::write(
        &file,
        tar(&[("manifest.json", list), ("c.json", &config), ("l.tar", &stored)]),
    )
    .unwrap();
    assert!(try_open(&format!("docker-archive:{}", file.display())).is_err());
}

#[test]
fn only_layers_that_match_the_configuration_get_into_a_docker_archive() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("layout")).unwrap();
    let config = write_blob(
        &layout,
        MediaType::Config(Family::Oci),
        &configuration([&layer("one")[..]].into_iter()),
    );
    for media_type in [
        MediaType::Layer(Family::Oci, Compression::None),
        MediaType::from("x/encrypted"),
    ] {
        let blob = write_blob(&layout, media_type, &layer("another"));
        let image = Manifest::assemble(None, Family::Oci, config.clone(), vec![blob], &Default::default());
        let file = directory.path().join("image.tar");
        assert!(DockerArchive::write(&layout, &image.unwrap(), None, &file).is_err());
        assert!(!file.exists());
    }
}

#[test]
fn a_failed_blob_stays_failed() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let blob = write_blob(&layout, MediaType::from("x/y"), b"blob");
    flip(&blob_path(directory.path(), &blob.digest));
    let mut reader = layout.open_blob(&blob).unwrap();
    while let Ok(count) = reader.read(&mut [0; 8]) {
        assert!(count > 0, "the end came before the error");
    }
    assert!(reader.read(&mut [0; 8]).is_err());
}

#[test]
fn a_name_in_a_docker_archive_has_no_digest() {
    let text = format!("docker-archive:f.tar:name@sha256:{}", "a".repeat(64));
    assert!(text.parse::<Destination>().is_err());
}

/// Started by a test under another umask.
#[test]
fn files_get_the_mode_of_any_other_file() {
    let directory = tempfile::tempdir().unwrap();
    let script = "umask 077; exec \"$0\" --exact regressions::a_layout_made_for_modes";
    let status = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .current_dir(directory.path())
        .output();
    assert!(status.unwrap().status.success());
    let marker = directory.path().join("for-modes/oci-layout");
    assert_eq!(fs::metadata(marker).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_layout_made_for_modes() {
    let is_child = std::env::current_dir().is_ok_and(|directory| !directory.join("Cargo.toml").exists());
    if is_child {
        Layout::create("for-modes".as_ref()).unwrap();
    }
}
