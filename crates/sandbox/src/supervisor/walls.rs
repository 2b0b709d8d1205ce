//! What a command must not do, whoever it is.

use landlock::{Ruleset, RulesetAttr, RulesetCreatedAttr, Scope};
use nix::errno::Errno;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use super::{Refused, errno_of, filter, refused};
use crate::Network;

/// Which walls stand around a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walls {
    /// Its namespaces.
    Namespaces,
    /// No `chroot` of its own, and no signal to others.
    Chroot,
    /// A filter, which is in place already.
    Ptrace,
}

/// What Docker gives to containers, and BuildKit to RUN lines (dockerfile.md 1.10: `a80425fb`).
pub(crate) const DOCKERS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::AUDIT_WRITE)
    .union(CapabilitySet::SETFCAP);

/// Takes the capabilities away that the command must never have, set-id programs included.
pub(crate) fn limit_capabilities(walls: Walls) -> Result<(), Refused> {
    let kept = match walls {
        Walls::Namespaces => DOCKERS,
        Walls::Chroot => DOCKERS.difference(CapabilitySet::SYS_CHROOT),
        // It has none.
        Walls::Ptrace => return Ok(()),
    };
    // The kernel has fewer than there are bits, and says so.
    for capability in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(refused("dropping capabilities")(errno_of(&error.into()))),
        }
    }
    Ok(())
}

/// Raises the walls that the last process before the command raises itself.
///
/// Signals beyond the command's own processes need Landlock's sixth version (Linux 6.12), which needs no new privileges
/// where the caller may not administer the system: set-id programs gain nothing then. Where the kernel has none, a
/// command of root's can signal what else runs as root in the same container.
pub(crate) fn raise(walls: Walls, network: Network) -> Result<(), Refused> {
    if walls != Walls::Chroot {
        return Ok(());
    }
    let ruleset = Ruleset::default()
        .scope(Scope::Signal | Scope::AbstractUnixSocket)
        .and_then(Ruleset::create)
        .map_err(|_| refused("landlock_create_ruleset")(Errno::EINVAL))?;
    ruleset
        .no_new_privs(true)
        .restrict_self()
        .map_err(|_| refused("landlock_restrict_self")(Errno::EPERM))?;
    if network == Network::None {
        nix::sys::prctl::set_no_new_privs().map_err(refused("prctl(PR_SET_NO_NEW_PRIVS)"))?;
        filter::install(&mut filter::program(&[filter::NO_NETWORK], filter::LAST_OF_ALL))?;
    }
    Ok(())
}

/// Which version of Landlock the kernel has; none if it has none, or if it is switched off (landlock(7)).
pub fn landlock_version() -> Option<u32> {
    const VERSION: nix::libc::c_uint = 1;
    // SAFETY: with this flag nothing is read.
    #[expect(unsafe_code, reason = "the crate for Landlock does not tell")]
    let version = unsafe {
        nix::libc::syscall(
            nix::libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0,
            VERSION,
        )
    };
    u32::try_from(version).ok()
}
