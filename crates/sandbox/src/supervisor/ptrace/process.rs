//! What is below `/proc`: of the command's own processes what they have there, of the machine what tells nothing of others.

use std::io::{Seek, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create, openat, readlinkat};

use super::errno::{Errno, of_io};
use super::files::reopen;
use super::walk::{PLACE, below};
use super::{Call, Guard};

/// What of the machine is shown.
const OF_THE_MACHINE: [&[u8]; 14] = [
    b"cpuinfo",
    b"meminfo",
    b"stat",
    b"uptime",
    b"loadavg",
    b"version",
    b"filesystems",
    b"devices",
    b"vmstat",
    b"cgroups",
    b"swaps",
    b"partitions",
    b"diskstats",
    b"sys",
];

/// What is mounted, to a command.
const MOUNTS: &[u8] =
    b"overlay / overlay rw,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n\
tmpfs /dev tmpfs rw,nosuid 0 0\nsysfs /sys sysfs ro,nosuid,nodev,noexec,relatime 0 0\n";

/// The same with numbers (proc_pid_mountinfo(5)).
const MOUNT_NUMBERS: &[u8] = b"1 0 0:1 / / rw,relatime - overlay overlay rw\n\
2 1 0:2 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n\
3 1 0:3 / /dev rw,nosuid - tmpfs tmpfs rw\n4 1 0:4 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro\n";

/// What a path in `/proc` is.
enum Kind {
    /// The directory itself, or one in it that can be read as it is.
    Real(String),
    /// A link to somewhere in the image.
    Link(Vec<u8>),
    /// A descriptor of a process.
    Descriptor(String),
    /// A file with this in it.
    Text(Vec<u8>),
    /// A file of a process in which the machine's paths and ids are replaced.
    Replaced(String),
}

impl Guard {
    /// What the last name is itself, to be looked at, or what it leads to.
    pub(super) fn process_file(
        &self,
        call: &Call,
        names: &[Vec<u8>],
        follows: bool,
    ) -> Result<OwnedFd, Errno> {
        match self.kind(call, names)? {
            Kind::Real(path) | Kind::Replaced(path) => openat(CWD, path, PLACE, Mode::empty()),
            Kind::Descriptor(path) if follows => {
                openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            }
            Kind::Descriptor(path) => openat(CWD, path, PLACE, Mode::empty()),
            Kind::Link(target) if follows => {
                self.file(call, nix::libc::AT_FDCWD, &target, super::walk::Last::Follow)
            }
            // All links of a process are alike.
            Kind::Link(_) => openat(CWD, "/proc/self/exe", PLACE, Mode::empty()),
            Kind::Text(text) => with_text(&text),
        }
    }

