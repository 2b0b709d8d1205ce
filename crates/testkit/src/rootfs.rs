//! The pieces that the root filesystems of all test images have in common.

use crate::entry::{Entry, file, symlink};
use fs_err as fs;
use std::path::Path;

/// The busybox applets that the images offer: what an interpreted RUN line may use, and what tests look with.
const APPLETS: &[&str] = &[
    "[",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cp",
    "echo",
    "false",
    "find",
    "grep",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "printf",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "stat",
    "tar",
    "test",
    "touch",
    "true",
];

/// What stands in for the program where nothing is executed.
const BUSYBOX_STAND_IN: &str = "stands in for busybox: nothing is executed in this image\n";

pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
";

pub(crate) const GROUP: &str = "\
root:x:0:
nogroup:x:65534:
";

pub(crate) const PASSWD_WITH_APP: &str = "\
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
";

pub(crate) const GROUP_WITH_APP: &str = "\
root:x:0:
app:x:1001:
nogroup:x:65534:
";

pub(crate) const OS_RELEASE: &str = "\
ID=onlay-base
NAME=\"onlay test base\"
VERSION_ID=1.0
";

/// Makes `<directory>/busybox` and a link to it for every applet.
///
/// With a path the real, static program (Debian: `busybox-static`) is put in, and the image can be run.
pub(crate) fn busybox(directory: &str, program: Option<&Path>) -> Vec<Entry> {
    let program = program.map_or_else(|| BUSYBOX_STAND_IN.into(), read_busybox);
    let mut entries = vec![file(&format!("{directory}/busybox"), program).with_mode(0o755)];
    entries.extend(
        APPLETS
            .iter()
            .map(|applet| symlink(&format!("{directory}/{applet}"), "busybox")),
    );
    entries
}

fn read_busybox(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{error}; Debian package: busybox-static"))
}
