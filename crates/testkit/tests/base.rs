//! The image makers, validation and flattening, against each other.
#![allow(
    clippy::unwrap_used,
    reason = "clippy sees only test functions as tests, not their helpers"
)]

use onlay_testkit::entry::{dir, file, hardlink, opaque, symlink, whiteout};
use onlay_testkit::{
    Entry, Family, Image, LargeBase, Layer, Layout, Platform, RootFs, Strictness, TestBase, check_layout,
    flatten_directory, flatten_layout, validate_layout, write_fixture_base,
};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn layout() -> (TempDir, Layout) {
    let scratch = tempfile::tempdir().unwrap();
    let layout = Layout::create(scratch.path().join("layout"));
    (scratch, layout)
}

fn written(base: &TestBase) -> (TempDir, Layout) {
    let (scratch, layout) = layout();
    base.write(&layout, "1.0");
    (scratch, layout)
}

fn flattened(layers: &[&[Entry]]) -> RootFs {
    let (_scratch, layout) = layout();
    let image = layers
        .iter()
        .fold(Image::new(Platform::amd64()), |image, entries| {
            image.layer(Layer::new(entries))
        });
    layout.tag(&layout.write_image(&image), "t");
    flatten_layout(layout.dir(), "t", &Platform::amd64())
}

#[test]
fn test_base_is_valid_in_every_form() {
    let docker = TestBase {
        family: Family::Docker,
        ..TestBase::READABLE_BY_OLD_TOOLS
    };
    for base in [TestBase::FULL, TestBase::READABLE_BY_OLD_TOOLS, docker] {
        let (_scratch, layout) = written(&base);
        let report = validate_layout(layout.dir(), "1.0", Strictness::NoLayer);
        assert_eq!(report.images.len(), 2);
        assert!(
            report
                .images
                .iter()
                .all(|image| image.layers.len() == TestBase::LAYERS)
        );
    }
}

