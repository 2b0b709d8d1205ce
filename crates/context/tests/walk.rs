//! Walks through real directories.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use bstr::{BStr, ByteSlice};
use onlay_context::{ContextEntry, ContextError, ContextKind, DirectoryContext, Ignore};
use tempfile::TempDir;

struct Sample {
    directory: TempDir,
}

impl Sample {
    /// Makes files, and directories where a path ends in a slash.
    fn new(paths: &[&str]) -> Self {
        let sample = Sample {
            directory: tempfile::tempdir().unwrap(),
        };
        for path in paths {
            let full = sample.path(path);
            if path.ends_with('/') {
                fs_err::create_dir_all(full).unwrap();
            } else {
                fs_err::create_dir_all(full.parent().unwrap()).unwrap();
                fs_err::write(full, path).unwrap();
            }
        }
        sample
    }

    fn path(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.directory.path().join(PathBuf::from(path.as_ref()))
    }

    fn open(&self) -> DirectoryContext {
        DirectoryContext::open(self.directory.path()).unwrap()
    }

    fn walk(&self, ignore: &str) -> Vec<ContextEntry> {
        self.open()
            .walk(&Ignore::parse(ignore.as_bytes()).unwrap())
            .unwrap()
    }

    fn walk_prefixes(&self, prefixes: &[&str], ignore: &str) -> Vec<ContextEntry> {
        let ignore = Ignore::parse(ignore.as_bytes()).unwrap();
        self.open().walk_prefixes(prefixes, &ignore).unwrap()
    }
}

fn paths(entries: &[ContextEntry]) -> Vec<&BStr> {
    entries.iter().map(|entry| entry.path.as_bstr()).collect()
}

#[track_caller]
fn find<'a>(entries: &'a [ContextEntry], path: &str) -> &'a ContextEntry {
    entries.iter().find(|entry| entry.path == path).unwrap()
}

#[test]
fn the_order_is_that_of_the_tree() {
    let sample = Sample::new(&["b", "a/z", "a/b/c", "a.b", "a-b", "empty/"]);
    let entries = sample.walk("");
    assert_eq!(
        paths(&entries),
        ["a", "a/b", "a/b/c", "a/z", "a-b", "a.b", "b", "empty"]
    );
    assert_eq!(entries, sample.walk(""));
}

#[test]
fn every_kind_is_told() {
    let sample = Sample::new(&["file", "dir/"]);
    symlink("/no/such", sample.path("link")).unwrap();
    let mode = rustix::fs::Mode::from(0o640);
    rustix::fs::mkfifoat(rustix::fs::CWD, sample.path("pipe"), mode).unwrap();
    let _listener = UnixListener::bind(sample.path("socket")).unwrap();
    fs_err::set_permissions(sample.path("file"), PermissionsExt::from_mode(0o4751)).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 999_999_999);
    let file = fs_err::OpenOptions::new()
        .write(true)
        .open(sample.path("file"))
        .unwrap();
    file.file().set_modified(time).unwrap();

    let entries = sample.walk("");
    let file = find(&entries, "file");
    assert_eq!(file.kind, ContextKind::File { size: 4 });
    assert_eq!((file.mode, file.mtime), (0o4751, 1_000_000_000));
    assert_eq!(find(&entries, "dir").kind, ContextKind::Directory);
    let target = "/no/such".into();
    assert_eq!(find(&entries, "link").kind, ContextKind::Symlink { target });
    assert_eq!(find(&entries, "pipe").kind, ContextKind::Fifo);
    assert_eq!(find(&entries, "socket").kind, ContextKind::Socket);
}

#[test]
fn a_device_has_its_numbers() {
    let context = DirectoryContext::open("/dev".as_ref()).unwrap();
    let entries = context.walk_prefixes(&["null"], &Ignore::none()).unwrap();
    assert_eq!(
        entries[0].kind,
        ContextKind::CharacterDevice { major: 1, minor: 3 }
    );
}

#[test]
fn hard_links_name_the_first_listed_path() {
    let sample = Sample::new(&["b/one", "alone"]);
    for name in ["a", "c"] {
        fs_err::hard_link(sample.path("b/one"), sample.path(name)).unwrap();
    }
    let link_of = |entries: &[ContextEntry], path| find(entries, path).hard_link.clone();
    let entries = sample.walk("");
    assert_eq!(link_of(&entries, "a"), None);
    assert_eq!(link_of(&entries, "b/one"), Some("a".into()));
    assert_eq!(link_of(&entries, "c"), Some("a".into()));
    assert_eq!(link_of(&entries, "alone"), None);
    let entries = sample.walk("a");
    assert_eq!(link_of(&entries, "b/one"), None);
    assert_eq!(link_of(&entries, "c"), Some("b/one".into()));
}

#[test]
fn names_may_hold_any_bytes() {
    let sample = Sample::new(&["line\nbreak"]);
    let name = OsStr::from_bytes(b"\xff\xfe");
    fs_err::write(sample.path(name), "x").unwrap();
    let entries = sample.walk("");
    assert_eq!(paths(&entries), [&b"line\nbreak"[..], b"\xff\xfe"]);
    let mut text = String::new();
    let mut file = sample.open().open_file(b"\xff\xfe", 1).unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "x");
}

#[test]
fn directories_of_what_is_taken_back_in_are_listed() {
    let sample = Sample::new(&["a/b/keep", "a/b/drop", "a/c/drop", "d/drop", "e"]);
    assert_eq!(paths(&sample.walk("*\n!a/b/keep")), ["a", "a/b", "a/b/keep"]);
    assert_eq!(paths(&sample.walk("*\n!a/b/none")), [""; 0]);
    assert_eq!(
        paths(&sample.walk("*\n!**/keep\n!e")),
        ["a", "a/b", "a/b/keep", "e"]
    );
    assert_eq!(
        paths(&sample.walk("**/drop")),
        ["a", "a/b", "a/b/keep", "a/c", "d", "e"]
    );
}

