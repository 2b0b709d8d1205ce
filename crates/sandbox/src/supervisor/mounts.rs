//! The file systems that a command finds, as BuildKit has them.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};
use rustix::fs::{CWD, FileType, Mode, makedev, mkdir, mknodat, symlink};

use super::{Refused, errno_of, refused};
use crate::below::{open_place_as_inside, open_root};
use crate::command::{MountKind, MountPoint, ScriptFile};
use crate::stubs::{DEVICE_LINKS, DEVICES};
use crate::{Command, Network};

const NONE: Option<&str> = None;

/// What of `/proc` and `/sys` tells of the machine or changes it: hidden, and read-only (runtime-spec's defaults, as
/// Docker and BuildKit have them).
const HIDDEN: [&str; 8] = [
    "proc/acpi",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/timer_list",
    "proc/sched_debug",
    "proc/scsi",
    "sys/firmware",
];
const READ_ONLY: [&str; 5] = [
    "proc/bus",
    "proc/fs",
    "proc/irq",
    "proc/sys",
    "proc/sysrq-trigger",
];

/// Lets no mount out of the namespace.
pub(super) fn make_private() -> Result<(), Refused> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).map_err(refused("mount(MS_PRIVATE)"))
}

/// Makes a directory the root, with everything mounted in it, and nothing else in reach.
pub(super) fn prepare(root: &Path, files: &[(String, PathBuf)], command: &Command) -> Result<(), Refused> {
    make_private()?;
    mount(Some(root), root, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
        .map_err(refused("mounting the root filesystem"))?;
    let inside = open_root(root).map_err(|error| refused("opening the root filesystem")(errno_of(&error)))?;
    kernel_file_systems(&inside, command.network)?;
    devices(&inside)?;
    if let Some(script) = &command.script {
        place_for(&inside, script)?;
    }
    for (path, source) in files {
        // An image without `/etc`, or with a link to nowhere in it, goes without.
        if let Ok(place) = open_place_as_inside(inside.as_fd(), path) {
            bind(source, &place)?;
        }
    }
    hide(&inside)?;
    for point in &command.mounts {
        mount_point(&inside, point)?;
    }
    enter(root)
}

/// A place for a script in the `/dev` that was mounted.
fn place_for(root: &OwnedFd, script: &ScriptFile) -> Result<(), Refused> {
    let step = || refused("making a place for the script");
    let dev = place(root, "dev")?;
    let directory = format!("{}/pipes", target(&dev));
    mkdir(directory.as_str(), Mode::from_raw_mode(0o755)).map_err(|error| step()(errno_of(&error.into())))?;
    let path = format!("{directory}/{}", script.name);
    mknodat(CWD, path, FileType::RegularFile, Mode::from_raw_mode(0o755), 0)
        .map_err(|error| step()(errno_of(&error.into())))
}

/// Makes a mount of a place, so that it cannot be removed, nor what it lies in.
fn mount_point(root: &OwnedFd, point: &MountPoint) -> Result<(), Refused> {
    let step = || refused("mounting what the line mounts");
    let path = point.path.trim_start_matches('/');
    let place = self::place(root, path)?;
    let at = target(&place);
    if let MountKind::Memory(size) = point.kind {
        let size = size.map_or_else(String::new, |size| format!("size={size}"));
        let flags = MsFlags::MS_NOSUID;
        return mount(
            Some("tmpfs"),
            at.as_str(),
            Some("tmpfs"),
            flags,
            Some(size.as_str()),
        )
        .map_err(step());
    }
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(at.as_str()), at.as_str(), NONE, flags, NONE).map_err(step())?;
    if point.kind == MountKind::ReadOnly {
        // As above: at the mount, not at what it covers.
        let mounted = self::place(root, path)?;
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(NONE, target(&mounted).as_str(), NONE, flags, NONE).map_err(step())?;
    }
    Ok(())
}

fn kernel_file_systems(root: &OwnedFd, network: Network) -> Result<(), Refused> {
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    let place = place(root, "proc")?;
    mount(Some("proc"), target(&place).as_str(), Some("proc"), safe, NONE)
        .map_err(refused("mounting /proc"))?;
    let place = self::place(root, "sys")?;
    let mounted = mount(
        Some("sysfs"),
        target(&place).as_str(),
        Some("sysfs"),
        safe | MsFlags::MS_RDONLY,
        NONE,
    );
    match (mounted, network) {
        // The machine's own view is not for everybody who has only its network.
        (Err(nix::errno::Errno::EPERM), Network::Host) => Ok(()),
        (mounted, _) => mounted.map_err(refused("mounting /sys")),
    }
}

