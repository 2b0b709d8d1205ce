use tempfile::TempDir;

use super::*;
use crate::git_source::GitSource;

const TIME: i64 = 1_769_846_400;

/// A repository with two commits: the older is tagged `v1`, with a message, and is the branch `old`.
struct Upstream {
    directory: TempDir,
}

impl Upstream {
    fn new() -> Self {
        Upstream::with_format("sha1")
    }

    fn with_format(format: &str) -> Self {
        let upstream = Upstream {
            directory: tempfile::tempdir().unwrap(),
        };
        upstream.git(&["init", "-q", "-b", "trunk", &format!("--object-format={format}")]);
        upstream.commit("sub/file", "first");
        upstream.git(&["tag", "-a", "v1", "-m", "first"]);
        upstream.git(&["branch", "old"]);
        upstream.commit("sub/file", "second");
        upstream
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .current_dir(self.directory.path())
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example",
                "-c",
                "protocol.file.allow=always",
            ])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_COMMITTER_DATE", format!("{TIME} +0200"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", text]);
    }

    fn source(&self, reference: &str) -> GitSource {
        GitSource {
            reference: Some(reference.to_owned()).filter(|reference| !reference.is_empty()),
            ..GitSource::on_this_machine(self.directory.path())
        }
    }
}

fn check_out(source: &GitSource) -> Result<(TempDir, Checkout), CheckoutError> {
    let into = tempfile::tempdir().unwrap();
    let checkout = source.check_out(&into.path().join("tree"), &CheckoutOptions::default())?;
    Ok((into, checkout))
}

#[track_caller]
fn check(source: &GitSource, file: &str, expected: &str) -> Checkout {
    let (_into, checkout) = check_out(source).unwrap();
    assert_eq!(
        fs_err::read_to_string(checkout.root.join(file)).unwrap(),
        expected
    );
    assert!(!checkout.root.join(".git").exists());
    checkout
}

#[test]
fn references() {
    let upstream = Upstream::new();
    let old = upstream.git(&["rev-parse", "old"]);
    let checkout = check(&upstream.source(""), "sub/file", "second");
    assert_eq!(checkout.commit, upstream.git(&["rev-parse", "HEAD"]));
    assert_eq!(checkout.commit_time, TIME);
    for reference in ["old", "v1", "refs/heads/old", "heads/old", "refs/tags/v1", &old] {
        assert_eq!(
            check(&upstream.source(reference), "sub/file", "first").commit,
            old
        );
    }
    upstream.git(&["branch", "v1", "trunk"]);
    check(&upstream.source("v1"), "sub/file", "second");
    let unreachable = upstream.git(&["commit-tree", "-m", "lone", "HEAD^{tree}"]);
    assert!(check_out(&upstream.source(&unreachable)).is_ok());
}

#[test]
fn the_newer_format_of_repositories() {
    let upstream = Upstream::with_format("sha256");
    assert_eq!(
        check(&upstream.source("old"), "sub/file", "first").commit.len(),
        64
    );
    let commit = upstream.git(&["rev-parse", "trunk"]);
    check(&upstream.source(&commit), "sub/file", "second");
}

#[test]
fn a_subdirectory_is_the_root() {
    let upstream = Upstream::new();
    std::os::unix::fs::symlink("sub", upstream.directory.path().join("link")).unwrap();
    upstream.commit("other", "x");
    let within = |subdirectory: &str| GitSource {
        subdirectory: Some(subdirectory.to_owned()),
        ..upstream.source("")
    };
    check(&within("sub"), "file", "second");
    check(&within("../sub/../sub"), "file", "second");
    for path in ["none", "link", "other", ".git"] {
        let error = check_out(&within(path)).unwrap_err();
        assert!(
            matches!(error, CheckoutError::Subdirectory { .. }),
            "{path}: {error:?}"
        );
    }
}

