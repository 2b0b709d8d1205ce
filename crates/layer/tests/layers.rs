//! Layers written and read back, and layers that must be refused.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::io::Write;

use flate2::write::GzEncoder;
use onlay_layer::{
    Change, ChangeKind, CompressionOptions, Content, EntryKind, ImagePath, LayerOptions, LayerReadError,
    Listing, Lookup, Metadata, ModificationTime, NoContent, NodeKind, Tree, WrittenLayer, read_files,
    read_listing, write_layer,
};
use onlay_oci::{DiffId, Digest};
use tar::{EntryType, Header};

fn path(name: &str) -> ImagePath {
    ImagePath::from_member(name.as_bytes()).unwrap()
}

fn change(name: &str, mode: u32, kind: ChangeKind) -> Change {
    Change {
        path: path(name),
        metadata: Metadata::root_owned(mode),
        mtime: ModificationTime::Build,
        kind,
    }
}

fn vault_changes() -> Vec<Change> {
    vec![
        change("etc", 0o755, ChangeKind::Directory),
        change("etc/gone", 0, ChangeKind::Whiteout),
        change("etc/link", 0o777, ChangeKind::Symlink("/run/x".into())),
        change(
            "etc/motd",
            0o644,
            ChangeKind::File(Content::Bytes(b"hello\n"[..].into())),
        ),
        change("etc/motd2", 0o644, ChangeKind::HardLink(path("etc/motd"))),
        change("etc/pipe", 0o600, ChangeKind::Fifo),
        change("etc/vault", 0o777, ChangeKind::Directory),
    ]
}

fn write(changes: &[Change], compression: CompressionOptions) -> (WrittenLayer, Vec<u8>) {
    let options = LayerOptions {
        build_time: None,
        compression,
    };
    write_layer(changes, &mut NoContent, &options, Vec::new()).unwrap()
}

#[test]
fn what_is_written_reads_back() {
    for compression in [CompressionOptions::gzip(2), CompressionOptions::zstd()] {
        let (layer, bytes) = write(&vault_changes(), compression);
        assert_eq!(
            (Digest::of(&bytes), bytes.len() as u64),
            (layer.digest.clone(), layer.size)
        );
        let listing = read_listing(&bytes[..], &layer.diff_id).unwrap();
        assert_eq!(listing.uncompressed_size, layer.uncompressed_size);
        let kinds: Vec<(String, EntryKind)> = listing
            .entries
            .iter()
            .map(|entry| (entry.path.to_string(), entry.kind.clone()))
            .collect();
        assert_eq!(kinds[1], ("/etc/gone".to_owned(), EntryKind::Whiteout));
        assert_eq!(
            kinds[4].1,
            EntryKind::HardLink {
                target: path("etc/motd")
            }
        );
        assert_eq!(
            (listing.entries[6].metadata.mode, listing.entries[6].mtime),
            (0o777, 315_532_800)
        );
        assert_eq!(Listing::decode(&listing.encode().unwrap()).unwrap(), listing);
    }
}

/// The digests of the recipe. They may change only together with `RECIPE_VERSION`.
#[test]
fn golden_digests() {
    assert_eq!(onlay_layer::RECIPE_VERSION, 1);
    let (layer, bytes) = write(&vault_changes(), CompressionOptions::gzip(1));
    assert!(bytes.len() < 512, "{}", bytes.len());
    assert_eq!(
        (
            layer.diff_id.to_string().as_str(),
            layer.digest.to_string().as_str()
        ),
        (
            "sha256:16fbc6143d031fd86183589a0fa95d43c0dc4dc8596c5c92efa62c58563a7dc7",
            "sha256:f749939e7a8c4a81b714a35bed0bb50291f9d51fecffe91fe4c5206444e6a9d7"
        )
    );
    let (empty, _) = write(&[], CompressionOptions::gzip(1));
    // 1,024 zero bytes: the layer that every builder makes for a RUN that changes nothing.
    assert_eq!(
        empty.diff_id.to_string(),
        "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
    );
}

#[test]
fn a_file_of_the_base_is_found_and_checked() {
    let (layer, bytes) = write(&vault_changes(), CompressionOptions::gzip(1));
    let listing = read_listing(&bytes[..], &layer.diff_id).unwrap();
    let EntryKind::File { size, offset, digest } = listing.entries[3].kind.clone() else {
        panic!("no file")
    };
    let mut file = onlay_layer::BaseFile {
        layer: layer.diff_id.into(),
        path: path("etc/motd"),
        offset,
        size,
        digest,
    };
    let read = |file: &onlay_layer::BaseFile| {
        let mut out = Vec::new();
        read_files(&bytes[..], &[file, file], &mut out).map(|_| out)
    };
    assert_eq!(read(&file).unwrap(), b"hello\n");
    file.digest = Digest::of(b"other");
    assert!(
        read(&file)
            .unwrap_err()
            .to_string()
            .contains("/etc/motd in the base layer is not what was listed")
    );
    file.offset = 1 << 20;
    assert!(read(&file).is_err());
}

