//! Changing the arguments of a call: the thread is traced for that moment alone, and makes the call again.

use nix::libc::user_regs_struct;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::errno::{Errno, of_nix};
use super::listener::{Caught, Listener};
use super::memory::Memory;

/// What a call is to be made again with.
#[derive(Clone, Debug, Default)]
pub(super) struct Again {
    /// Strings and structures, to be put into the thread's memory; arguments are set to where they are.
    pub(super) texts: Vec<(usize, Vec<u8>)>,
    /// A list of strings: those that are given here, before others that are in memory already.
    pub(super) list: Option<List>,
    /// Arguments that are numbers.
    pub(super) numbers: Vec<(usize, u64)>,
}

/// A list of arguments of a program.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) argument: usize,
    pub(super) first: Vec<Vec<u8>>,
    /// Where the others are.
    pub(super) others: Vec<u64>,
}

/// What lies below the stack pointer and is used nevertheless (System V ABI for x86-64, 3.2.2).
const RED_ZONE: u64 = 128;

/// The length of the instruction `syscall`.
const INSTRUCTION: u64 = 2;

/// Has a thread make its call again; it is caught once more then. Gives what its first argument is then.
///
/// The thread must wait for the answer to the call, which this is: its number of an error is never seen.
pub(super) fn make_again(listener: &Listener, caught: &Caught, again: &Again) -> Result<[u64; 6], Errno> {
    let thread = Pid::from_raw(caught.thread);
    ptrace::seize(thread, ptrace::Options::empty()).map_err(of_nix)?;
    // From here on it stops before it goes on in its program.
    if let Err(errno) = ptrace::interrupt(thread) {
        _ = ptrace::detach(thread, None);
        return Err(of_nix(errno));
    }
    listener.answer(caught, Err(Errno::NOSYS));
    match waitpid(thread, Some(WaitPidFlag::__WALL)).map_err(of_nix)? {
        WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Err(Errno::SRCH),
        _ => {}
    }
    let changed = change(thread, caught, again);
    if changed.is_err() {
        // It goes on with what it was answered, for want of anything better.
        _ = fail(thread, Errno::FAULT);
    }
    ptrace::detach(thread, None).map_err(of_nix)?;
    changed
}

fn change(thread: Pid, caught: &Caught, again: &Again) -> Result<[u64; 6], Errno> {
    let mut registers = ptrace::getregs(thread).map_err(of_nix)?;
    let mut arguments = caught.arguments;
    place(thread, registers.rsp, again, &mut arguments)?;
    let user_regs_struct {
        rdi,
        rsi,
        rdx,
        r10,
        r8,
        r9,
        ..
    } = &mut registers;
    for (register, argument) in [rdi, rsi, rdx, r10, r8, r9].into_iter().zip(arguments) {
        *register = argument;
    }
    registers.rax = caught.number as u64;
    registers.rip -= INSTRUCTION;
    // It is in no call any more, so nothing is to be started anew.
    registers.orig_rax = u64::MAX;
    ptrace::setregs(thread, registers).map_err(of_nix)?;
    Ok(arguments)
}

fn fail(thread: Pid, errno: Errno) -> Result<(), Errno> {
    let mut registers = ptrace::getregs(thread).map_err(of_nix)?;
    registers.rax = i64::from(-errno.raw_os_error()) as u64;
    registers.orig_rax = u64::MAX;
    ptrace::setregs(thread, registers).map_err(of_nix)
}

/// Puts what is given below the stack, where nothing is that anybody uses.
fn place(thread: Pid, stack: u64, again: &Again, arguments: &mut [u64; 6]) -> Result<(), Errno> {
    let texts: usize = again.texts.iter().map(|(_, text)| text.len() + 16).sum();
    let list = again.list.as_ref().map_or(0, |list| {
        let strings: usize = list.first.iter().map(|text| text.len() + 1).sum();
        strings + (list.first.len() + list.others.len() + 1) * 8 + 32
    });
    let start = stack.saturating_sub(RED_ZONE + (texts + list) as u64) & !15;
    let mut bytes: Vec<u8> = Vec::with_capacity(texts + list);
    let put = |bytes: &mut Vec<u8>, text: &[u8]| {
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let address = start + bytes.len() as u64;
        bytes.extend(text);
        address
    };
    for (argument, text) in &again.texts {
        arguments[*argument] = put(&mut bytes, text);
    }
    if let Some(list) = &again.list {
        let mut pointers: Vec<u64> = Vec::new();
        for text in &list.first {
            let ended = [text, &b"\0"[..]].concat();
            pointers.push(put(&mut bytes, &ended));
        }
        pointers.extend(&list.others);
        pointers.push(0);
        let pointers: Vec<u8> = pointers
            .iter()
            .flat_map(|pointer| pointer.to_ne_bytes())
            .collect();
        arguments[list.argument] = put(&mut bytes, &pointers);
    }
    for (argument, number) in &again.numbers {
        arguments[*argument] = *number;
    }
    Memory::of(thread.as_raw()).write(start, &bytes)
}
