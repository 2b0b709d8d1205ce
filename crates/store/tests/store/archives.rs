use fs_err as fs;
use onlay_store::{Layout, OciArchive, StoreError};

use crate::support::{flip_in, mismatch, open, read_all, tag_of, tar, try_open, write_image};

#[test]
fn a_layout_comes_back_from_an_archive_with_every_digest() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("one")).unwrap();
    let written = write_image(&layout, "1.0", "a");
    let file = directory.path().join("image.tar");
    OciArchive::write(&layout, &file).unwrap();

    let (store, root) = open(&format!("oci-archive:{}:1.0", file.display()));
    let read = read_all(&store, &root);
    assert_eq!(read.bytes(), written.bytes());

    let copy = Layout::create(&directory.path().join("two")).unwrap();
    for blob in read.layers().iter().chain([read.config(), &root]) {
        copy.write_blob(blob, store.open_blob(blob).unwrap()).unwrap();
    }
    copy.tag(&read.descriptor(), &tag_of("1.0")).unwrap();
    let (store, root) = open(&format!("oci:{}/two", directory.path().display()));
    assert_eq!(read_all(&store, &root).bytes(), written.bytes());
}

#[test]
fn the_same_images_give_the_same_archive() {
    let archives = ["a", "b"].map(|name| {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(&directory.path().join(name)).unwrap();
        write_image(&layout, "1.0", "same");
        let file = directory.path().join("image.tar");
        OciArchive::write(&layout, &file).unwrap();
        fs::read(file).unwrap()
    });
    assert!(archives[0] == archives[1]);
}

#[test]
fn an_archive_takes_the_place_of_the_file_and_leaves_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("layout")).unwrap();
    write_image(&layout, "1.0", "a");
    let file = directory.path().join("image.tar");
    fs::write(&file, "old").unwrap();
    OciArchive::write(&layout, &file).unwrap();
    assert_eq!(OciArchive::open(&file).unwrap().images().unwrap().len(), 1);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn a_flipped_byte_in_an_archive_names_the_blob() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("layout")).unwrap();
    let layer = write_image(&layout, "1.0", "needle").layers()[0].clone();
    let file = directory.path().join("image.tar");
    OciArchive::write(&layout, &file).unwrap();
    flip_in(&file, b"needle-0");

    let (store, _) = open(&format!("oci-archive:{}", file.display()));
    let error = store.read_blob(&layer).unwrap_err();
    assert_eq!(mismatch(&error).unwrap().expected, layer.digest);
}

#[test]
fn an_archive_cut_short_is_no_image() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(&directory.path().join("layout")).unwrap();
    let manifest = write_image(&layout, "1.0", "a");
    let whole = directory.path().join("image.tar");
    OciArchive::write(&layout, &whole).unwrap();
    let bytes = fs::read(whole).unwrap();
    let cut = directory.path().join("cut.tar");
    let blobs = manifest.layers().iter().chain([manifest.config()]);
    let blobs: Vec<_> = blobs.cloned().chain([manifest.descriptor()]).collect();
    // Behind the last block of content there are only zeros, which nobody misses.
    for length in (0..bytes.len() - 3 * 512).step_by(512) {
        fs::write(&cut, &bytes[..length]).unwrap();
        let is_whole = OciArchive::open(&cut).is_ok_and(|archive| {
            blobs.iter().all(|blob| {
                let reader = archive.open_blob(blob);
                reader.is_ok_and(|mut reader| std::io::copy(&mut reader, &mut std::io::sink()).is_ok())
            })
        });
        assert!(!is_whole, "cut at {length} of {}", bytes.len());
    }
}

#[test]
fn a_tar_of_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("other.tar");
    fs::write(&file, tar(&[("readme", b"")])).unwrap();
    for scheme in ["oci-archive", "docker-archive"] {
        let error = try_open(&format!("{scheme}:{}", file.display())).unwrap_err();
        assert!(
            matches!(error, StoreError::NotAnArchive { .. }),
            "{scheme}: {error}"
        );
    }
}
