use crate::commands::Call;
use crate::commands::cp::{is_directory, no_such_target};
use crate::commands::words::{base_name, inside, quoted};
use crate::errno::Errno;
use crate::files::{Files, Found, without_slashes};
use crate::halt::{Halt, Settle};
use crate::options::{Opt, flag, value};

pub(crate) const OPTIONS: &[Opt] = &[
    flag(b'f', "force"),
    flag(b'n', "no-clobber"),
    flag(b'T', "no-target-directory"),
    value(b't', "target-directory").gnu(),
    flag(b'v', "verbose").gnu(),
];

/// Renames files, or moves them into a directory.
pub(crate) fn mv(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let directory = call.arguments.value(b't').map(<[u8]>::to_vec);
    let mut sources = call.operands(if directory.is_some() { 1 } else { 2 })?;
    let target = match directory.clone().or_else(|| sources.pop()) {
        Some(target) => target,
        None => return Err(call.refuse("mv")),
    };
    let into = directory.is_some() || !call.has(b'T') && is_directory(call, &target)?;
    if !into && sources.len() > 1 {
        // What is said then depends on the version.
        return Err(call.refuse(&target));
    }
    for source in sources {
        let to = match into {
            true => inside(&target, base_name(&source)),
            false => target.clone(),
        };
        rename(call, &source, &to)?;
    }
    Ok(call.status)
}

fn rename(call: &mut Call<'_, '_>, from: &[u8], to: &[u8]) -> Result<(), Halt> {
    let source = match call.shell.files.lstat(from).settle()? {
        Ok(source) => source,
        Err(errno) => {
            let lead = call.says("can't rename", "cannot stat");
            return call.fail_at(lead, from, errno);
        }
    };
    let target = match call.shell.files.lstat_of_new(to).settle()? {
        Ok(target) => Some(target),
        Err(Errno::NotADirectory) => return no_such_target(call, to),
        Err(_) => None,
    };
    if let Some(target) = &target {
        if call.has(b'n') {
            return Ok(());
        }
        if let Some(done) = refused_by_gnu(call, &source, target, from, to)? {
            return Ok(done);
        }
    }
    let bare = if source.node.is_directory() {
        without_slashes(to)
    } else {
        to
    };
    match call.shell.files.rename(from, bare).settle()? {
        Ok(()) => report(call, from, to),
        Err(errno) => fail(call, &source, from, to, errno),
    }
}

/// What GNU finds out before it asks the kernel; an answer means that nothing is left to do.
fn refused_by_gnu(
    call: &mut Call<'_, '_>,
    source: &Found,
    target: &Found,
    from: &[u8],
    to: &[u8],
) -> Result<Option<()>, Halt> {
    if call.is_busybox() {
        return Ok(None);
    }
    if Files::is_same(source, target) {
        if source.path != target.path {
            // Of two names of one file GNU removes the first, and says nothing.
            return Err(call.refuse(to));
        }
        let message = [
            &quoted(from),
            b" and ".as_slice(),
            &quoted(to),
            b" are the same file",
        ]
        .concat();
        return call.fail(message).map(Some);
    }
    let message = match (source.node.is_directory(), target.node.is_directory()) {
        (true, false) => {
            let lead = b"cannot overwrite non-directory ".as_slice();
            [lead, &quoted(to), b" with directory ", &quoted(from)].concat()
        }
        (false, true) => [
            b"cannot overwrite directory ",
            quoted(to).as_slice(),
            b" with non-directory",
        ]
        .concat(),
        _ => return Ok(None),
    };
    call.fail(message).map(Some)
}

fn fail(call: &mut Call<'_, '_>, source: &Found, from: &[u8], to: &[u8], errno: Errno) -> Result<(), Halt> {
    if call.is_busybox() {
        return call.fail_at("can't rename", from, errno);
    }
    if errno == Errno::Invalid && source.node.is_directory() {
        let lead = b"cannot move ".as_slice();
        return call.fail(
            [
                lead,
                &quoted(from),
                b" to a subdirectory of itself, ",
                &quoted(to),
            ]
            .concat(),
        );
    }
    let reason = format!(": {errno}");
    call.fail(
        [
            b"cannot move ".as_slice(),
            &quoted(from),
            b" to ",
            &quoted(to),
            reason.as_bytes(),
        ]
        .concat(),
    )
}

fn report(call: &mut Call<'_, '_>, from: &[u8], to: &[u8]) -> Result<(), Halt> {
    if !call.has(b'v') {
        return Ok(());
    }
    let line = [b"renamed ".as_slice(), &quoted(from), b" -> ", &quoted(to), b"\n"].concat();
    call.shell.print(&line)
}
