//! `cd`, `pwd`, `umask`: what a process has beside its files.

use crate::commands::Call;
use crate::errno::Errno;
use crate::halt::{Halt, Settle};
use crate::make::Make;
use crate::mode::Mode;
use crate::options::{Opt, flag};

pub(crate) const UMASK: &[Opt] = &[flag(b'S', "")];

/// Changes the working directory, by the path itself: `..` behind a symbolic link is the refused exception.
pub(crate) fn cd(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(0)?;
    let path = match operands.as_slice() {
        [] => match call.shell.variables.get("HOME") {
            Some(home) if !home.is_empty() => home.clone(),
            _ => return Err(call.refuse("cd")),
        },
        [path] if !path.is_empty() && path != b"-" => path.clone(),
        [path, ..] => return Err(call.refuse(path)),
    };
    let searches = call
        .shell
        .variables
        .get("CDPATH")
        .is_some_and(|search| !search.is_empty());
    if searches && !path.starts_with(b"/") && !path.starts_with(b".") {
        return Err(call.refuse("CDPATH"));
    }
    let before = logical(call);
    let after = normalized(&before, &path);
    let climbs = path.split(|byte| *byte == b'/').any(|name| name == b"..");
    // A shell takes `..` away from the text before it asks the kernel, which differs behind a symbolic link.
    let target = if climbs { after.clone() } else { path.clone() };
    match call.shell.files.change_directory(&target).settle()? {
        Ok(()) => {
            call.shell.variables.insert("OLDPWD".to_owned(), before);
            call.shell.variables.insert("PWD".to_owned(), after);
            Ok(0)
        }
        Err(errno) => {
            complain(call, &path, errno)?;
            Ok(if call.make == Make::Bash { 1 } else { 2 })
        }
    }
}

fn complain(call: &mut Call<'_, '_>, path: &[u8], errno: Errno) -> Result<(), Halt> {
    let (lead, reason) = match call.make {
        Make::Dash => ("cd: can't cd to ", String::new()),
        Make::Bash => ("cd: ", format!(": {errno}")),
        Make::Busybox | Make::Gnu => ("cd: line 0: can't cd to ", format!(": {errno}")),
    };
    call.shell
        .complain(&[lead.as_bytes(), path, reason.as_bytes()].concat())
}

/// The working directory as the shell names it, symbolic links included.
fn logical(call: &Call<'_, '_>) -> Vec<u8> {
    match call.shell.variables.get("PWD") {
        Some(path) if path.starts_with(b"/") => path.clone(),
        _ => call.shell.files.directory.to_string().into_bytes(),
    }
}

fn normalized(directory: &[u8], path: &[u8]) -> Vec<u8> {
    let start: &[u8] = if path.starts_with(b"/") { b"" } else { directory };
    let mut names: Vec<&[u8]> = Vec::new();
    for name in start
        .split(|byte| *byte == b'/')
        .chain(path.split(|byte| *byte == b'/'))
    {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    [b"/".as_slice(), &names.join(&b'/')].concat()
}

pub(crate) fn pwd(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let path = [logical(call), b"\n".to_vec()].concat();
    call.shell.print(&path)?;
    Ok(0)
}

/// Shows or sets the mode bits that new files do not get.
pub(crate) fn umask(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(0)?;
    let [operand] = operands.as_slice() else {
        if let Some(excess) = operands.get(1) {
            return Err(call.refuse(excess));
        }
        let shown = shown(call.shell.files.umask, call.has(b'S'));
        call.shell.print(shown.as_bytes())?;
        return Ok(0);
    };
    if !operand.first().is_some_and(u8::is_ascii_digit) {
        return Err(call.refuse(operand));
    }
    let Some(mode) = Mode::parse(operand, call.make) else {
        return Err(call.refuse(operand));
    };
    call.shell.files.umask = mode.apply(0, false, 0) & 0o777;
    Ok(0)
}

fn shown(umask: u32, symbolic: bool) -> String {
    if !symbolic {
        return format!("{umask:04o}\n");
    }
    let class = |shift: u32| -> String {
        let bits = !umask >> shift;
        [(4, 'r'), (2, 'w'), (1, 'x')]
            .iter()
            .filter(|(bit, _)| bits & bit != 0)
            .map(|(_, letter)| *letter)
            .collect()
    };
    format!("u={},g={},o={}\n", class(6), class(3), class(0))
}
