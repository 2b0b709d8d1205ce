//! A cgroup with a limit on memory, as containers have one (cgroups(7); both versions of it).

use std::path::{Path, PathBuf};
use std::process::Command;

/// Removed when dropped; what was started in it has to have ended by then.
pub(crate) struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// What is started in it and grows beyond `limit` bytes, caches and network buffers included, is killed.
    pub(crate) fn new(limit: u64) -> Self {
        // Version 1 has a hierarchy for each controller.
        let first = Path::new("/sys/fs/cgroup/memory");
        let (root, file) = if first.is_dir() {
            (first, "memory.limit_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup"), "memory.max")
        };
        let group = root.join(format!("onlay-test-{}", std::process::id()));
        std::fs::create_dir(&group).expect("root may make cgroups");
        let group = Self(group);
        std::fs::write(group.0.join(file), limit.to_string()).expect("the group has a limit on memory");
        group
    }

    /// The same command, in the group from its first instruction on.
    pub(crate) fn wrap(&self, command: &Command) -> Command {
        let mut wrapped = Command::new("/bin/sh");
        wrapped.args(["-c", r#"echo $$ > "$0" && exec "$@""#]);
        wrapped
            .arg(self.0.join("cgroup.procs"))
            .arg(command.get_program());
        wrapped.args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            wrapped.envs(value.map(|value| (name, value)));
        }
        wrapped
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // What was in it is reaped; the kernel may take a moment to see that.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
