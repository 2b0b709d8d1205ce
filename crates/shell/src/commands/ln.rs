use crate::commands::Call;
use crate::commands::words::{base_name, inside, quoted};
use crate::errno::Errno;
use crate::files::Files;
use crate::halt::{Halt, Settle};
use crate::options::{Opt, flag, value};

pub(crate) const OPTIONS: &[Opt] = &[
    flag(b's', "symbolic"),
    flag(b'f', "force"),
    flag(b'n', "no-dereference"),
    flag(b'v', "verbose").gnu(),
    flag(b'T', "no-target-directory").gnu(),
    value(b't', "target-directory").gnu(),
];

/// Makes links.
pub(crate) fn ln(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let mut targets = call.operands(1)?;
    let directory = call.arguments.value(b't').map(<[u8]>::to_vec);
    if call.has(b'T') && targets.len() != 2 || call.has(b'T') && directory.is_some() {
        return Err(call.refuse("-T"));
    }
    let last = match (&directory, targets.len()) {
        (Some(_), _) => None,
        (None, 1) => Some(b".".to_vec()),
        (None, _) => targets.pop(),
    };
    let into = match (directory, &last) {
        (Some(directory), _) => Some(directory),
        (None, Some(last)) if is_directory(call, last)? => Some(last.clone()),
        (None, Some(last)) if targets.len() > 1 => {
            return not_a_directory(call, last);
        }
        (None, _) => None,
    };
    for target in targets {
        let name = match &into {
            Some(directory) => inside(directory, base_name(&target)),
            None => last.clone().unwrap_or_default(),
        };
        link(call, &target, &name)?;
    }
    Ok(call.status)
}

/// Tells whether links go into this place; `-n` takes a link to a directory for what it is, `-T` everything.
fn is_directory(call: &Call<'_, '_>, path: &[u8]) -> Result<bool, Halt> {
    if call.has(b'T') {
        return Ok(false);
    }
    let files = &call.shell.files;
    let found = if call.has(b'n') {
        files.lstat_of_new(path)
    } else {
        files.stat_of_new(path)
    };
    Ok(found.settle()?.is_ok_and(|found| found.node.is_directory()))
}

fn not_a_directory(call: &mut Call<'_, '_>, path: &[u8]) -> Result<u8, Halt> {
    match call.is_busybox() {
        true => call.fail_at("target", path, Errno::NotADirectory)?,
        false => return Err(call.refuse(path)),
    }
    Ok(call.status)
}

fn link(call: &mut Call<'_, '_>, target: &[u8], name: &[u8]) -> Result<(), Halt> {
    if call.has(b'f')
        && let Some(done) = make_room(call, target, name)?
    {
        return Ok(done);
    }
    if call.is_busybox()
        && !call.has(b's')
        && let Err(errno) = call.shell.files.stat(target).settle()?
    {
        return call.fail([target, format!(": {errno}").as_bytes()].concat());
    }
    let made = if call.has(b's') {
        call.shell.files.symlink(target, name)
    } else {
        call.shell.files.link(target, name)
    };
    match made.settle()? {
        Ok(_) => report(call, target, name),
        Err(errno) => fail(call, target, name, errno),
    }
}

/// Removes what `-f` may replace; an answer means that nothing is left to do.
fn make_room(call: &mut Call<'_, '_>, target: &[u8], name: &[u8]) -> Result<Option<()>, Halt> {
    let Ok(present) = call.shell.files.lstat_of_new(name).settle()? else {
        return Ok(None);
    };
    if present.node.is_directory() {
        return match call.is_busybox() {
            true => Ok(None),
            false => call
                .fail([quoted(name).as_slice(), b": cannot overwrite directory"].concat())
                .map(Some),
        };
    }
    if !call.has(b's') {
        match call.shell.files.stat(target).settle()? {
            Ok(source) if Files::is_same(&source, &present) => {
                return match call.is_busybox() {
                    true => Err(call.refuse(name)),
                    false => {
                        let message = [
                            &quoted(target),
                            b" and ".as_slice(),
                            &quoted(name),
                            b" are the same file",
                        ];
                        call.fail(message.concat()).map(Some)
                    }
                };
            }
            Ok(_) => {}
            // busybox has removed the old one by the time it finds out; GNU has not.
            Err(_) if call.is_busybox() => return Err(call.refuse(target)),
            Err(_) => return Ok(None),
        }
    }
    match call.shell.files.unlink(name).settle()? {
        Ok(()) => Ok(None),
        Err(errno) => fail(call, target, name, errno).map(Some),
    }
}

fn report(call: &mut Call<'_, '_>, target: &[u8], name: &[u8]) -> Result<(), Halt> {
    if !call.has(b'v') {
        return Ok(());
    }
    let arrow = if call.has(b's') {
        b" -> ".as_slice()
    } else {
        b" => "
    };
    let line = [&quoted(name), arrow, &quoted(target), b"\n"].concat();
    call.shell.print(&line)
}

fn fail(call: &mut Call<'_, '_>, target: &[u8], name: &[u8], errno: Errno) -> Result<(), Halt> {
    let reason = format!(": {errno}");
    let symbolic = call.has(b's');
    if call.is_busybox() {
        return call.fail([name, reason.as_bytes()].concat());
    }
    if symbolic {
        return call.fail_at("failed to create symbolic link", name, errno);
    }
    match call.shell.files.lstat(target).settle()? {
        Ok(source) if source.node.is_directory() => {
            call.fail([target, b": hard link not allowed for directory".as_slice()].concat())
        }
        Err(errno) => call.fail_at("failed to access", target, errno),
        Ok(_) => match errno {
            Errno::Exists => call.fail_at("failed to create hard link", name, errno),
            _ => {
                let lead = b"failed to create hard link ".as_slice();
                call.fail([lead, &quoted(name), b" => ", &quoted(target), reason.as_bytes()].concat())
            }
        },
    }
}
