//! `cp`, and copying as other commands use it.

use std::collections::HashMap;
use std::sync::Arc;

use onlay_layer::{Content, ImagePath, LastLink, Node, NodeKind};

use crate::commands::Call;
use crate::commands::words::{base_name, inside, quoted};
use crate::errno::Errno;
use crate::files::{Files, Found};
use crate::halt::{Called, Halt, Settle};
use crate::options::{Opt, flag, value};

pub(crate) const OPTIONS: &[Opt] = &[
    flag(b'a', "archive"),
    flag(b'd', ""),
    flag(b'f', "force"),
    flag(b'L', "dereference"),
    flag(b'n', "no-clobber").gnu(),
    flag(b'P', "no-dereference"),
    flag(b'p', ""),
    flag(b'r', "recursive"),
    flag(b'R', ""),
    flag(b'T', "no-target-directory"),
    value(b't', "target-directory").gnu(),
    flag(b'v', "verbose").gnu(),
];

/// Copies files, with `-r` directories and all below them.
pub(crate) fn cp(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let directory = call.arguments.value(b't').map(<[u8]>::to_vec);
    let mut sources = call.operands(if directory.is_some() { 1 } else { 2 })?;
    let target = match directory.clone().or_else(|| sources.pop()) {
        Some(target) => target,
        None => return Err(call.refuse("cp")),
    };
    let mut copying = Copying::of(call);
    let into = directory.is_some() || !call.has(b'T') && is_directory(call, &target)?;
    if !into && sources.len() > 1 {
        // What is said then depends on the version.
        return Err(call.refuse(&target));
    }
    for source in sources {
        let name = match into {
            true => inside(&target, base_name(&source)),
            false => target.clone(),
        };
        copying.copy(call, &source, &name, true)?;
    }
    Ok(call.status)
}

/// Tells whether a path names a directory by now.
pub(crate) fn is_directory(call: &Call<'_, '_>, path: &[u8]) -> Result<bool, Halt> {
    Ok(call
        .shell
        .files
        .stat_of_new(path)
        .settle()?
        .is_ok_and(|found| found.node.is_directory()))
}

/// Says that a target lies below what is no directory.
pub(crate) fn no_such_target(call: &mut Call<'_, '_>, to: &[u8]) -> Result<(), Halt> {
    if !call.is_busybox() {
        return call.fail_at("cannot stat", to, Errno::NotADirectory);
    }
    call.fail(
        [
            b"can't stat ".as_slice(),
            &quoted(to),
            b": Path has non-directory component",
        ]
        .concat(),
    )
}

/// How to copy, and what was copied.
struct Copying {
    recursive: bool,
    /// Symbolic links are copied as such.
    keeps_links: bool,
    preserves: bool,
    preserves_xattrs: bool,
    preserves_hard_links: bool,
    /// Where each file with several names went, by its node.
    copied: HashMap<*const Node, (Arc<Node>, Vec<u8>)>,
}

impl Copying {
    fn of(call: &Call<'_, '_>) -> Self {
        let archive = call.has(b'a');
        let recursive = archive || call.has(b'r') || call.has(b'R');
        let keeps_links = (recursive || call.has(b'd') || call.has(b'P')) && !call.has(b'L');
        Self {
            recursive,
            keeps_links,
            preserves: archive || call.has(b'p'),
            preserves_xattrs: archive && !call.is_busybox(),
            preserves_hard_links: if call.is_busybox() {
                keeps_links
            } else {
                archive || call.has(b'd')
            },
            copied: HashMap::new(),
        }
    }

