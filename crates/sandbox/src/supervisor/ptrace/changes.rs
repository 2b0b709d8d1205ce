//! System calls that change what a file is: mode, owner, times, size.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, chmodat, fstat,
    utimensat,
};

use super::errno::Errno;
use super::files::reopen;
use super::listener::Answer;
use super::permission::drop_set_id;
use super::{Call, Guard};
use crate::records::{Record, mode_on_disk};

impl Guard {
    /// chmod, fchmod, fchmodat, fchmodat2.
    pub(super) fn change_mode(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, four, ..] = call.arguments;
        let (file, mode) = match call.number {
            libc::SYS_fchmod => (call.descriptor(one as i32)?, two),
            libc::SYS_chmod => (self.file_at(call, libc::AT_FDCWD, one, 0)?, two),
            libc::SYS_fchmodat => (self.file_at(call, one as i32, two, 0)?, three),
            _ => (self.file_at(call, one as i32, two, four as u32)?, three),
        };
        let stat = fstat(&file)?;
        if stat.st_dev != self.top.0 {
            return Ok(Answer::Value(0));
        }
        let mut record = self.records.of(&stat);
        self.check_owner(call, &record)?;
        if record.kind() == FileType::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        let mut mode = mode as u32 & 0o7777;
        let state = &call.state;
        if record.kind() != FileType::Directory && !state.overrides_files() && !state.is_in_group(record.gid)
        {
            mode &= !libc::S_ISGID;
        }
        record.mode = record.kind().as_raw_mode() | mode;
        self.keep(&file, record)?;
        Ok(Answer::Value(0))
    }

    /// chown, lchown, fchown, fchownat.
    pub(super) fn change_owner(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, four, five, _] = call.arguments;
        let (file, uid, gid) = match call.number {
            libc::SYS_fchown => (call.descriptor(one as i32)?, two, three),
            libc::SYS_chown => (self.file_at(call, libc::AT_FDCWD, one, 0)?, two, three),
            libc::SYS_lchown => {
                let flags = libc::AT_SYMLINK_NOFOLLOW as u32;
                (self.file_at(call, libc::AT_FDCWD, one, flags)?, two, three)
            }
            _ => (self.file_at(call, one as i32, two, five as u32)?, three, four),
        };
        let stat = fstat(&file)?;
        if stat.st_dev != self.top.0 {
            return Ok(Answer::Value(0));
        }
        let mut record = self.records.of(&stat);
        let wanted = |id: u64| (id as u32 != u32::MAX).then_some(id as u32);
        let (uid, gid) = (wanted(uid), wanted(gid));
        let state = &call.state;
        if !state.overrides_files() {
            let is_owner = state.user.file_system == record.uid;
            let keeps_user = uid.is_none_or(|uid| is_owner && uid == record.uid);
            let may_have_group =
                gid.is_none_or(|gid| is_owner && (gid == record.gid || state.is_in_group(gid)));
            if !keeps_user || !may_have_group {
                return Err(Errno::PERM);
            }
        }
        record.uid = uid.unwrap_or(record.uid);
        record.gid = gid.unwrap_or(record.gid);
        if record.kind() != FileType::Directory {
            drop_set_id(&mut record);
            record.capabilities = None;
        }
        self.keep(&file, record)?;
        Ok(Answer::Value(0))
    }

    /// Records what a file is now, gives it what of that can be given on disk, and has its time of change move.
    pub(super) fn keep(&mut self, file: &OwnedFd, record: Record) -> Result<(), Errno> {
        let mode = match FileType::from_raw_mode(fstat(file)?.st_mode) {
            // It has none of its own, and its owner is recorded; its time of change stays.
            FileType::Symlink => None,
            _ => Some(mode_on_disk(record.mode)),
        };
        if let Some(mode) = mode {
            chmodat(
                CWD,
                link_to(file.as_fd()),
                Mode::from_raw_mode(mode),
                AtFlags::empty(),
            )?;
        }
        let stat = fstat(file)?;
        self.records.set(&stat, record);
        Ok(())
    }

    /// truncate.
    pub(super) fn truncate(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [path, length, ..] = call.arguments;
        let file = self.file_at(call, libc::AT_FDCWD, path, 0)?;
        let stat = fstat(&file)?;
        self.check(call, &stat, 2)?;
        let opened = reopen(file.as_fd(), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty())?;
        rustix::fs::ftruncate(&opened, length)?;
        self.written(call, &stat);
        Ok(Answer::Value(0))
    }

    /// utime, utimes, futimesat, utimensat.
    pub(super) fn change_times(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [one, two, three, four, ..] = call.arguments;
        let (file, times) = match call.number {
            libc::SYS_utime => (self.file_at(call, libc::AT_FDCWD, one, 0)?, seconds(call, two)?),
            libc::SYS_utimes => (
                self.file_at(call, libc::AT_FDCWD, one, 0)?,
                microseconds(call, two)?,
            ),
            libc::SYS_futimesat => {
                let file = if two == 0 {
                    call.descriptor(one as i32)?
                } else {
                    self.file_at(call, one as i32, two, 0)?
                };
                (file, microseconds(call, three)?)
            }
            _ if two == 0 => (call.descriptor(one as i32)?, nanoseconds(call, three)?),
            _ => (
                self.file_at(call, one as i32, two, four as u32)?,
                nanoseconds(call, three)?,
            ),
        };
        let stat = fstat(&file)?;
        let is_now = |time: &Timespec| time.tv_nsec == UTIME_NOW;
        let wants_now = is_now(&times.last_access) && is_now(&times.last_modification);
        let record = self.records.of(&stat);
        if stat.st_dev == self.top.0 {
            match self.check_owner(call, &record) {
                Err(_) if wants_now => self.check(call, &stat, 2)?,
                checked => checked?,
            }
        }
        match FileType::from_raw_mode(stat.st_mode) {
            // A place cannot be named by its descriptor if that leads further.
            FileType::Symlink => {
                utimensat(&file, "", &times, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW)?
            }
            _ => utimensat(CWD, link_to(file.as_fd()), &times, AtFlags::empty())?,
        }
        Ok(Answer::Value(0))
    }
}

