//! `basename` and `dirname`: paths as text.

use crate::commands::Call;
use crate::commands::words::base_name;
use crate::files::without_slashes;
use crate::halt::Halt;

/// Prints the last name of a path, without a suffix that is given.
pub(crate) fn basename(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(1)?;
    let (path, suffix) = match operands.as_slice() {
        [path] => (path, b"".as_slice()),
        [path, suffix] => (path, suffix.as_slice()),
        _ => return Err(call.refuse("basename")),
    };
    let name = base_name(path);
    let name = name
        .strip_suffix(suffix)
        .filter(|rest| !rest.is_empty())
        .unwrap_or(name);
    print_line(call, name)
}

/// Prints a path without its last name.
pub(crate) fn dirname(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(1)?;
    let [path] = operands.as_slice() else {
        return Err(call.refuse("dirname"));
    };
    let bare = without_slashes(path);
    let directory = match bare.iter().rposition(|byte| *byte == b'/') {
        None => b".".as_slice(),
        Some(slash) => without_slashes(&bare[..=slash]),
    };
    print_line(call, directory)
}

fn print_line(call: &mut Call<'_, '_>, text: &[u8]) -> Result<u8, Halt> {
    call.shell.print(&[text, b"\n"].concat())?;
    Ok(0)
}