/// A tar of one member with this raw name.
fn tar_of(name: &[u8], entry_type: EntryType, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_entry_type(entry_type);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

fn read(tar: &[u8]) -> Result<Listing, LayerReadError> {
    read_listing(tar, &DiffId::new(Digest::of(tar)))
}

#[test]
fn hostile_layers_are_refused_by_name() {
    type Case<'a> = (&'a [u8], EntryType, &'a [u8], &'a [u8], &'a str);
    let cases: &[Case<'_>] = &[
        (
            b"../etc/passwd",
            EntryType::Regular,
            b"",
            b"",
            "climbs out with `..`",
        ),
        (b"a/../../x", EntryType::Regular, b"", b"", "climbs out with `..`"),
        (b"/etc/passwd", EntryType::Regular, b"", b"", "is absolute"),
        (
            b"x",
            EntryType::Link,
            b"../../etc/shadow",
            b"",
            "climbs out with `..`",
        ),
        (
            b"x",
            EntryType::Link,
            b"missing",
            b"",
            "no file of the same layer",
        ),
        (b"x", EntryType::GNUSparse, b"", b"", "has type `S`"),
        (b"x", EntryType::new(b'Q'), b"", b"", "has type `Q`"),
        (
            b"x",
            EntryType::XHeader,
            b"",
            b"12 path=../y\n",
            "malformed PAX record",
        ),
        (
            b"x",
            EntryType::XHeader,
            b"",
            b"99999999999999999999 a=b\n",
            "malformed PAX record",
        ),
        (
            b"x",
            EntryType::XHeader,
            b"",
            b"25 GNU.sparse.major=1.0.0\n",
            "malformed PAX record",
        ),
        (
            b"x",
            EntryType::XHeader,
            b"",
            b"22 GNU.sparse.major=1\n",
            "sparse file",
        ),
        (b"x/.wh...", EntryType::Regular, b"", b"", "is not a file name"),
    ];
    for (name, entry_type, link, content, message) in cases {
        let error = read(&tar_of(name, *entry_type, link, content)).unwrap_err();
        let text = format!(
            "{error}: {}",
            std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default()
        );
        assert!(text.contains(message), "{text}, expected {message}");
    }
}

#[test]
fn a_record_beyond_reason_is_not_read_into_memory() {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(u64::from(u32::MAX));
    header.set_cksum();
    let error = read(header.as_bytes()).unwrap_err();
    assert!(matches!(error, LayerReadError::RecordSize { .. }), "{error}");
}

/// Engines unpack one member after the other: a file whose name is taken keeps its other names.
#[test]
fn a_file_whose_name_comes_again_lives_on_under_its_other_names() {
    let member = |name: &[u8], link: &[u8], content: &[u8]| {
        let entry_type = if link.is_empty() {
            EntryType::Regular
        } else {
            EntryType::Link
        };
        let mut tar = tar_of(name, entry_type, link, content);
        tar.truncate(tar.len() - 1024);
        tar
    };
    let tar = [
        member(b"etc/passwd", b"", b"stale"),
        member(b"a", b"", b"first"),
        member(b"b", b"a", b""),
        member(b"gone", b"a", b""),
        member(b"etc/passwd", b"b", b""),
        member(b"a", b"", b"second"),
        member(b"gone", b"", b"third"),
        vec![0; 1024],
    ];
    let listing = read(&tar.concat()).unwrap();
    assert!(listing.inlined.is_empty());
    let tree = Tree::unread().over(&listing).completed();
    for (name, text) in [
        ("a", "second"),
        ("b", "first"),
        ("etc/passwd", "first"),
        ("gone", "third"),
    ] {
        let Lookup::Found(node) = tree.lookup(&path(name)) else {
            panic!("no {name}")
        };
        let NodeKind::File(Content::Base(file)) = &node.kind else {
            panic!("{name} is no file")
        };
        assert_eq!(file.digest, Digest::of(text.as_bytes()), "{name}");
    }
    let last = listing
        .entries
        .iter()
        .find(|entry| entry.path == path("etc/passwd"));
    assert_eq!(last.unwrap().kind, EntryKind::HardLink { target: path("b") });
}

#[test]
fn damaged_and_wrong_layers_are_told_apart() {
    let (layer, bytes) = write(&vault_changes(), CompressionOptions::gzip(1));
    let truncated = read_listing(&bytes[..bytes.len() / 2], &layer.diff_id);
    assert!(matches!(truncated, Err(LayerReadError::Stream(_))));
    let other = DiffId::new(Digest::of(b"other"));
    assert!(matches!(
        read_listing(&bytes[..], &other),
        Err(LayerReadError::DiffId { .. })
    ));
    assert!(read(&[b"<html>no layer</html>".as_slice(), &[b' '; 600]].concat()).is_err());
}

#[test]
fn several_gzip_members_are_one_layer() {
    let (layer, _) = write(&vault_changes(), CompressionOptions::gzip(1));
    let plain = CompressionOptions {
        compression: onlay_oci::Compression::None,
        level: 0,
        threads: 1,
    };
    let (_, tar) = write(&vault_changes(), plain);
    let member = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let members = [member(&tar[..700]), member(&tar[700..])].concat();
    assert!(read_listing(&members[..], &layer.diff_id).is_ok());
    assert!(read_listing(&tar[..], &layer.diff_id).is_ok());
}
