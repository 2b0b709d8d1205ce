use onlay_layer::{ImagePath, LastLink};

use crate::commands::Call;
use crate::commands::words::quoted;
use crate::errno::Errno;
use crate::files::without_slashes;
use crate::halt::{Halt, Settle};
use crate::mode::Mode;
use crate::options::{Opt, flag, value};

pub(crate) const OPTIONS: &[Opt] = &[
    flag(b'p', "parents"),
    value(b'm', "mode"),
    flag(b'v', "verbose").gnu(),
];

/// Makes directories.
pub(crate) fn mkdir(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let mode = match call.arguments.value(b'm').map(<[u8]>::to_vec) {
        None => None,
        Some(text) => match Mode::parse(&text, call.make) {
            Some(mode) => Some(mode),
            None => {
                let name = call.quoted_by_locale(&text);
                call.fail([b"invalid mode ", name.as_slice()].concat())?;
                return Ok(call.status);
            }
        },
    };
    for path in call.operands(1)? {
        if call.has(b'p') {
            make_with_parents(call, &path, mode.as_ref())?;
        } else {
            match make(call, &path, mode.as_ref())? {
                Ok(()) => {}
                Err(errno) => complain(call, &path, errno)?,
            }
        }
    }
    Ok(call.status)
}

fn make(call: &mut Call<'_, '_>, path: &[u8], mode: Option<&Mode>) -> Result<Result<(), Errno>, Halt> {
    let made = match call.shell.files.make_directory(path, 0o777).settle()? {
        Ok(place) => place,
        Err(errno) => return Ok(Err(errno)),
    };
    if let Some(mode) = mode {
        set_mode(call, &made, mode)?;
    }
    if call.has(b'v') {
        let line = [b"mkdir: created directory ", quoted(path).as_slice(), b"\n"].concat();
        call.shell.print(&line)?;
    }
    Ok(Ok(()))
}

/// What `-m` gives a new directory: the mode applied to 0777; GNU leaves a set-group-id bit from above alone.
pub(crate) fn set_mode(call: &mut Call<'_, '_>, place: &ImagePath, mode: &Mode) -> Result<(), Halt> {
    let wanted = mode.apply(0o777, true, call.shell.files.umask);
    let kept = match call.shell.files.node(place).settle()? {
        Ok(node) if !call.is_busybox() => node.metadata.mode & 0o6000 & !mode.mentioned(),
        _ => 0,
    };
    // The directory was made a moment ago.
    let _made = call.shell.files.set_mode(place, wanted | kept).settle()?;
    Ok(())
}

/// Makes a directory and what is missing above it; `-m` is for the last one only.
fn make_with_parents(call: &mut Call<'_, '_>, path: &[u8], mode: Option<&Mode>) -> Result<(), Halt> {
    let bare = without_slashes(path);
    let ends = (1..bare.len()).filter(|end| bare[*end] == b'/' && bare[*end - 1] != b'/');
    for end in ends.chain([bare.len()]) {
        let is_last = end == bare.len();
        if let Err(errno) = make_step(call, &bare[..end], mode.filter(|_| is_last), is_last)? {
            // busybox still has the slash behind the name.
            let shown = if call.is_busybox() && !is_last {
                end + 1
            } else {
                end
            };
            return complain(call, &bare[..shown], errno);
        }
    }
    Ok(())
}

/// Makes one directory on the way, unless it is there.
fn make_step(
    call: &mut Call<'_, '_>,
    step: &[u8],
    mode: Option<&Mode>,
    is_last: bool,
) -> Result<Result<(), Errno>, Halt> {
    // What stands above the last name is probably there.
    let files = &call.shell.files;
    let place = if is_last {
        files.place_of_new(step, LastLink::Follow)
    } else {
        files.place(step, LastLink::Follow)
    };
    let place = match place.settle()? {
        Ok(place) => place,
        Err(errno) => return Ok(Err(errno)),
    };
    match place.node {
        Some(node) if node.is_directory() => Ok(Ok(())),
        Some(_) => Ok(Err(if is_last {
            Errno::Exists
        } else {
            Errno::NotADirectory
        })),
        // A link that leads nowhere is in the way, which busybox says in its own words.
        None if call.is_busybox() && call.is_link(step)? => Ok(Err(Errno::NotFound)),
        None => make(call, step, mode),
    }
}

/// Says that a directory could not be made.
pub(crate) fn complain(call: &mut Call<'_, '_>, path: &[u8], errno: Errno) -> Result<(), Halt> {
    let lead = call.says("can't create directory ", "cannot create directory ");
    let name = call.quoted_by_locale(path);
    call.fail([lead.as_bytes(), &name, format!(": {errno}").as_bytes()].concat())
}