pub(super) fn link_to(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn numbers<const N: usize>(call: &Call, address: u64) -> Result<Option<[i64; N]>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    let mut numbers = [0; N];
    for (index, number) in numbers.iter_mut().enumerate() {
        *number = call.memory().read_number(address + 8 * index as u64)? as i64;
    }
    Ok(Some(numbers))
}

const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: UTIME_NOW,
};

fn times(access: Timespec, modification: Timespec) -> Timestamps {
    Timestamps {
        last_access: access,
        last_modification: modification,
    }
}

fn seconds(call: &Call, address: u64) -> Result<Timestamps, Errno> {
    let at = |tv_sec| Timespec { tv_sec, tv_nsec: 0 };
    Ok(match numbers::<2>(call, address)? {
        Some([access, modification]) => times(at(access), at(modification)),
        None => times(NOW, NOW),
    })
}

fn microseconds(call: &Call, address: u64) -> Result<Timestamps, Errno> {
    let at = |tv_sec, micros: i64| match micros {
        0..1_000_000 => Ok(Timespec {
            tv_sec,
            tv_nsec: micros * 1000,
        }),
        _ => Err(Errno::INVAL),
    };
    Ok(match numbers::<4>(call, address)? {
        Some([a, b, c, d]) => times(at(a, b)?, at(c, d)?),
        None => times(NOW, NOW),
    })
}

fn nanoseconds(call: &Call, address: u64) -> Result<Timestamps, Errno> {
    let at = |tv_sec, tv_nsec: i64| match tv_nsec {
        0..1_000_000_000 | UTIME_NOW | UTIME_OMIT => Ok(Timespec { tv_sec, tv_nsec }),
        _ => Err(Errno::INVAL),
    };
    Ok(match numbers::<4>(call, address)? {
        Some([a, b, c, d]) => times(at(a, b)?, at(c, d)?),
        None => times(NOW, NOW),
    })
}
