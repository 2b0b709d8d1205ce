use std::thread;

use fs_err as fs;
use onlay_oci::{Descriptor, MediaType};
use onlay_store::{Layout, StoreError};

use crate::support::{
    blob_path, flip, mismatch, open, read_all, read_to_end, tag_of, try_open, write_blob, write_image,
};

#[test]
fn what_is_written_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let written = write_image(&layout, "1.0", "a");
    let (store, root) = open(&format!("oci:{}:1.0", directory.path().display()));
    assert_eq!(read_all(&store, &root).bytes(), written.bytes());
}

#[test]
fn creating_a_layout_again_keeps_what_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    write_image(&Layout::create(directory.path()).unwrap(), "1.0", "a");
    let images = Layout::create(directory.path()).unwrap().images().unwrap();
    assert_eq!(images.len(), 1);
}

#[test]
fn damaged_blobs_are_named() {
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let damages: [(&str, Damage); 4] = [
        ("a byte flipped", |mut bytes| {
            bytes[0] ^= 1;
            bytes
        }),
        ("cut short", |mut bytes| {
            bytes.pop();
            bytes
        }),
        ("too long", |bytes| [bytes, vec![0]].concat()),
        ("empty", |_| Vec::new()),
    ];
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    for (what, damage) in damages {
        let blob = write_blob(&layout, MediaType::from("x/y"), what.as_bytes());
        let path = blob_path(directory.path(), &blob.digest);
        fs::write(&path, damage(what.as_bytes().to_vec())).unwrap();
        let error = read_to_end(layout.open_blob(&blob).unwrap()).unwrap_err();
        let mismatch = mismatch(&error).unwrap_or_else(|| panic!("{what}: {error}"));
        assert_eq!(mismatch.expected, blob.digest, "{what}");
    }
}

#[test]
fn a_damaged_manifest_is_no_document() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let manifest = write_image(&layout, "1.0", "a").descriptor();
    flip(&blob_path(directory.path(), &manifest.digest));
    let (store, root) = open(&format!("oci:{}", directory.path().display()));
    let error = store.document(&root).unwrap_err();
    assert!(matches!(&error, StoreError::Blob { digest, .. } if *digest == manifest.digest));
    assert_eq!(mismatch(&error).unwrap().expected, manifest.digest);
}

#[test]
fn bytes_that_are_not_the_blob_leave_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let blob = Descriptor::of(MediaType::from("x/y"), b"expected");
    for bytes in ["expectex", "expecte", "expected!"] {
        let error = layout.write_blob(&blob, bytes.as_bytes()).unwrap_err();
        assert!(mismatch(&error).is_some(), "{bytes}: {error}");
        assert!(!layout.has_blob(&blob));
        let left = fs::read_dir(directory.path().join("blobs/sha256")).unwrap();
        assert_eq!(left.count(), 0, "{bytes}");
    }
}

#[test]
fn many_writers_of_one_blob_agree() {
    let directory = tempfile::tempdir().unwrap();
    Layout::create(directory.path()).unwrap();
    let bytes = vec![7; 300_000];
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let layout = Layout::open(directory.path()).unwrap();
                write_blob(&layout, MediaType::from("x/y"), &bytes);
            });
        }
    });
    let entries = fs::read_dir(directory.path().join("blobs/sha256")).unwrap();
    assert_eq!(entries.count(), 1);
}

#[test]
fn tags_set_at_the_same_time_are_all_kept() {
    const THREADS: usize = 16;
    const TAGS: usize = 8;
    let directory = tempfile::tempdir().unwrap();
    Layout::create(directory.path()).unwrap();
    let image = Descriptor::of(MediaType::from("x/y"), b"image");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (directory, image) = (directory.path(), &image);
            scope.spawn(move || {
                let layout = Layout::open(directory).unwrap();
                for tag in 0..TAGS {
                    layout.tag(image, &tag_of(&format!("t{thread}-{tag}"))).unwrap();
                }
            });
        }
    });
    let images = Layout::open(directory.path()).unwrap().images().unwrap();
    assert_eq!(images.len(), THREADS * TAGS);
}

#[test]
fn a_tag_moves_and_all_else_stays() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let [old, new] = [&b"old"[..], b"new"].map(|bytes| Descriptor::of(MediaType::from("x/y"), bytes));
    assert!(!layout.tag(&old, &tag_of("other")).unwrap());
    assert!(!layout.tag(&old, &tag_of("moving")).unwrap());
    assert!(
        layout.tag(&old, &tag_of("moving")).unwrap(),
        "it had the tag already"
    );

    let index = directory.path().join("index.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replacen('{', r#"{"x-number":1.50,"#, 1)).unwrap();
    assert!(!layout.tag(&new, &tag_of("moving")).unwrap());
    assert!(
        fs::read_to_string(&index)
            .unwrap()
            .starts_with(r#"{"x-number":1.50,"#)
    );
    let digests: Vec<_> = layout
        .images()
        .unwrap()
        .into_iter()
        .map(|image| image.digest)
        .collect();
    assert_eq!(digests, [old.digest, new.digest]);
}

#[test]
fn the_image_that_is_meant() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let location = |tag: &str| format!("oci:{}{tag}", directory.path().display());
    let found = |tag: &str| try_open(&location(tag)).map(|(_, root)| root.digest);

    let first = write_image(&layout, "1.0", "first").descriptor();
    assert_eq!(found("").unwrap(), first.digest, "the only one");

    let second = write_image(&layout, "2.0", "second").descriptor();
    assert_eq!(found(":2.0").unwrap(), second.digest);
    let ambiguous = found("").unwrap_err().to_string();
    assert!(ambiguous.ends_with("it has `1.0`, `2.0`"), "{ambiguous}");
    let absent = found(":3.0").unwrap_err().to_string();
    assert!(absent.contains("`3.0`; it has `1.0`, `2.0`"), "{absent}");

    let latest = write_image(&layout, "latest", "third").descriptor();
    assert_eq!(found("").unwrap(), latest.digest);
}

#[test]
fn what_is_no_layout_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(
        Layout::open(directory.path()),
        Err(StoreError::Io { .. })
    ));
    for marker in ["", "{}", r#"{"imageLayoutVersion":"2.0.0"}"#] {
        fs::write(directory.path().join("oci-layout"), marker).unwrap();
        let opened = Layout::open(directory.path());
        assert!(matches!(opened, Err(StoreError::NotALayout { .. })), "{marker}");
    }
}
