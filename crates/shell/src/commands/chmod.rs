use onlay_layer::ImagePath;

use crate::commands::Call;
use crate::commands::words::quoted;
use crate::errno::Errno;
use crate::files::{Found, join};
use crate::halt::{Called, Halt, Settle};
use crate::mode::Mode;
use crate::options::{Opt, flag};

pub(crate) const OPTIONS: &[Opt] = &[flag(b'R', "recursive"), flag(b'f', "silent")];

/// Changes modes; symbolic links are followed where they are named, and left alone below a directory.
pub(crate) fn chmod(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(2)?;
    let Some((text, paths)) = operands.split_first() else {
        return Ok(call.status);
    };
    let Some(mode) = Mode::parse(text, call.make) else {
        return invalid_mode(call, text);
    };
    for path in paths {
        let found = match call.shell.files.stat(path).settle()? {
            Ok(found) => found,
            Err(errno) => {
                fail(call, path, errno)?;
                continue;
            }
        };
        // busybox gives the mode to what a link leads to, but does not walk through the link.
        let walks = call.has(b'R') && !(call.is_busybox() && call.is_link(path)?);
        let changed = if walks {
            recursively(call, &found, &mode)
        } else {
            change(call, &found, &mode)
        };
        if let Err(errno) = changed.settle()? {
            fail(call, path, errno)?;
        }
    }
    Ok(call.status)
}

fn invalid_mode(call: &mut Call<'_, '_>, text: &[u8]) -> Result<u8, Halt> {
    if call.is_busybox() {
        call.fail([b"invalid mode ", quoted(text).as_slice()].concat())?;
    } else {
        let hint = b"\nTry 'chmod --help' for more information.";
        let name = call.quoted_by_locale(text);
        call.fail([b"invalid mode: ", name.as_slice(), hint].concat())?;
    }
    Ok(call.status)
}

fn fail(call: &mut Call<'_, '_>, path: &[u8], errno: Errno) -> Result<(), Halt> {
    call.status = 1;
    if call.has(b'f') {
        return Ok(());
    }
    if call.is_busybox() {
        return call.fail([path, format!(": {errno}").as_bytes()].concat());
    }
    match errno == Errno::NotFound && call.is_link(path)? {
        true => call.fail([b"cannot operate on dangling symlink ".as_slice(), &quoted(path)].concat()),
        false => call.fail_at("cannot access", path, errno),
    }
}

fn change(call: &mut Call<'_, '_>, found: &Found, mode: &Mode) -> Called<()> {
    let node = call.shell.files.node(&found.path)?;
    let bits = mode.apply(node.metadata.mode, node.is_directory(), call.shell.files.umask);
    call.shell.files.set_mode(&found.path, bits)
}

fn recursively(call: &mut Call<'_, '_>, found: &Found, mode: &Mode) -> Called<()> {
    change(call, found, mode)?;
    if !found.node.is_directory() {
        return Ok(());
    }
    for (name, node) in call.shell.files.children(&found.path)? {
        if node.symlink_target().is_none() {
            let path: ImagePath = join(&found.path, &name)?;
            recursively(call, &Found { path, node }, mode)?;
        }
    }
    Ok(())
}