#[test]
fn modes_and_times_are_those_of_the_commit() {
    let upstream = Upstream::new();
    let script = upstream.directory.path().join("script");
    fs_err::write(&script, "#!").unwrap();
    fs_err::set_permissions(&script, PermissionsExt::from_mode(0o700)).unwrap();
    upstream.commit("plain", "x");
    let (_into, checkout) = check_out(&upstream.source("")).unwrap();
    for (path, mode) in [
        ("script", 0o755),
        ("plain", 0o644),
        ("sub", 0o755),
        ("sub/file", 0o644),
    ] {
        let metadata = fs_err::metadata(checkout.root.join(path)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
        assert_eq!(std::os::unix::fs::MetadataExt::mtime(&metadata), TIME, "{path}");
    }
}

#[test]
fn the_git_directory_stays_when_asked() {
    let upstream = Upstream::new();
    let into = tempfile::tempdir().unwrap();
    let options = CheckoutOptions {
        keep_git_dir: Some(true),
        checksum: None,
    };
    upstream.source("trunk").check_out(into.path(), &options).unwrap();
    assert!(into.path().join(".git/objects").is_dir());
    assert!(!into.path().join(".git/FETCH_HEAD").exists());
    let asked = GitSource {
        keep_git_dir: Some(true),
        ..upstream.source("")
    };
    let (_into, checkout) = check_out(&asked).unwrap();
    assert!(checkout.root.join(".git").is_dir());
}

#[test]
fn submodules() {
    let inner = Upstream::new();
    let upstream = Upstream::new();
    let address = format!("file://{}", inner.directory.path().display());
    upstream.git(&["submodule", "--quiet", "add", &address, "module"]);
    upstream.commit("x", "x");
    let (_into, checkout) = check_out(&upstream.source("")).unwrap();
    let file = checkout.root.join("module/sub/file");
    assert_eq!(fs_err::read_to_string(file).unwrap(), "second");
    assert!(!checkout.root.join("module/.git").exists());
    let without = GitSource {
        submodules: false,
        ..upstream.source("")
    };
    let (_into, checkout) = check_out(&without).unwrap();
    assert_eq!(fs_err::read_dir(checkout.root.join("module")).unwrap().count(), 0);
}

#[test]
fn checksums() {
    let upstream = Upstream::new();
    let commit = upstream.git(&["rev-parse", "old"]);
    let tag = upstream.git(&["rev-parse", "v1"]);
    let with = |checksum: &str| {
        let into = tempfile::tempdir().unwrap();
        let options = CheckoutOptions {
            checksum: Some(checksum.to_owned()),
            keep_git_dir: None,
        };
        upstream.source("v1").check_out(into.path(), &options)
    };
    for checksum in [&commit, &tag, &commit[..7], &commit.to_uppercase()] {
        assert_eq!(with(checksum).unwrap().commit, commit);
    }
    let error = with("0000000").unwrap_err().to_string();
    assert_eq!(
        error,
        format!("expected a commit that starts with `0000000`, found {commit}")
    );
    for checksum in ["", "sha256:0"] {
        assert!(matches!(
            with(checksum).unwrap_err(),
            CheckoutError::BadChecksum { .. }
        ));
    }
    let by_commit = |checksum: Option<String>| GitSource {
        checksum,
        fetch_by_commit: true,
        ..upstream.source("trunk")
    };
    check(&by_commit(Some(commit)), "sub/file", "first");
    assert!(matches!(
        check_out(&by_commit(None)),
        Err(CheckoutError::NoCommit)
    ));
}

#[test]
fn what_is_not_there() {
    let upstream = Upstream::new();
    let error = check_out(&upstream.source("none")).unwrap_err().to_string();
    assert!(
        error.ends_with("has no branch or tag `none`; a commit must be given in full"),
        "{error}"
    );
    let error = check_out(&GitSource::on_this_machine("/none".as_ref())).unwrap_err();
    assert!(
        matches!(
            error,
            CheckoutError::Git {
                action: "look into",
                ..
            }
        ),
        "{error:?}"
    );
    let commit = "0".repeat(40);
    let error = check_out(&upstream.source(&commit)).unwrap_err();
    assert!(matches!(error, CheckoutError::CommitAbsent { .. }), "{error:?}");
}

/// Neither does a repository run anything here, nor does it reach what is on this machine.
#[test]
fn only_known_protocols() {
    let upstream = Upstream::new();
    for remote in ["file:///none", "ext::true"] {
        let source = GitSource {
            remote: remote.to_owned(),
            protocols: crate::git_command::Protocols::Remote,
            ..upstream.source("")
        };
        let error = check_out(&source).unwrap_err().to_string();
        assert!(error.contains("not allowed"), "{error}");
    }
}
