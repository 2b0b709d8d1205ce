use rustix::process::{Resource, getegid, geteuid, getrlimit};
use rustix::thread::CapabilitySet;
use serde::Serialize;

/// What the kernel says of this machine and of this process.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// Kernel and architecture: `6.12.8 x86_64`.
    pub(super) kernel: String,
    pub(super) user: u32,
    pub(super) group: u32,
    /// Effective capabilities, without `CAP_`.
    pub(super) capabilities: Vec<String>,
    /// Whether programs can gain privileges no more.
    pub(super) no_new_privileges: bool,
    /// Whether a seccomp filter is in force.
    pub(super) seccomp: bool,
    /// How many user namespaces there may be; none if the kernel does not say.
    pub(super) user_namespaces: Option<u64>,
    /// Landlock's version; none if the kernel has none.
    pub(super) landlock: Option<u32>,
    /// Processors that this process may use.
    pub(super) processors: usize,
    /// The most memory that this process may have, in bytes; none if there is no limit but the machine's.
    pub(super) memory_limit: Option<u64>,
    /// How many files it may have open at once.
    pub(super) open_files: Option<u64>,
}

impl Machine {
    /// Looks. What cannot be read is left out.
    pub(super) fn look() -> Self {
        let names = rustix::system::uname();
        let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
        let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
        };
        let mask = field("CapEff:").and_then(|mask| u64::from_str_radix(mask, 16).ok());
        let capabilities = CapabilitySet::from_bits_retain(mask.unwrap_or_default());
        Self {
            kernel: format!("{} {}", text(names.release()), text(names.machine())),
            user: geteuid().as_raw(),
            group: getegid().as_raw(),
            capabilities: capabilities
                .iter_names()
                .map(|(name, _)| name.to_owned())
                .collect(),
            no_new_privileges: field("NoNewPrivs:") == Some("1"),
            seccomp: field("Seccomp:").is_some_and(|mode| mode != "0"),
            user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            landlock: onlay_sandbox::landlock_version(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_limit: memory_limit(),
            open_files: getrlimit(Resource::Nofile).current,
        }
    }
}

/// The limit of this process's control group, as a container sees it: of version 2, else of version 1.
fn memory_limit() -> Option<u64> {
    /// What version 1 says instead of "none": the largest number of whole pages.
    const NO_LIMIT: u64 = 1 << 62;
    let limit =
        number("/sys/fs/cgroup/memory.max").or_else(|| number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    limit.filter(|limit| *limit < NO_LIMIT)
}

fn number(path: &str) -> Option<u64> {
    fs_err::read_to_string(path).ok()?.trim().parse().ok()
}
