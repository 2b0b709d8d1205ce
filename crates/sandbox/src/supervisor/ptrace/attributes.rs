//! Extended attributes: capabilities are recorded, the user's own are the file system's, others are not had.

use std::os::fd::AsFd;

use nix::libc;
use rustix::fs::{FileType, XattrFlags, fstat, getxattr, listxattr, removexattr, setxattr};

use super::changes::link_to;
use super::errno::Errno;
use super::listener::Answer;
use super::{Call, Guard};

const CAPABILITIES: &[u8] = b"security.capability";

/// The longest name and value (xattr(7)).
const LONGEST_NAME: usize = 256;
const LONGEST_VALUE: u64 = 65536;

impl Guard {
    pub(super) fn set_attribute(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [_, name, value, size, flags, _] = call.arguments;
        let file = self.attributed(call, libc::SYS_fsetxattr, libc::SYS_lsetxattr)?;
        let name = read_name(call, name)?;
        if size > LONGEST_VALUE {
            return Err(Errno::TOOBIG);
        }
        let value = call.memory().read(value, size as usize)?;
        let flags = XattrFlags::from_bits_retain(flags as u32);
        let stat = fstat(&file)?;
        let mut record = self.records.of(&stat);
        if name != CAPABILITIES {
            is_users(&name)?;
            self.check(call, &stat, 2)?;
            setxattr(link_to(file.as_fd()), name.as_slice(), &value, flags)?;
            return Ok(Answer::Value(0));
        }
        if !call.state.is_root() || record.kind() != FileType::RegularFile {
            return Err(Errno::PERM);
        }
        match record.capabilities {
            Some(_) if flags.contains(XattrFlags::CREATE) => return Err(Errno::EXIST),
            None if flags.contains(XattrFlags::REPLACE) => return Err(Errno::NODATA),
            _ => record.capabilities = Some(value),
        }
        self.keep(&file, record)?;
        Ok(Answer::Value(0))
    }

    pub(super) fn attribute(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [_, name, into, room, ..] = call.arguments;
        let file = self.attributed(call, libc::SYS_fgetxattr, libc::SYS_lgetxattr)?;
        let name = read_name(call, name)?;
        let stat = fstat(&file)?;
        let value = if name == CAPABILITIES {
            self.records.of(&stat).capabilities.ok_or(Errno::NODATA)?
        } else {
            is_users(&name)?;
            self.check(call, &stat, 4)?;
            let mut value = vec![0; LONGEST_VALUE as usize];
            let size = getxattr(link_to(file.as_fd()), name.as_slice(), &mut value)?;
            value.truncate(size);
            value
        };
        give(call, into, room, &value)
    }

    pub(super) fn attributes(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [_, into, room, ..] = call.arguments;
        let file = self.attributed(call, libc::SYS_flistxattr, libc::SYS_llistxattr)?;
        let stat = fstat(&file)?;
        let mut names = Vec::new();
        if self.records.of(&stat).capabilities.is_some() {
            names.extend(CAPABILITIES);
            names.push(0);
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            let mut all = vec![0; LONGEST_VALUE as usize];
            let size = listxattr(link_to(file.as_fd()), &mut all).unwrap_or(0);
            let users = all[..size].split_inclusive(|&byte| byte == 0);
            names.extend(users.filter(|name| name.starts_with(b"user.")).flatten());
        }
        give(call, into, room, &names)
    }

    pub(super) fn remove_attribute(&mut self, call: &Call) -> Result<Answer, Errno> {
        let file = self.attributed(call, libc::SYS_fremovexattr, libc::SYS_lremovexattr)?;
        let name = read_name(call, call.arguments[1])?;
        let stat = fstat(&file)?;
        if name != CAPABILITIES {
            is_users(&name)?;
            self.check(call, &stat, 2)?;
            removexattr(link_to(file.as_fd()), name.as_slice())?;
            return Ok(Answer::Value(0));
        }
        let mut record = self.records.of(&stat);
        if !call.state.is_root() {
            return Err(Errno::PERM);
        }
        record.capabilities.take().ok_or(Errno::NODATA)?;
        self.keep(&file, record)?;
        Ok(Answer::Value(0))
    }

    /// The file of a call of which one form names a descriptor, and one a link itself.
    fn attributed(
        &self,
        call: &Call,
        by_descriptor: i64,
        itself: i64,
    ) -> Result<std::os::fd::OwnedFd, Errno> {
        let first = call.arguments[0];
        if call.number == by_descriptor {
            return call.descriptor(first as i32);
        }
        let flags = if call.number == itself {
            libc::AT_SYMLINK_NOFOLLOW as u32
        } else {
            0
        };
        self.file_at(call, libc::AT_FDCWD, first, flags)
    }
}

fn read_name(call: &Call, address: u64) -> Result<Vec<u8>, Errno> {
    match call.memory().read_string(address, LONGEST_NAME) {
        Err(Errno::NAMETOOLONG) => Err(Errno::RANGE),
        name => name,
    }
}

/// Layers keep capabilities alone; what else there is of the system's is not to be had, as on a file system without it.
fn is_users(name: &[u8]) -> Result<(), Errno> {
    if name.starts_with(b"user.") {
        Ok(())
    } else {
        Err(Errno::OPNOTSUPP)
    }
}

fn give(call: &Call, into: u64, room: u64, value: &[u8]) -> Result<Answer, Errno> {
    if room > 0 {
        if (value.len() as u64) > room {
            return Err(Errno::RANGE);
        }
        call.memory().write(into, value)?;
    }
    Ok(Answer::Value(value.len() as i64))
}
