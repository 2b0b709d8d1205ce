//! Sockets that have a place among files: their addresses are those of the machine's files to the kernel.

use std::os::fd::AsFd;

use nix::libc;

use super::attach::Again;
use super::errno::Errno;
use super::listener::Answer;
use super::walk::{Last, host_path};
use super::{Call, Guard};

/// Where the path begins in `struct sockaddr_un`, and how long it may be (unix(7)).
const PATH: usize = 2;
const LONGEST: usize = 108;

impl Guard {
    /// bind, connect, and sendto with an address.
    pub(super) fn address(&mut self, call: &Call) -> Result<Answer, Errno> {
        let (address, length) = match call.number {
            libc::SYS_sendto => (4, 5),
            _ => (1, 2),
        };
        let Some(path) = read_address(call, call.arguments[address], call.arguments[length])? else {
            return Ok(Answer::Continue);
        };
        let path = if call.number == libc::SYS_bind {
            let (directory, name) = self.name(call, libc::AT_FDCWD, &path)?;
            self.check(call, &rustix::fs::fstat(&directory)?, 3)?;
            [host_path(directory.as_fd())?.as_slice(), b"/", &name].concat()
        } else {
            let file = self.file(call, libc::AT_FDCWD, &path, Last::Follow)?;
            self.check(call, &rustix::fs::fstat(&file)?, 2)?;
            host_path(file.as_fd())?
        };
        if path.len() >= LONGEST {
            return Err(Errno::NAMETOOLONG);
        }
        let family = libc::AF_UNIX as u16;
        let text = [&family.to_ne_bytes(), path.as_slice(), b"\0"].concat();
        let again = Again {
            numbers: vec![(length, text.len() as u64)],
            texts: vec![(address, text)],
            list: None,
        };
        self.make_again(call, &again, None)
    }

    /// sendmsg and sendmmsg pass unless they name a socket among files.
    pub(super) fn message(&mut self, call: &Call) -> Result<Answer, Errno> {
        /// `struct msghdr` begins with the address and its length; `struct mmsghdr` has a count after it.
        const SIZE: u64 = 64;
        let count = if call.number == libc::SYS_sendmmsg {
            call.arguments[2].min(1024)
        } else {
            1
        };
        for index in 0..count {
            let header = call.arguments[1] + index * SIZE;
            let address = call.memory().read_number(header)?;
            let length = call.memory().read_number(header + 8)? & 0xFFFF_FFFF;
            if address != 0 && read_address(call, address, length)?.is_some() {
                // Datagrams to the machine's sockets; nobody of the command's listens for them.
                return Err(Errno::CONNREFUSED);
            }
        }
        Ok(Answer::Continue)
    }

    pub(super) fn watch(&mut self, call: &Call) -> Result<Answer, Errno> {
        let file = self.file_at(call, libc::AT_FDCWD, call.arguments[1], 0)?;
        let path = [host_path(file.as_fd())?.as_slice(), b"\0"].concat();
        let again = Again {
            texts: vec![(1, path)],
            ..Again::default()
        };
        self.make_again(call, &again, None)
    }
}

/// The path of an address; none if it has none.
fn read_address(call: &Call, address: u64, length: u64) -> Result<Option<Vec<u8>>, Errno> {
    let length = (length as usize).min(PATH + LONGEST);
    if address == 0 || length <= PATH {
        return Ok(None);
    }
    let bytes = call.memory().read(address, length)?;
    let is_unix = bytes[..PATH] == (libc::AF_UNIX as u16).to_ne_bytes();
    let path = bytes[PATH..].split(|&byte| byte == 0).next().unwrap_or_default();
    Ok((is_unix && !path.is_empty()).then(|| path.to_vec()))
}