    pub(super) fn open_process(
        &self,
        call: &Call,
        names: &[Vec<u8>],
        follows: bool,
        flags: OFlags,
    ) -> Result<OwnedFd, Errno> {
        if flags.contains(OFlags::PATH) {
            return self.process_file(call, names, follows);
        }
        let writes = !matches!(flags & OFlags::RWMODE, OFlags::RDONLY);
        let is_own = names.first().is_some_and(|name| {
            matches!(name.as_slice(), b"self" | b"thread-self") || name.iter().all(u8::is_ascii_digit)
        });
        match self.kind(call, names)? {
            Kind::Real(_) if writes && !is_own => Err(Errno::ACCESS),
            Kind::Real(path) => {
                let flags = flags.difference(OFlags::CREATE | OFlags::EXCL | OFlags::TRUNC);
                openat(CWD, path, flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
            }
            Kind::Descriptor(path) => {
                let place = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                self.check_known(&place)?;
                reopen(place.as_fd(), flags, Mode::empty())
            }
            Kind::Link(_) if !follows => Err(Errno::LOOP),
            Kind::Link(target) => {
                let file = self.file(call, nix::libc::AT_FDCWD, &target, super::walk::Last::Follow)?;
                self.check(call, &rustix::fs::fstat(&file)?, if writes { 2 } else { 4 })?;
                reopen(file.as_fd(), flags, Mode::empty())
            }
            Kind::Text(_) | Kind::Replaced(_) if writes => Err(Errno::ACCESS),
            Kind::Text(text) => with_text(&text),
            Kind::Replaced(path) => {
                let text = fs_err::read(&path).map_err(|error| of_io(&error))?;
                with_text(&self.replaced(call, &text))
            }
        }
    }

    /// Fails for what a process cannot have been given. It can have opened a place outside by a race with itself, and
    /// must not get more of it.
    fn check_known(&self, place: &OwnedFd) -> Result<(), Errno> {
        let path = super::walk::host_path(place.as_fd())?;
        let is_file = path.first() == Some(&b'/');
        let is_given = [&b"/dev/"[..], b"/proc/", b"/memfd:"]
            .iter()
            .any(|given| path.starts_with(given));
        let is_known = !is_file || is_given || below(&path, &self.path).is_some();
        if is_known { Ok(()) } else { Err(Errno::ACCESS) }
    }

    pub(super) fn process_link(&self, call: &Call, names: &[Vec<u8>]) -> Result<Vec<u8>, Errno> {
        match self.kind(call, names)? {
            Kind::Link(target) => Ok(target),
            Kind::Descriptor(path) => {
                let target = readlinkat(CWD, path, Vec::new())?.into_bytes();
                Ok(self.shown_path(target))
            }
            Kind::Real(_) if names.len() == 1 => match names[0].as_slice() {
                b"self" => Ok(call.process().to_string().into_bytes()),
                b"thread-self" => Ok(format!("{}/task/{}", call.process(), call.thread).into_bytes()),
                _ => Err(Errno::INVAL),
            },
            _ => Err(Errno::INVAL),
        }
    }

    /// A path of the machine as a command knows it.
    pub(super) fn shown_path(&self, path: Vec<u8>) -> Vec<u8> {
        let program = self.programs.original(&path).map(<[u8]>::to_vec);
        program.or_else(|| below(&path, &self.path)).unwrap_or(path)
    }

    fn kind(&self, call: &Call, names: &[Vec<u8>]) -> Result<Kind, Errno> {
        let own = call.process();
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        match names.as_slice() {
            [] => Ok(Kind::Real("/proc".to_owned())),
            [b"mounts"] => Ok(Kind::Text(MOUNTS.to_vec())),
            [b"self", rest @ ..] => self.kind_of_process(call, own, rest),
            [b"net", rest @ ..] => self.kind_of_process(call, own, &[&[&b"net"[..]], rest].concat()),
            [b"thread-self", rest @ ..] => self.kind_of_process(call, call.thread, rest),
            [first, rest @ ..] if first.iter().all(u8::is_ascii_digit) => {
                let number = std::str::from_utf8(first).ok().and_then(|text| text.parse().ok());
                let number: i32 = number.ok_or(Errno::NOENT)?;
                if number != own && !super::processes::is_ours(number) {
                    return Err(Errno::NOENT);
                }
                self.kind_of_process(call, number, rest)
            }
            [first, ..] if OF_THE_MACHINE.contains(first) => Ok(Kind::Real(joined("/proc", &names)?)),
            _ => Err(Errno::NOENT),
        }
    }

    fn kind_of_process(&self, call: &Call, process: i32, names: &[&[u8]]) -> Result<Kind, Errno> {
        let directory = format!("/proc/{process}");
        let path = joined(&directory, names)?;
        let link = |name: &str| readlinkat(CWD, format!("{directory}/{name}"), Vec::new());
        match names {
            [b"exe"] => Ok(Kind::Link(self.shown_path(link("exe")?.into_bytes()))),
            [b"root"] => Ok(Kind::Link(b"/".to_vec())),
            [b"root", ..] | [b"map_files", ..] | [b"ns", ..] => Err(Errno::ACCESS),
            [b"cwd"] => {
                let state = self.states.of(process)?;
                let target = self.path_of(call, state.directory.as_fd());
                target.map(Kind::Link).ok_or(Errno::NOENT)
            }
            [b"cwd", ..] => Err(Errno::ACCESS),
            [b"fd", _] => Ok(Kind::Descriptor(path)),
            [b"fd", _, ..] => Err(Errno::NOTDIR),
            [b"mounts" | b"mountstats"] => Ok(Kind::Text(MOUNTS.to_vec())),
            [b"mountinfo"] => Ok(Kind::Text(MOUNT_NUMBERS.to_vec())),
            [b"maps" | b"smaps" | b"status" | b"numa_maps"] => Ok(Kind::Replaced(path)),
            [b"task", _, rest @ ..] if !rest.is_empty() => match rest {
                [b"children" | b"stat" | b"comm" | b"sched" | b"wchan"] => Ok(Kind::Real(path)),
                rest => self.kind_of_process(call, process, rest),
            },
            _ => Ok(Kind::Real(path)),
        }
    }

    /// A text with the image's paths instead of the machine's, and the ids that are played.
    fn replaced(&self, call: &Call, text: &[u8]) -> Vec<u8> {
        let user = call.state.user;
        let group = call.state.group;
        let ids = |name: &str, ids: super::state::Ids| {
            let super::state::Ids {
                real,
                effective,
                saved,
                file_system,
            } = ids;
            format!("{name}:\t{real}\t{effective}\t{saved}\t{file_system}\n").into_bytes()
        };
        let mut shown = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            if !self.plays_ids {
                shown.extend(self.shown_line(line));
            } else if line.starts_with(b"Uid:") {
                shown.extend(ids("Uid", user));
            } else if line.starts_with(b"Gid:") {
                shown.extend(ids("Gid", group));
            } else if line.starts_with(b"Umask:") {
                shown.extend(format!("Umask:\t{:04o}\n", call.state.umask).into_bytes());
            } else if line.starts_with(b"Groups:") {
                let groups: Vec<String> = call.state.groups.iter().map(u32::to_string).collect();
                shown.extend(format!("Groups:\t{} \n", groups.join(" ")).into_bytes());
            } else {
                shown.extend(self.shown_line(line));
            }
        }
        shown
    }

    /// A line of `maps`: its path comes last.
    fn shown_line(&self, line: &[u8]) -> Vec<u8> {
        let Some(start) = line.iter().position(|&byte| byte == b'/') else {
            return line.to_vec();
        };
        let (before, path) = line.split_at(start);
        let path = path.strip_suffix(b"\n").unwrap_or(path);
        [before, &self.shown_path(path.to_vec()), b"\n"].concat()
    }
}

fn joined(directory: &str, names: &[&[u8]]) -> Result<String, Errno> {
    let mut path = directory.to_owned();
    for name in names {
        let name = std::str::from_utf8(name).map_err(|_| Errno::NOENT)?;
        if name == ".." {
            return Err(Errno::ACCESS);
        }
        path.push('/');
        path.push_str(name);
    }
    Ok(path)
}

/// A file with a text, to be read from its beginning.
fn with_text(text: &[u8]) -> Result<OwnedFd, Errno> {
    let file = memfd_create("onlay", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(text).map_err(|error| of_io(&error))?;
    file.rewind().map_err(|error| of_io(&error))?;
    reopen(file.as_fd(), OFlags::RDONLY, Mode::empty())
}
