//! The memory of a thread whose call is being served.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;

use nix::errno::Errno as NixErrno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::errno::{Errno, of_nix};

/// A page, in bytes; nothing is read across the end of one unless it has to be.
const PAGE: u64 = 4096;

/// The longest path, in bytes, with its end (limits.h, `PATH_MAX`).
pub(super) const LONGEST_PATH: usize = 4096;

/// The memory of a thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory(Pid);

impl Memory {
    pub(super) fn of(thread: i32) -> Self {
        Self(Pid::from_raw(thread))
    }

    /// Reads as much as was asked for.
    pub(super) fn read(self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length];
        match self.read_some(address, &mut bytes)? {
            count if count == length => Ok(bytes),
            _ => Err(Errno::FAULT),
        }
    }

    pub(super) fn read_number(self, address: u64) -> Result<u64, Errno> {
        let bytes = self.read(address, 8)?;
        Ok(u64::from_ne_bytes(bytes.try_into().map_err(|_| Errno::FAULT)?))
    }

    fn read_some(self, address: u64, into: &mut [u8]) -> Result<usize, Errno> {
        let remote = RemoteIoVec {
            base: address as usize,
            len: into.len(),
        };
        match process_vm_readv(self.0, &mut [IoSliceMut::new(into)], &[remote]) {
            Ok(count) => Ok(count),
            Err(NixErrno::EPERM) => self.file(false)?.read_at(into, address).map_err(|_| Errno::FAULT),
            Err(NixErrno::ESRCH) => Err(Errno::FAULT),
            Err(errno) => Err(of_nix(errno)),
        }
    }

    /// The memory as a file: where a container's filter forbids `process_vm_readv`, as that of Docker 20.10 does, though
    /// not `ptrace`, which is the same right.
    fn file(self, writes: bool) -> Result<File, Errno> {
        let flags = if writes { OFlags::WRONLY } else { OFlags::RDONLY };
        let path = format!("/proc/{}/mem", self.0);
        let opened = openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty());
        opened.map(File::from).map_err(|_| Errno::FAULT)
    }

    /// Reads a string up to its end, which is left out.
    pub(super) fn read_string(self, address: u64, longest: usize) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        let mut at = address;
        loop {
            let to_end = PAGE - at % PAGE;
            let mut piece = vec![0; to_end as usize];
            let count = self.read_some(at, &mut piece)?;
            if let Some(end) = piece[..count].iter().position(|&byte| byte == 0) {
                text.extend(&piece[..end]);
                return if text.len() < longest {
                    Ok(text)
                } else {
                    Err(Errno::NAMETOOLONG)
                };
            }
            text.extend(&piece[..count]);
            if text.len() >= longest {
                return Err(Errno::NAMETOOLONG);
            }
            at = at.checked_add(to_end).ok_or(Errno::FAULT)?;
        }
    }

    pub(super) fn read_path(self, address: u64) -> Result<Vec<u8>, Errno> {
        self.read_string(address, LONGEST_PATH)
    }

    pub(super) fn write(self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        let remote = RemoteIoVec {
            base: address as usize,
            len: bytes.len(),
        };
        match process_vm_writev(self.0, &[IoSlice::new(bytes)], &[remote]) {
            Ok(count) if count == bytes.len() => Ok(()),
            Err(NixErrno::EPERM) => self
                .file(true)?
                .write_all_at(bytes, address)
                .map_err(|_| Errno::FAULT),
            Ok(_) | Err(NixErrno::ESRCH) => Err(Errno::FAULT),
            Err(errno) => Err(of_nix(errno)),
        }
    }
}
