//! Directories for root filesystems, and what builds that were killed have left of theirs.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

/// What the directories are called, before letters of their own.
const PREFIX: &str = "onlay-root-";

/// The file in each that is locked as long as somebody uses it.
const LOCK: &str = "lock";

/// A directory that goes when it is dropped, and that the next build removes if that did not happen.
#[derive(Debug)]
pub(crate) struct Room {
    directory: TempDir,
    _lock: File,
}

impl Room {
    /// Makes a directory in a place, and removes those there whose user was killed.
    pub(crate) fn new(place: &Path) -> io::Result<Self> {
        remove_stale(place);
        let directory = TempDir::with_prefix_in(PREFIX, place)?;
        let lock = fs_err::File::create_new(directory.path().join(LOCK))?.into_file();
        lock.lock()?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes what nobody uses any more. What cannot be removed stays: it is in nobody's way.
fn remove_stale(place: &Path) {
    let entries = fs_err::read_dir(place).into_iter().flatten().flatten();
    let candidates = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for path in candidates.map(|entry| entry.path()) {
        if is_stale(&path) {
            _ = fs_err::remove_dir_all(&path);
        }
    }
}

/// Whether a directory is this user's, and its lock free. One without a lock is about to get it.
fn is_stale(directory: &Path) -> bool {
    let own = |path: &Path| {
        let found = fs_err::symlink_metadata(path).ok()?;
        (found.uid() == rustix::process::geteuid().as_raw()).then_some(found)
    };
    let lock = directory.join(LOCK);
    let is_ours =
        own(directory).is_some_and(|found| found.is_dir()) && own(&lock).is_some_and(|found| found.is_file());
    is_ours && fs_err::File::open(&lock).is_ok_and(|lock| lock.into_file().try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_build_has_left_goes_and_what_is_used_stays() {
        let place = TempDir::new().unwrap();
        let used = Room::new(place.path()).unwrap();
        let left = place.path().join("onlay-root-left");
        fs_err::create_dir(&left).unwrap();
        fs_err::write(left.join(LOCK), "").unwrap();
        let begun = place.path().join("onlay-root-begun");
        fs_err::create_dir(&begun).unwrap();
        let link = place.path().join("onlay-root-link");
        std::os::unix::fs::symlink(&begun, &link).unwrap();
        let other = Room::new(place.path()).unwrap();
        assert!(used.path().is_dir() && other.path().is_dir() && begun.is_dir() && link.is_symlink());
        assert!(!left.exists());
        let path = used.path().to_owned();
        drop(used);
        assert!(!path.exists());
    }
}