    fn copy(&mut self, call: &mut Call<'_, '_>, from: &[u8], to: &[u8], named: bool) -> Result<(), Halt> {
        let files = &call.shell.files;
        let found = if self.keeps_links {
            files.lstat(from)
        } else {
            files.stat(from)
        };
        let source = match found.settle()? {
            Ok(source) => source,
            Err(errno) => {
                let lead = call.says("can't stat", "cannot stat");
                return call.fail_at(lead, from, errno);
            }
        };
        let target = match call.shell.files.stat_of_new(to).settle()? {
            Ok(target) => Some(target),
            Err(Errno::NotADirectory) => return no_such_target(call, to),
            Err(_) => None,
        };
        if let (Some(target), false) = (&target, source.node.is_directory()) {
            if call.has(b'n') {
                return Ok(());
            }
            if Files::is_same(&source, target) {
                // busybox compares with the link that stands there, and empties the file.
                if call.is_busybox()
                    && call
                        .shell
                        .files
                        .lstat_of_new(to)
                        .settle()?
                        .is_ok_and(|own| own.path != target.path)
                {
                    return Err(call.refuse(to));
                }
                let message = [
                    &quoted(from),
                    b" and ".as_slice(),
                    &quoted(to),
                    b" are the same file",
                ]
                .concat();
                return call.fail(message);
            }
        }
        match &source.node.kind {
            NodeKind::Directory(_) => self.directory(call, &source, target, from, to, named),
            NodeKind::File(content) => self.file(call, &source, target, content, from, to),
            _ if self.keeps_links => self.leaf(call, &source, from, to),
            _ => Err(call.refuse(from)),
        }
    }

    fn directory(
        &mut self,
        call: &mut Call<'_, '_>,
        source: &Found,
        target: Option<Found>,
        from: &[u8],
        to: &[u8],
        named: bool,
    ) -> Result<(), Halt> {
        if !self.recursive {
            let message = call.says("omitting directory ", "-r not specified; omitting directory ");
            return call.fail([message.as_bytes(), &quoted(from)].concat());
        }
        let place = match call.shell.files.place_of_new(to, LastLink::Follow).settle()? {
            Ok(place) => place.path,
            Err(errno) => return self.cannot_make(call, to, errno),
        };
        if named && place.is_within(&source.path) {
            return Err(call.refuse(to));
        }
        let is_new = match target {
            Some(target) if target.node.is_directory() => false,
            Some(_) => return self.in_the_way(call, from, to, named),
            None => {
                let mode = source.node.metadata.mode;
                if let Err(errno) = call.shell.files.make_directory(to, mode).settle()? {
                    return self.cannot_make(call, to, errno);
                }
                true
            }
        };
        self.report(call, from, to)?;
        for (name, _) in self
            .settled(call, from, |files| files.children(&source.path))?
            .unwrap_or_default()
        {
            self.copy(call, &inside(from, &name), &inside(to, &name), false)?;
        }
        // busybox sets the mode of a directory that it made once more, set-id bits and all.
        if is_new && call.is_busybox() && !self.preserves {
            let mode = source.node.metadata.mode & !call.shell.files.umask;
            self.settled(call, to, |files| files.set_mode(&place, mode))?;
        }
        if self.preserves && (is_new || !call.is_busybox()) {
            self.preserve(call, &source.node, &place, to)?;
        }
        Ok(())
    }

    fn in_the_way(&self, call: &mut Call<'_, '_>, from: &[u8], to: &[u8], named: bool) -> Result<(), Halt> {
        match (call.is_busybox(), named) {
            (true, true) => call.fail_at("can't stat", &inside(to, base_name(from)), Errno::NotADirectory),
            (true, false) => Err(call.refuse(to)),
            (false, _) => {
                let lead = b"cannot overwrite non-directory ".as_slice();
                call.fail([lead, &quoted(to), b" with directory ", &quoted(from)].concat())
            }
        }
    }

    fn cannot_make(&self, call: &mut Call<'_, '_>, to: &[u8], errno: Errno) -> Result<(), Halt> {
        let lead = call.says("can't create directory", "cannot create directory");
        call.fail_at(lead, to, errno)
    }

