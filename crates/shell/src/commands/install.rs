use onlay_layer::{ImagePath, LastLink};

use crate::commands::Call;
use crate::commands::chown::{Owner, group, user};
use crate::commands::cp::is_directory;
use crate::commands::mkdir;
use crate::commands::words::{base_name, inside, quoted};
use crate::errno::Errno;
use crate::files::{Files, without_slashes};
use crate::halt::{Called, Halt, Settle};
use crate::mode::Mode;
use crate::options::{Opt, flag, value};

pub(crate) const OPTIONS: &[Opt] = &[
    flag(b'd', "directory"),
    flag(b'D', ""),
    flag(b'c', ""),
    value(b'g', "group"),
    value(b'm', "mode"),
    value(b'o', "owner"),
    flag(b'T', "no-target-directory").gnu(),
    value(b't', "target-directory").gnu(),
    flag(b'v', "verbose").gnu(),
];

/// The mode of what is installed without `-m`.
const DEFAULT_MODE: u32 = 0o755;

/// Copies files, or makes directories with `-d`, with the mode and owner that are asked for.
pub(crate) fn install(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let mode = match call.arguments.value(b'm').map(<[u8]>::to_vec) {
        None => DEFAULT_MODE,
        // A symbolic mode is applied to nothing at all.
        Some(text) => Mode::parse(&text, call.make)
            .ok_or_else(|| call.refuse(&text))?
            .apply(0, false, 0),
    };
    let owner = owner(call)?;
    if call.has(b'd') {
        for path in call.operands(1)? {
            directory(call, &path, mode, owner)?;
        }
        return Ok(call.status);
    }
    install_files(call, mode, owner)
}

fn owner(call: &Call<'_, '_>) -> Result<Owner, Halt> {
    let mut owner = Owner::default();
    if let Some(text) = call.arguments.value(b'o') {
        owner.uid = Some(user(call, text)?.ok_or_else(|| call.refuse(text))?.0);
    }
    if let Some(text) = call.arguments.value(b'g') {
        owner.gid = Some(group(call, text)?.ok_or_else(|| call.refuse(text))?);
    }
    Ok(owner)
}

/// Makes a directory and what is missing above it, the latter with the usual mode.
fn directory(call: &mut Call<'_, '_>, path: &[u8], mode: u32, owner: Owner) -> Result<(), Halt> {
    let made = match make_with_parents(call, path)? {
        Ok(made) => made,
        Err((step, errno)) => return mkdir::complain(call, &step, errno),
    };
    let place = match call.shell.files.stat(path).settle()? {
        Ok(found) => found.path,
        Err(errno) => return mkdir::complain(call, path, errno),
    };
    let _is_there = finish(&mut call.shell.files, &place, mode, owner).settle()?;
    if call.has(b'v') {
        for step in made {
            let line = [b"install: creating directory ", quoted(&step).as_slice(), b"\n"].concat();
            call.shell.print(&line)?;
        }
    }
    Ok(())
}

/// The directories that were made, outermost first, or the one that could not be.
type Made = Result<Vec<Vec<u8>>, (Vec<u8>, Errno)>;

fn make_with_parents(call: &mut Call<'_, '_>, path: &[u8]) -> Result<Made, Halt> {
    let bare = without_slashes(path);
    let ends = (1..bare.len())
        .filter(|end| bare[*end] == b'/' && bare[*end - 1] != b'/')
        .chain([bare.len()]);
    let mut made = Vec::new();
    for end in ends {
        let step = &bare[..end];
        match make_one(call, step).settle()? {
            Ok(true) => made.push(step.to_vec()),
            Ok(false) => {}
            Err(Errno::NotADirectory) if end == bare.len() && !call.is_busybox() => {
                return Ok(Err((step.to_vec(), Errno::Exists)));
            }
            Err(errno) => return Ok(Err((step.to_vec(), errno))),
        }
    }
    Ok(Ok(made))
}

/// Makes one directory, unless it is there.
fn make_one(call: &mut Call<'_, '_>, path: &[u8]) -> Called<bool> {
    let place = call.shell.files.place_of_new(path, LastLink::Follow)?;
    match place.node {
        Some(node) if node.is_directory() => Ok(false),
        Some(_) => Err(Errno::NotADirectory.into()),
        None => {
            call.shell.files.make_directory(path, 0o755)?;
            Ok(true)
        }
    }
}

fn install_files(call: &mut Call<'_, '_>, mode: u32, owner: Owner) -> Result<u8, Halt> {
    let directory = call.arguments.value(b't').map(<[u8]>::to_vec);
    let mut sources = call.operands(if directory.is_some() { 1 } else { 2 })?;
    let target = match directory.clone().or_else(|| sources.pop()) {
        Some(target) => target,
        None => return Err(call.refuse("install")),
    };
    if call.has(b'D') {
        let parent = if directory.is_some() {
            target.clone()
        } else {
            parent(&target)
        };
        if !parent.is_empty()
            && let Err((step, errno)) = make_with_parents(call, &parent)?
        {
            mkdir::complain(call, &step, errno)?;
            return Ok(call.status);
        }
    }
    let into = directory.is_some() || !call.has(b'T') && is_directory(call, &target)?;
    if !into && sources.len() > 1 {
        return Err(call.refuse(&target));
    }
    for source in sources {
        let to = if into {
            inside(&target, base_name(&source))
        } else {
            target.clone()
        };
        install_file(call, &source, &to, mode, owner)?;
    }
    Ok(call.status)
}

fn parent(path: &[u8]) -> Vec<u8> {
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    path[..slash].to_vec()
}

fn install_file(
    call: &mut Call<'_, '_>,
    from: &[u8],
    to: &[u8],
    mode: u32,
    owner: Owner,
) -> Result<(), Halt> {
    let source = match call.shell.files.stat(from).settle()? {
        Ok(source) if source.node.is_directory() => return Err(call.refuse(from)),
        Ok(source) => source,
        Err(errno) => {
            let lead = call.says("can't stat", "cannot stat");
            return call.fail_at(lead, from, errno);
        }
    };
    if let Ok(present) = call.shell.files.lstat_of_new(to).settle()? {
        // An old file is unlinked first, so that whoever runs it goes on doing so.
        if present.node.is_directory() || Files::is_same(&source, &present) {
            return Err(call.refuse(to));
        }
        let _gone = call.shell.files.unlink(to).settle()?;
    }
    let opened = call.shell.files.open(to, 0o600).settle()?;
    let place = match opened {
        Ok(place) => place,
        Err(errno) => {
            let lead = call.says("can't create", "cannot create regular file");
            return call.fail_at(lead, to, errno);
        }
    };
    let copied = call.shell.files.content(&source.path).and_then(|content| {
        call.shell.files.write(&place, content)?;
        finish(&mut call.shell.files, &place, mode, owner)
    });
    if copied.settle()?.is_err() {
        return Err(call.refuse(from));
    }
    if call.has(b'v') {
        let line = [&quoted(from), b" -> ".as_slice(), &quoted(to), b"\n"].concat();
        call.shell.print(&line)?;
    }
    Ok(())
}

fn finish(files: &mut Files, place: &ImagePath, mode: u32, owner: Owner) -> Called<()> {
    if owner.uid.is_some() || owner.gid.is_some() {
        files.set_owner(place, owner.uid, owner.gid)?;
    }
    files.set_mode(place, mode)
}
