//! Which system calls are caught on x86_64, and what becomes of them.

use nix::libc;

use super::super::filter::{NO_NETWORK, Rule, Test};

/// The last number that is known. What came later answers `ENOSYS`, as on an older kernel: programs cope with that, and
/// nothing that names a path slips by.
pub(super) const LAST: u32 = 462;

const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// System calls that name paths, owners, modes or ids.
pub(super) const SERVED: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_fstat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_uname,
    libc::SYS_truncate,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_creat,
    libc::SYS_link,
    libc::SYS_unlink,
    libc::SYS_symlink,
    libc::SYS_readlink,
    libc::SYS_chmod,
    libc::SYS_fchmod,
    libc::SYS_chown,
    libc::SYS_fchown,
    libc::SYS_lchown,
    libc::SYS_umask,
    libc::SYS_getuid,
    libc::SYS_getgid,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_geteuid,
    libc::SYS_getegid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_getgroups,
    libc::SYS_setgroups,
    libc::SYS_setresuid,
    libc::SYS_getresuid,
    libc::SYS_setresgid,
    libc::SYS_getresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_utime,
    libc::SYS_mknod,
    libc::SYS_statfs,
    libc::SYS_chroot,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_utimes,
    libc::SYS_inotify_add_watch,
    libc::SYS_openat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_fchownat,
    libc::SYS_futimesat,
    libc::SYS_newfstatat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    libc::SYS_fchmodat,
    libc::SYS_faccessat,
    libc::SYS_utimensat,
    libc::SYS_renameat2,
    libc::SYS_statx,
    libc::SYS_openat2,
    libc::SYS_faccessat2,
    libc::SYS_fchmodat2,
];

/// Signals and what looks into other processes; served only where no other wall keeps them inside.
pub(super) const SIGNALS: &[i64] = &[
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_open,
];

/// The same; refused where no other wall keeps them inside.
pub(super) const LOOKS: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
];

/// What no command in a container may do either: mounts, the machine's settings, other programs' keys.
const REFUSED: &[i64] = &[
    libc::SYS_pivot_root,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_clock_settime,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_setns,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pidfd_getfd,
    libc::SYS_vhangup,
];

/// What is answered as if the kernel did not have it. The first three act where no filter sees it.
const ABSENT: &[i64] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Its flags are in memory; every C library falls back to clone.
    libc::SYS_clone3,
    libc::SYS_uselib,
];

/// All rules, for a command that is kept from the network or not, and from other processes by something else or not.
pub(super) fn rules(has_network: bool, has_scopes: bool) -> Vec<(i64, Rule)> {
    let mut rules: Vec<(i64, Rule)> = Vec::new();
    let mut add = |calls: &[i64], rule: Rule| rules.extend(calls.iter().map(|call| (*call, rule)));
    add(SERVED, Rule::Serve);
    add(REFUSED, Rule::Fail(libc::EPERM));
    add(ABSENT, Rule::Fail(libc::ENOSYS));
    add(&[libc::SYS_name_to_handle_at], Rule::Fail(libc::EOPNOTSUPP));
    add(
        &[libc::SYS_clone, libc::SYS_unshare],
        Rule::FailIf(0, Test::AnyOf(NAMESPACES), libc::EPERM),
    );
    // Datagrams to a named socket; the address is the fifth argument, and never in the low 4 GiB of a 64-bit process
    // alone, so any bit counts.
    add(&[libc::SYS_sendto], Rule::ServeIf(5, Test::AnyOf(u32::MAX)));
    add(&[libc::SYS_prlimit64], Rule::Serve);
    add(
        &[libc::SYS_getrlimit, libc::SYS_setrlimit],
        Rule::ServeIf(0, Test::Is(libc::RLIMIT_RTTIME)),
    );
    for option in super::ids::SERVED_OPTIONS {
        add(&[libc::SYS_prctl], Rule::ServeIf(0, Test::Is(*option)));
    }
    if !has_scopes {
        add(SIGNALS, Rule::Serve);
        add(LOOKS, Rule::Fail(libc::EPERM));
    }
    if !has_network {
        rules.push(NO_NETWORK);
    }
    rules
}
