//! Seccomp filters: programs of the classic BPF machine (kernel documentation, seccomp_filter.rst).

use nix::errno::Errno;
use nix::libc::{self, sock_filter, sock_fprog};

use super::{Refused, refused};

/// What is done about a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The supervisor does it.
    Serve,
    /// The supervisor does it where one of the bits of an argument is set, or any of them.
    ServeIf(Argument, Test),
    /// It fails with this number.
    Fail(i32),
    /// It fails where one of the bits of an argument is set, or any of them.
    FailIf(Argument, Test, i32),
}

/// Which argument, from 0.
pub(crate) type Argument = u8;

/// What is asked of the low half of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// Any of these bits is set.
    AnyOf(u32),
    /// It is this.
    Is(u32),
    /// It is none of these two.
    Neither(u32, u32),
}

/// The last number before those of the x32 ABI, under which every call would have another one.
pub(crate) const LAST_OF_ALL: u32 = 0x3FFF_FFFF;

/// No sockets but local ones.
pub(crate) const NO_NETWORK: (i64, Rule) = (
    libc::SYS_socket,
    Rule::FailIf(
        0,
        Test::Neither(libc::AF_UNIX as u32, libc::AF_NETLINK as u32),
        libc::EAFNOSUPPORT,
    ),
);

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_AARCH64` of linux/audit.h.
const OWN_ARCHITECTURE: u32 = if cfg!(target_arch = "aarch64") {
    0xC000_00B7
} else {
    0xC000_003E
};

/// A filter of these rules. A number beyond the `last` that is known answers `ENOSYS`.
pub(crate) fn program(rules: &[(i64, Rule)], last: u32) -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(libc::BPF_JEQ, OWN_ARCHITECTURE, 1, 0),
        // Programs of 32 bits have other numbers.
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
        // The numbers of the x32 ABI are beyond it, too.
        jump(libc::BPF_JGT, last, 0, 1),
        fail(libc::ENOSYS),
    ];
    for (number, rule) in rules {
        let instructions = carry_out(*rule);
        let beyond = u8::try_from(instructions.len()).unwrap_or(u8::MAX);
        program.push(jump(libc::BPF_JEQ, *number as u32, 0, beyond));
        program.extend(instructions);
    }
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

/// What a rule comes to; the number is in the accumulator before and, unless it returned, afterwards.
fn carry_out(rule: Rule) -> Vec<sock_filter> {
    match rule {
        Rule::Serve => vec![serve()],
        Rule::Fail(errno) => vec![fail(errno)],
        Rule::ServeIf(argument, test) => conditional(argument, test, serve()),
        Rule::FailIf(argument, test, errno) => conditional(argument, test, fail(errno)),
    }
}

fn conditional(argument: u8, test: Test, then: sock_filter) -> Vec<sock_filter> {
    let mut program = vec![load(ARGUMENTS + 8 * u32::from(argument))];
    match test {
        Test::AnyOf(bits) => program.push(jump(libc::BPF_JSET, bits, 0, 1)),
        Test::Is(value) => program.push(jump(libc::BPF_JEQ, value, 0, 1)),
        Test::Neither(one, other) => {
            program.push(jump(libc::BPF_JEQ, one, 2, 0));
            program.push(jump(libc::BPF_JEQ, other, 1, 0));
        }
    }
    program.push(then);
    program.push(load(NUMBER));
    program
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

/// Compares; skips as many instructions if so, and if not.
fn jump(comparison: u32, with: u32, if_so: u8, if_not: u8) -> sock_filter {
    instruction(libc::BPF_JMP | comparison | libc::BPF_K, with, if_so, if_not)
}

fn give(action: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

fn serve() -> sock_filter {
    give(libc::SECCOMP_RET_USER_NOTIF)
}

fn fail(errno: i32) -> sock_filter {
    give(libc::SECCOMP_RET_ERRNO | errno as u32)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

/// Puts this process, which may gain no privileges any more, under a filter that serves nothing.
pub(crate) fn install(program: &mut [sock_filter]) -> Result<(), Refused> {
    install_with(program, &[0]).map(drop)
}

/// Puts this process, which may gain no privileges any more, under a filter; gives the number of the descriptor that the
/// caught calls come from.
pub(crate) fn install_listening(program: &mut [sock_filter]) -> Result<i32, Refused> {
    // A call that is being served is not interrupted by signals (Linux 5.19); older kernels start it anew.
    let killable = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    install_with(program, &[killable, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER])
}

/// Tries one set of flags after the other.
fn install_with(program: &mut [sock_filter], flags: &[libc::c_ulong]) -> Result<i32, Refused> {
    let step = "seccomp(SECCOMP_SET_MODE_FILTER)";
    let len = u16::try_from(program.len()).map_err(|_| refused(step)(Errno::E2BIG))?;
    let filter = sock_fprog {
        len,
        filter: program.as_mut_ptr(),
    };
    let mut refusal = Errno::EINVAL;
    for flags in flags {
        match set_filter(*flags, &filter) {
            Ok(listener) => return Ok(listener),
            Err(errno) => refusal = errno,
        }
    }
    Err(refused(step)(refusal))
}

fn set_filter(flags: libc::c_ulong, filter: &sock_fprog) -> Result<i32, Errno> {
    // SAFETY: the kernel reads the program, which outlives the call, and keeps a copy.
    #[expect(unsafe_code, reason = "there is no safe form of seccomp(2)")]
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::from_ref(filter),
        )
    };
    Errno::result(listener).map(|number| number as i32)
}
