use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use serde::Serialize;

/// A directory that onlay works in.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) writable: bool,
    /// Whether programs can be executed there, as RUN lines need it of the temporary directory.
    pub(super) executable: bool,
    /// Free for this user, in bytes; none if that cannot be found out.
    pub(super) free: Option<u64>,
}

/// Looks at a directory; one that is yet to be made is judged by the first above it that is there.
pub(super) fn look(path: &Path) -> Place {
    let existing = path.ancestors().find(|above| above.is_dir()).unwrap_or(path);
    let found = statvfs(existing).ok();
    let forbids = |flag: StatVfsMountFlags| found.as_ref().is_some_and(|found| found.f_flag.contains(flag));
    Place {
        path: path.to_owned(),
        writable: tempfile::tempfile_in(existing).is_ok(),
        executable: !forbids(StatVfsMountFlags::NOEXEC),
        free: found
            .as_ref()
            .map(|found| found.f_bavail.saturating_mul(found.f_frsize)),
    }
}