#[test]
fn test_base_keeps_numbers_as_they_are_written() {
    let config = String::from_utf8(TestBase::FULL.images()[0].configuration()).unwrap();
    assert!(config.contains(r#""x-onlay-unknown": {"n": 1.50}"#), "{config}");
    assert!(config.contains("12345678901234567890123"), "{config}");
}

#[test]
fn same_bytes_on_every_run() {
    let (_first, first) = layout();
    let (_second, second) = layout();
    assert_eq!(
        TestBase::FULL.write(&first, "1.0"),
        TestBase::FULL.write(&second, "1.0")
    );
}

#[test]
fn test_base_flattens_to_the_expected_listing() {
    let (_scratch, layout) = written(&TestBase::FULL);
    let rootfs = flatten_layout(layout.dir(), "1.0", &Platform::amd64());
    let listing = rootfs.to_string();
    let listing: String = listing
        .lines()
        .filter(|line| !line.ends_with("-> busybox"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(listing, include_str!("base.listing"));
}

#[test]
fn platforms_differ_in_one_file() {
    let (_scratch, layout) = written(&TestBase::FULL);
    let [amd64, arm64] =
        [Platform::amd64(), Platform::arm64()].map(|p| flatten_layout(layout.dir(), "1.0", &p));
    let difference = amd64.difference(&arm64);
    assert_eq!(difference.len(), 2, "{difference:?}");
    assert!(
        difference.iter().all(|line| line.contains(" usr/lib/arch ")),
        "{difference:?}"
    );
}

/// umoci is the independent reader of the merge; it keeps directories that a layer has no header of.
#[test]
fn umoci_unpacks_the_same_files() {
    let (scratch, layout) = written(&TestBase::READABLE_BY_OLD_TOOLS);
    let bundle = scratch.path().join("bundle");
    let mut umoci = Command::new("umoci");
    // umoci reads one image, not an index.
    let manifest = layout.write_image(&TestBase::READABLE_BY_OLD_TOOLS.images()[0]);
    layout.tag(&manifest, "amd64");
    let as_root = scratch_is_owned_by_root(scratch.path());
    if !as_root {
        umoci.arg("unpack").arg("--rootless");
    } else {
        umoci.arg("unpack");
    }
    let output = umoci
        .arg("--image")
        .arg(format!("{}:amd64", layout.dir().display()))
        .arg(&bundle)
        .output();
    let output = output.unwrap_or_else(|error| panic!("`umoci`: {error}; Debian package: umoci"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut expected = flatten_layout(layout.dir(), "amd64", &Platform::amd64()).without_xattrs();
    let mut unpacked = flatten_directory(&bundle.join("rootfs"));
    if !as_root {
        for file in expected.files.values_mut().chain(unpacked.files.values_mut()) {
            (file.uid, file.gid) = (0, 0);
        }
    }
    assert_eq!(expected.difference(&unpacked), [""; 0]);
}

fn scratch_is_owned_by_root(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs_err::metadata(path).unwrap().uid() == 0
}

#[test]
fn an_inverted_byte_of_any_blob_is_reported() {
    let (_scratch, layout) = written(&TestBase::FULL);
    let blobs = layout.dir().join("blobs/sha256");
    for blob in fs_err::read_dir(&blobs).unwrap() {
        let path = blob.unwrap().path();
        let good = fs_err::read(&path).unwrap();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 0xff;
        fs_err::write(&path, bad).unwrap();
        let problems = check_layout(layout.dir(), "1.0", Strictness::NoLayer)
            .unwrap_err()
            .join("\n");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            problems.contains(&format!("expected sha256:{name}")),
            "{problems}"
        );
        fs_err::write(&path, good).unwrap();
    }
}

#[test]
fn a_missing_blob_is_reported() {
    let (_scratch, layout) = layout();
    let image = Image::new(Platform::amd64()).layer(Layer::new(&[dir("a")]));
    let layer = layout.write_blob("", &image.layers()[0].blob());
    layout.tag(&layout.write_image(&image), "t");
    fs_err::remove_file(layout.blob_path(&layer.digest)).unwrap();
    let problems = check_layout(layout.dir(), "t", Strictness::NoLayer).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("layer 1 of 1"), "{problems:?}");
}

#[test]
fn a_history_entry_too_many_is_reported() {
    let (_scratch, layout) = layout();
    let image =
        Image::new(Platform::amd64()).with_key("history", r#"[{"created_by":"a"},{"created_by":"b"}]"#);
    layout.tag(&layout.write_image(&image), "t");
    let problems = check_layout(layout.dir(), "t", Strictness::NoLayer).unwrap_err();
    assert!(
        problems[0].contains("0 layers, 2 history entries that made a layer"),
        "{problems:?}"
    );
}

#[test]
fn a_wrong_diff_id_is_reported() {
    let (_scratch, layout) = layout();
    let rootfs = r#"{"type":"layers","diff_ids":["sha256:00"]}"#;
    let image = Image::new(Platform::amd64())
        .layer(Layer::new(&[dir("a")]))
        .with_key("rootfs", rootfs);
    layout.tag(&layout.write_image(&image), "t");
    let problems = check_layout(layout.dir(), "t", Strictness::NoLayer).unwrap_err();
    assert!(
        problems[0].contains("expected diff id sha256:00, found sha256:"),
        "{problems:?}"
    );
}

#[test]
fn layers_are_held_to_their_form() {
    let cases: &[(&[Entry], &str)] = &[
        (
            &[file("a/b", "")],
            "`a/b` comes before its parent directory, or without it",
        ),
        (
            &[file("a", ""), file("a/b", "")],
            "`a/b` has a parent that is Regular",
        ),
        (&[file("../a", "")], "`../a` is not a plain relative path"),
        (&[file("/a", "")], "`/a` is not a plain relative path"),
        (&[file("./a", "")], "`./a` is not a plain relative path"),
        (&[file("a", ""), file("a", "")], "`a` has two entries"),
        (
            &[dir("a"), file("a/b", ""), whiteout("a/c")],
            "`a/.wh.c` is a whiteout after other entries of its directory",
        ),
        (
            &[hardlink("a", "b")],
            "`a` is a hard link to `b`, which is no earlier file of the layer",
        ),
        (
            &[file("a", "").with_pax("atime", "1")],
            "`a` has a PAX record `atime`",
        ),
    ];
    for (entries, expected) in cases {
        let (_scratch, layout) = layout();
        layout.tag(
            &layout.write_image(&Image::new(Platform::amd64()).layer(Layer::new(entries))),
            "t",
        );
        let problems = check_layout(layout.dir(), "t", Strictness::AllLayers)
            .unwrap_err()
            .join("\n");
        assert!(
            problems.contains(expected),
            "expected {expected}, found {problems}"
        );
        validate_layout(layout.dir(), "t", Strictness::LayersAbove(1));
    }
}

#[test]
fn layers_merge() {
    let cases: &[(&[&[Entry]], &str)] = &[
        (&[&[dir("a"), file("a/b", "")], &[whiteout("a")]], ""),
        (
            &[&[dir("a"), file("a/b", "")], &[file("a/c", ""), opaque("a")]],
            "d 0755 0:0 a\nf 0644 0:0 a/c 0 e3b0c44298fc\n",
        ),
        (
            &[&[symlink("bin", "usr/bin")], &[file("bin/x", "")]],
            "d 0755 0:0 bin\nf 0644 0:0 bin/x 0 e3b0c44298fc\n",
        ),
        (
            &[&[dir("a").with_mode(0o750), file("a/b", "")], &[dir("a")]],
            "d 0755 0:0 a\nf 0644 0:0 a/b 0 e3b0c44298fc\n",
        ),
        (
            &[&[dir("a"), file("a/b", "")], &[file("a", "")]],
            "f 0644 0:0 a 0 e3b0c44298fc\n",
        ),
        (
            &[&[file("a", ""), hardlink("b", "a")], &[whiteout("a")]],
            "f 0644 0:0 b 0 e3b0c44298fc\n",
        ),
        (
            &[&[file("ab", ""), dir("a")], &[whiteout("a")]],
            "f 0644 0:0 ab 0 e3b0c44298fc\n",
        ),
    ];
    for (layers, expected) in cases {
        assert_eq!(flattened(layers).to_string(), *expected);
    }
}

#[test]
fn large_base_has_the_size_that_was_asked_for() {
    let (_scratch, layout) = layout();
    LargeBase {
        megabytes: 4,
        busybox: None,
    }
    .write(&layout, "1.0");
    let report = validate_layout(layout.dir(), "1.0", Strictness::AllLayers);
    let stored: u64 = report.images[0].layers.iter().map(|layer| layer.size).sum();
    assert!((3_900_000..4_500_000).contains(&stored), "{stored}");
}

/// The fixture is made by `cargo run -p onlay-testkit --example make-fixtures`.
#[test]
fn fixture_is_what_its_maker_makes() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/base");
    let scratch = tempfile::tempdir().unwrap();
    let made = write_fixture_base(scratch.path());
    let [fixture, made] =
        [&fixture, made.dir()].map(|dir| validate_layout(dir, "1.0", Strictness::AllLayers));
    assert_eq!(fixture, made);
}
