//! What the argument CONTEXT means, and what comes on standard input.

use std::ffi::OsStr;

use onlay_context::{
    ContextSource, ContextSourceError, GitSource, SNIFF_LENGTH, StdinKind, TarCompression, sniff,
};
use proptest::prelude::*;

fn resolve(argument: impl AsRef<OsStr>) -> Result<ContextSource, ContextSourceError> {
    ContextSource::resolve(argument.as_ref())
}

#[test]
fn arguments() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("context.tar");
    fs_err::write(&file, "").unwrap();
    assert_eq!(resolve("-").unwrap(), ContextSource::StandardInput);
    let expected = ContextSource::Directory(directory.path().to_owned());
    assert_eq!(resolve(directory.path()).unwrap(), expected);
    assert_eq!(resolve(&file).unwrap(), ContextSource::Archive(file));
    let git = GitSource::parse("https://example.com/a.git#b").unwrap().unwrap();
    assert_eq!(
        resolve("https://example.com/a.git#b").unwrap(),
        ContextSource::Git(git)
    );
    let address = "https://example.com/a.tar";
    assert_eq!(resolve(address).unwrap(), ContextSource::Url(address.to_owned()));
}

#[test]
fn faults() {
    for (argument, message) in [
        ("", "the build context is empty; `.` is the current directory"),
        ("no/such", "the build context `no/such` cannot be used"),
        (
            "/dev/null",
            "the build context `/dev/null` is neither a directory nor a file; a tar is read from `-`",
        ),
        (
            "s3://a/b",
            "a build context cannot be fetched by `s3://`; expected https, http, git or ssh",
        ),
        (
            "file:///a.git",
            "a build context cannot be fetched by `file://`; expected https, http, git or ssh",
        ),
        (
            "https://example.com/a.git?x=y",
            "the build context is a wrong git address",
        ),
    ] {
        assert_eq!(resolve(argument).unwrap_err().to_string(), message);
    }
}

/// The header of a file `a` without contents, as GNU tar writes it, but for what is zero.
fn header() -> Vec<u8> {
    let mut header = vec![0; SNIFF_LENGTH];
    header[0] = b'a';
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(b"00000000000");
    header[257..265].copy_from_slice(b"ustar  \0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

#[test]
fn tars_are_told_from_dockerfiles() {
    for (start, expected) in [
        (&b""[..], StdinKind::Dockerfile),
        (b"FROM scratch\n", StdinKind::Dockerfile),
        (&[0; 1024], StdinKind::Dockerfile),
        (&header(), StdinKind::Tar(TarCompression::None)),
        (&header()[..511], StdinKind::Dockerfile),
        (b"\x1f\x8b\x08\0", StdinKind::Tar(TarCompression::Gzip)),
        (b"BZh9", StdinKind::Tar(TarCompression::Bzip2)),
        (b"\xfd7zXZ\0", StdinKind::Tar(TarCompression::Xz)),
        (b"\x28\xb5\x2f\xfd", StdinKind::Tar(TarCompression::Zstd)),
    ] {
        assert_eq!(sniff(start), expected);
    }
    let mut broken = header();
    broken[0] = b'b';
    assert_eq!(sniff(&broken), StdinKind::Dockerfile);
}

proptest! {
    #[test]
    fn any_bytes_are_sniffed(start in prop::collection::vec(any::<u8>(), 0..600)) {
        sniff(&start);
    }

    #[test]
    fn any_address_is_read(text in "(https://|git@a:|github.com/)?[a-z.:/#?&=%@-]{0,30}") {
        let _ = ContextSource::parse_address(&text);
    }
}