#[test]
fn only_what_was_asked_for_is_walked() {
    let sample = Sample::new(&["a/b/x", "a/b/y", "a/c", "d/e", "f"]);
    symlink("a", sample.path("link")).unwrap();
    let walk = |prefixes: &[&str]| -> Vec<String> {
        let entries = sample.walk_prefixes(prefixes, "");
        entries.iter().map(|entry| entry.path.to_string()).collect()
    };
    assert_eq!(walk(&["a/c"]), ["a", "a/c"]);
    assert_eq!(walk(&["/a/./b/", "f"]), ["a", "a/b", "a/b/x", "a/b/y", "f"]);
    assert_eq!(walk(&["a/b/x", "a"]), walk(&["a"]));
    assert_eq!(walk(&["link/b/x"]), ["link"]);
    assert_eq!(walk(&["none", "d/none"]), ["d"]);
    assert_eq!(walk(&["../../d"]), ["d", "d/e"]);
    assert_eq!(walk(&["/"]), walk(&["."]));
    assert_eq!(walk(&[""]).len(), 9);
    let entries = sample.walk_prefixes(&["a/b/x"], "a\n!a/b/x");
    assert_eq!(paths(&entries), ["a", "a/b", "a/b/x"]);
    assert_eq!(paths(&sample.walk_prefixes(&["a/c"], "a")), [""; 0]);
}

/// Root may read everything, so that as root there is nothing to see.
#[test]
fn only_wanted_directories_must_be_readable() {
    let sample = Sample::new(&["secret/x", "open", "closed-file"]);
    for path in ["secret", "closed-file"] {
        fs_err::set_permissions(sample.path(path), PermissionsExt::from_mode(0o000)).unwrap();
    }
    let is_root = fs_err::read_dir(sample.path("secret")).is_ok();
    assert_eq!(paths(&sample.walk("secret")), ["closed-file", "open"]);
    assert_eq!(
        paths(&sample.walk("secret\n!secret/none")),
        ["closed-file", "open"]
    );
    if !is_root {
        let error = sample.open().walk(&Ignore::none()).unwrap_err();
        assert!(error.to_string().contains("`secret`"), "{error}");
        let error = sample.open().open_file(b"closed-file", 11).unwrap_err();
        assert!(error.to_string().contains("`closed-file`"), "{error}");
    }
    fs_err::set_permissions(sample.path("secret"), PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn links_lead_nowhere() {
    let outside = Sample::new(&["d/secret"]);
    let sample = Sample::new(&["d/secret", "file"]);
    let context = sample.open();
    let entries = context.walk(&Ignore::none()).unwrap();
    assert_eq!(paths(&entries), ["d", "d/secret", "file"]);

    fs_err::rename(sample.path("d"), sample.path("old")).unwrap();
    symlink(outside.path("d"), sample.path("d")).unwrap();
    fs_err::remove_file(sample.path("file")).unwrap();
    symlink("old/secret", sample.path("file")).unwrap();
    let through = format!(
        "../{}/d/secret",
        outside.directory.path().file_name().unwrap().display()
    );
    for path in ["d/secret", "file", "old", &through, "/etc/passwd"] {
        let error = context.open_file(path.as_bytes(), 8).unwrap_err();
        assert!(
            matches!(error, ContextError::NotAFile { .. }),
            "{path}: {error:?}"
        );
    }
    let entries = context.walk_prefixes(&["d/secret"], &Ignore::none()).unwrap();
    assert_eq!(paths(&entries), ["d"]);
}

#[test]
fn a_pipe_in_the_place_of_a_file_does_not_block() {
    let sample = Sample::new(&[]);
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, sample.path("pipe"), mode).unwrap();
    let error = sample.open().open_file(b"pipe", 0).unwrap_err();
    assert!(matches!(error, ContextError::NotAFile { .. }));
}

#[test]
fn a_file_that_changes_is_named() {
    let sample = Sample::new(&["file"]);
    let context = sample.open();
    let error = context.open_file(b"file", 3).unwrap_err().to_string();
    let expected = "`file` of the build context changed while it was read: expected 3 bytes, found 4";
    assert_eq!(error, expected);

    let read = |change: &dyn Fn()| -> io::Result<u64> {
        let mut file = context.open_file(b"file", 4).unwrap();
        change();
        io::copy(&mut file, &mut io::sink())
    };
    assert_eq!(read(&|| ()).unwrap(), 4);
    let shrink = || fs_err::write(sample.path("file"), "ab").unwrap();
    assert!(
        read(&shrink)
            .unwrap_err()
            .to_string()
            .ends_with("expected 4 bytes, found 2")
    );
    fs_err::write(sample.path("file"), "abcd").unwrap();
    let grow = || {
        let mut file = fs_err::OpenOptions::new()
            .append(true)
            .open(sample.path("file"))
            .unwrap();
        file.write_all(b"ef").unwrap();
    };
    assert!(
        read(&grow)
            .unwrap_err()
            .to_string()
            .ends_with("expected 4 bytes, found 6")
    );
}

#[test]
fn the_root_must_be_a_directory() {
    let sample = Sample::new(&["file"]);
    for path in ["file", "none"] {
        let path = sample.path(path);
        let error = DirectoryContext::open(&path).unwrap_err().to_string();
        let expected = format!("the build context `{}` cannot be opened", path.display());
        assert_eq!(error, expected);
    }
    assert!(sample.open().path().is_dir());
}