fn devices(root: &OwnedFd) -> Result<(), Refused> {
    let place = self::place(root, "dev")?;
    let options = Some("mode=755,size=65536k");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_STRICTATIME;
    mount(
        Some("tmpfs"),
        target(&place).as_str(),
        Some("tmpfs"),
        flags,
        options,
    )
    .map_err(refused("mounting /dev"))?;
    let dev = self::place(root, "dev")?;
    let path = |name: &str| format!("{}/{name}", target(&dev));
    let mode = Mode::from_raw_mode(0o666);
    for (name, major, minor) in DEVICES {
        mknodat(
            CWD,
            path(name),
            FileType::CharacterDevice,
            mode,
            makedev(major, minor),
        )
        .and_then(|()| rustix::fs::chmod(path(name), mode))
        .map_err(|error| refused("making devices")(errno_of(&error.into())))?;
    }
    let links = DEVICE_LINKS
        .into_iter()
        .chain([("ptmx", "pts/ptmx"), ("core", "/proc/kcore")]);
    for (name, to) in links {
        symlink(to, path(name)).map_err(|error| refused("making devices")(errno_of(&error.into())))?;
    }
    let mounts = [
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ("shm", "tmpfs", "mode=1777,size=65536k"),
        ("mqueue", "mqueue", ""),
    ];
    for (name, kind, options) in mounts {
        mkdir(path(name), Mode::from_raw_mode(0o755))
            .map_err(|error| refused("making devices")(errno_of(&error.into())))?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
        mount(Some(kind), path(name).as_str(), Some(kind), flags, Some(options))
            .map_err(refused("mounting in /dev"))?;
    }
    Ok(())
}

/// Shows a file of the machine, which the command cannot change.
fn bind(source: &Path, place: &OwnedFd) -> Result<(), Refused> {
    let step = "mounting a file of the machine";
    mount(Some(source), target(place).as_str(), NONE, MsFlags::MS_BIND, NONE).map_err(refused(step))?;
    Ok(())
}

fn hide(root: &OwnedFd) -> Result<(), Refused> {
    for path in HIDDEN {
        let Ok(place) = open_place_as_inside(root.as_fd(), path) else {
            continue;
        };
        let stat = rustix::fs::fstat(&place).map_err(|error| refused("hiding")(errno_of(&error.into())))?;
        let mounted = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let options = Some("size=0k");
                mount(
                    Some("tmpfs"),
                    target(&place).as_str(),
                    Some("tmpfs"),
                    MsFlags::MS_RDONLY,
                    options,
                )
            }
            _ => mount(
                Some("/dev/null"),
                target(&place).as_str(),
                NONE,
                MsFlags::MS_BIND,
                NONE,
            ),
        };
        mounted.map_err(refused("hiding a part of /proc"))?;
    }
    for path in READ_ONLY {
        let Ok(place) = open_place_as_inside(root.as_fd(), path) else {
            continue;
        };
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        let at = target(&place);
        mount(Some(at.as_str()), at.as_str(), NONE, flags, NONE)
            .map_err(refused("protecting a part of /proc"))?;
        // The flags of a bind mount are set by a second call, and at the mount, not at what it covers.
        let Ok(mounted) = open_place_as_inside(root.as_fd(), path) else {
            continue;
        };
        let flags = MsFlags::MS_BIND
            | MsFlags::MS_REMOUNT
            | MsFlags::MS_RDONLY
            | MsFlags::MS_NOSUID
            | MsFlags::MS_NOEXEC
            | MsFlags::MS_NODEV;
        mount(NONE, target(&mounted).as_str(), NONE, flags, NONE)
            .map_err(refused("protecting a part of /proc"))?;
    }
    Ok(())
}

/// Leaves the machine's file system for good.
fn enter(root: &Path) -> Result<(), Refused> {
    chdir(root).map_err(refused("chdir to the root filesystem"))?;
    // The old root comes to lie on the new one, and goes (pivot_root(2), NOTES).
    pivot_root(".", ".").map_err(refused("pivot_root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(refused("unmounting the machine's files"))?;
    chdir("/").map_err(refused("chdir"))
}

fn place(root: &OwnedFd, path: &str) -> Result<OwnedFd, Refused> {
    open_place_as_inside(root.as_fd(), path)
        .map_err(|error| refused("opening a place to mount on")(errno_of(&error)))
}

/// A descriptor as a path, so that no link on the way can lead elsewhere.
fn target(place: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", place.as_raw_fd())
}

/// Brings the loopback up in a network of one's own (netdevice(7)).
pub(super) fn raise_loopback() -> Result<(), Refused> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let step = "bringing the loopback up";
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .map_err(refused(step))?;
    // SAFETY: all of it is numbers, for which zero is a value.
    #[expect(unsafe_code, reason = "a C structure without pointers")]
    let mut request: nix::libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as _;
    request.ifr_name[1] = b'o' as _;
    request.ifr_ifru.ifru_flags = nix::libc::IFF_UP as _;
    // SAFETY: the kernel reads the structure, which is the one that this request takes, and keeps nothing of it.
    #[expect(unsafe_code, reason = "there is no other way without netlink")]
    let done = unsafe { nix::libc::ioctl(socket.as_raw_fd(), nix::libc::SIOCSIFFLAGS, &raw const request) };
    nix::errno::Errno::result(done).map(drop).map_err(refused(step))
}
