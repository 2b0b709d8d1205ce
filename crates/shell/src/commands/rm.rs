//! `rm` and `unlink`.

use crate::commands::Call;
use crate::commands::words::{base_name, inside, quoted};
use crate::errno::Errno;
use crate::files::{Found, without_slashes};
use crate::halt::{Halt, Settle};
use crate::options::{Opt, flag};

pub(crate) const OPTIONS: &[Opt] = &[
    flag(b'r', "recursive"),
    flag(b'R', ""),
    flag(b'f', "force"),
    flag(b'v', "verbose").gnu(),
    flag(b'd', "dir").gnu(),
];

/// Removes files, with `-r` directories and all below them. No link is followed in the last place.
pub(crate) fn rm(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let force = call.has(b'f');
    for path in call.operands(usize::from(!force))? {
        // busybox drops slashes at the end, behind which a link would be followed.
        let path = if call.is_busybox() {
            without_slashes(&path)
        } else {
            &path
        };
        remove(call, path)?;
    }
    Ok(call.status)
}

fn remove(call: &mut Call<'_, '_>, path: &[u8]) -> Result<(), Halt> {
    if matches!(base_name(path), b"." | b"..") {
        return refuse_dots(call, path);
    }
    let found = match call.shell.files.lstat(path).settle()? {
        Ok(found) => found,
        Err(Errno::NotFound) if call.has(b'f') => return Ok(()),
        // GNU's `-f` takes "not a directory" for "not there", too.
        Err(Errno::NotADirectory) if call.has(b'f') && !call.is_busybox() => return Ok(()),
        Err(errno) if call.is_busybox() && errno != Errno::NotFound => {
            return call.fail_at("can't stat", path, errno);
        }
        Err(errno) => return fail(call, path, errno),
    };
    if path.ends_with(b"/") && call.is_link(without_slashes(path))? {
        return fail(call, path, Errno::NotADirectory);
    }
    if found.path.is_root() {
        // GNU refuses, busybox tries; nobody means either.
        return Err(call.refuse(path));
    }
    if !found.node.is_directory() {
        return unlink_one(call, path);
    }
    if call.has(b'r') || call.has(b'R') {
        return remove_tree(call, path, &found);
    }
    if call.has(b'd') {
        return match call.shell.files.remove_directory(path).settle()? {
            Ok(()) => report(call, path, "removed directory "),
            Err(errno) => fail(call, path, errno),
        };
    }
    match call.is_busybox() {
        true => call.fail([quoted(path).as_slice(), b" is a directory"].concat()),
        false => fail(call, path, Errno::IsADirectory),
    }
}

fn refuse_dots(call: &mut Call<'_, '_>, path: &[u8]) -> Result<(), Halt> {
    match call.is_busybox() {
        true => call.fail("can't remove '.' or '..'"),
        false if call.has(b'r') || call.has(b'R') => {
            let lead = b"refusing to remove '.' or '..' directory: skipping ".as_slice();
            call.fail([lead, &quoted(path)].concat())
        }
        false => fail(call, path, Errno::IsADirectory),
    }
}

fn unlink_one(call: &mut Call<'_, '_>, path: &[u8]) -> Result<(), Halt> {
    match call.shell.files.unlink(path).settle()? {
        Ok(()) => report(call, path, "removed "),
        Err(errno) => fail(call, path, errno),
    }
}

fn remove_tree(call: &mut Call<'_, '_>, path: &[u8], found: &Found) -> Result<(), Halt> {
    if call.has(b'v') {
        report_children(call, path, found)?;
    }
    if call.shell.files.directory.is_within(&found.path) {
        return Err(call.refuse(path));
    }
    match call.shell.files.remove_tree(&found.path).settle()? {
        Ok(()) => report(call, path, "removed directory "),
        Err(errno) => fail(call, path, errno),
    }
}

/// The order in which a directory is read is the file system's own, so that more than one name is not said.
fn report_children(call: &mut Call<'_, '_>, path: &[u8], found: &Found) -> Result<(), Halt> {
    let children = match call.shell.files.children(&found.path).settle()? {
        Ok(children) => children,
        Err(errno) => return fail(call, path, errno),
    };
    match children.as_slice() {
        [] => Ok(()),
        [(name, node)] => {
            let child = inside(path, name);
            if !node.is_directory() {
                return report(call, &child, "removed ");
            }
            let below = found.path.join(name).map_err(|_| call.refuse(&child))?;
            report_children(
                call,
                &child,
                &Found {
                    path: below,
                    node: node.clone(),
                },
            )?;
            report(call, &child, "removed directory ")
        }
        [..] => Err(call.refuse("-v")),
    }
}

fn report(call: &mut Call<'_, '_>, path: &[u8], what: &str) -> Result<(), Halt> {
    if !call.has(b'v') {
        return Ok(());
    }
    let line = [what.as_bytes(), &quoted(path), b"\n"].concat();
    call.shell.print(&line)
}

fn fail(call: &mut Call<'_, '_>, path: &[u8], errno: Errno) -> Result<(), Halt> {
    let lead = call.says("can't remove", "cannot remove");
    call.fail_at(lead, path, errno)
}

/// Removes one file.
pub(crate) fn unlink(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(1)?;
    let [path] = operands.as_slice() else {
        return Err(call.refuse("unlink"));
    };
    if let Err(errno) = call.shell.files.unlink(path).settle()? {
        let lead = call.says("can't remove file", "cannot unlink");
        call.fail_at(lead, path, errno)?;
    }
    Ok(call.status)
}