    fn file(
        &mut self,
        call: &mut Call<'_, '_>,
        source: &Found,
        target: Option<Found>,
        content: &Content,
        from: &[u8],
        to: &[u8],
    ) -> Result<(), Halt> {
        if target.as_ref().is_some_and(|target| target.node.is_directory()) {
            return match call.is_busybox() {
                true => Err(call.refuse(to)),
                false => {
                    let lead = b"cannot overwrite directory ".as_slice();
                    call.fail([lead, &quoted(to), b" with non-directory"].concat())
                }
            };
        }
        self.expect_no_odd_target(call, target.is_some(), to)?;
        if let Some((_, first)) = self.copied.get(&Arc::as_ptr(&source.node)).cloned() {
            return self.link_again(call, &first, to, target.is_some());
        }
        // GNU's leave set-id bits and the sticky bit to those who preserve modes.
        let bits = if call.is_busybox() { 0o7777 } else { 0o777 };
        let opened = call
            .shell
            .files
            .open(to, source.node.metadata.mode & bits)
            .settle()?;
        let place = match opened {
            Ok(place) => place,
            Err(errno) => {
                let lead = call.says("can't create", "cannot create regular file");
                return call.fail_at(lead, to, errno);
            }
        };
        self.settled(call, to, |files| files.write(&place, content.clone()))?;
        if self.preserves {
            self.preserve(call, &source.node, &place, to)?;
        }
        if self.preserves_hard_links {
            self.copied
                .insert(Arc::as_ptr(&source.node), (source.node.clone(), to.to_vec()));
        }
        self.report(call, from, to)
    }

    /// Through a symbolic link in the target's place the makes and their options go different ways.
    fn expect_no_odd_target(&self, call: &Call<'_, '_>, is_there: bool, to: &[u8]) -> Result<(), Halt> {
        let own = call.shell.files.lstat_of_new(to).settle()?;
        let is_link = own.is_ok_and(|own| own.node.symlink_target().is_some());
        match is_link && (!is_there || self.keeps_links) {
            true => Err(call.refuse(to)),
            false => Ok(()),
        }
    }

    fn link_again(
        &self,
        call: &mut Call<'_, '_>,
        first: &[u8],
        to: &[u8],
        is_there: bool,
    ) -> Result<(), Halt> {
        if is_there {
            self.settled(call, to, |files| files.unlink(to))?;
        }
        self.settled(call, to, |files| files.link(first, to).map(drop))?;
        Ok(())
    }

    /// Copies a symbolic link, a pipe or a device as what it is.
    fn leaf(&mut self, call: &mut Call<'_, '_>, source: &Found, from: &[u8], to: &[u8]) -> Result<(), Halt> {
        if let Ok(present) = call.shell.files.lstat_of_new(to).settle()? {
            if present.node.is_directory() || call.is_busybox() {
                return Err(call.refuse(to));
            }
            self.settled(call, to, |files| files.unlink(to))?;
        }
        let made = match source.node.symlink_target() {
            Some(target) => call.shell.files.symlink(target, to),
            None => call.shell.files.make_like(&source.node, to),
        };
        let place = match made.settle()? {
            Ok(place) => place,
            Err(errno) => {
                let lead = call.says("can't create symlink", "cannot create symbolic link");
                return call.fail_at(lead, to, errno);
            }
        };
        if self.preserves {
            self.preserve(call, &source.node, &place, to)?;
        }
        self.report(call, from, to)
    }

    /// Gives a copy the owner, mode and time of what it was copied from.
    fn preserve(
        &self,
        call: &mut Call<'_, '_>,
        source: &Node,
        place: &ImagePath,
        to: &[u8],
    ) -> Result<(), Halt> {
        let metadata = &source.metadata;
        let is_link = source.symlink_target().is_some();
        self.settled(call, to, |files| {
            files.set_owner(place, Some(metadata.uid), Some(metadata.gid))?;
            if !is_link {
                files.set_mode(place, metadata.mode)?;
            }
            if self.preserves_xattrs {
                files.set_xattrs(place, &metadata.xattrs)?;
            }
            files.set_time(place, source.mtime)
        })?;
        Ok(())
    }

    /// Makes a call that is refused for no reason a user could see; if it is, nothing is known any more.
    fn settled<T>(
        &self,
        call: &mut Call<'_, '_>,
        path: &[u8],
        body: impl FnOnce(&mut Files) -> Called<T>,
    ) -> Result<Option<T>, Halt> {
        match body(&mut call.shell.files).settle()? {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(call.refuse(path)),
        }
    }

    fn report(&self, call: &mut Call<'_, '_>, from: &[u8], to: &[u8]) -> Result<(), Halt> {
        if !call.has(b'v') {
            return Ok(());
        }
        let line = [&quoted(from), b" -> ".as_slice(), &quoted(to), b"\n"].concat();
        call.shell.print(&line)
    }
}
