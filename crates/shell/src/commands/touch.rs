use onlay_layer::LastLink;

use crate::commands::Call;
use crate::errno::Errno;
use crate::halt::{Called, Halt, Settle};
use crate::options::{Opt, flag};

pub(crate) const OPTIONS: &[Opt] = &[
    flag(b'c', "no-create"),
    flag(b'a', "").gnu(),
    flag(b'm', "").gnu(),
    flag(b'h', "no-dereference"),
];

/// Makes files, or gives them the present time.
pub(crate) fn touch(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    for path in call.operands(1)? {
        if let Err(errno) = touch_one(call, &path).settle()? {
            fail(call, &path, errno)?;
        }
    }
    Ok(call.status)
}

fn touch_one(call: &mut Call<'_, '_>, path: &[u8]) -> Called<()> {
    let only_access = call.has(b'a') && !call.has(b'm');
    let last = if call.has(b'h') {
        LastLink::Keep
    } else {
        LastLink::Follow
    };
    let place = call.shell.files.place_of_new(path, last)?;
    match place.node {
        Some(_) if only_access => Ok(()),
        Some(_) => call.shell.files.touch(&place.path),
        None if call.has(b'c') => Ok(()),
        None if call.has(b'h') => Err(call.refuse(path).into()),
        None if path.ends_with(b"/") && !call.is_busybox() => Err(Errno::NotFound.into()),
        None => call.shell.files.open(path, 0o666).map(drop),
    }
}

fn fail(call: &mut Call<'_, '_>, path: &[u8], errno: Errno) -> Result<(), Halt> {
    if call.is_busybox() {
        call.fail([path, format!(": {errno}").as_bytes()].concat())
    } else {
        // GNU's goes on to the time where it cannot make a directory.
        let lead = if path.ends_with(b"/") {
            "setting times of"
        } else {
            "cannot touch"
        };
        call.fail_at(lead, path, errno)
    }
}
