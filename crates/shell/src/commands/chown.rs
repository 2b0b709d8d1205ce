//! `chown` and `chgrp`.

use onlay_layer::LastLink;

use crate::commands::Call;
use crate::errno::Errno;
use crate::files::{Found, join};
use crate::halt::{Called, Halt, Settle};
use crate::io::Sink;
use crate::names;
use crate::options::{Opt, flag};

pub(crate) const OPTIONS: &[Opt] = &[
    flag(b'R', "recursive"),
    flag(b'h', "no-dereference"),
    flag(b'f', "silent").gnu(),
];

/// Whom files are given to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owner {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

pub(crate) fn chown(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(2)?;
    let Some((text, paths)) = operands.split_first() else {
        return Ok(call.status);
    };
    match owner(call, text)? {
        Some(owner) => change_all(call, owner, paths),
        None => Ok(call.status),
    }
}

pub(crate) fn chgrp(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(2)?;
    let Some((text, paths)) = operands.split_first() else {
        return Ok(call.status);
    };
    match group(call, text)? {
        Some(gid) => change_all(
            call,
            Owner {
                uid: None,
                gid: Some(gid),
            },
            paths,
        ),
        None => {
            let name = if call.is_busybox() {
                text.clone()
            } else {
                call.quoted_by_locale(text)
            };
            let lead = call.says("unknown group ", "invalid group: ");
            call.fail([lead.as_bytes(), &name].concat())?;
            Ok(call.status)
        }
    }
}

/// Reads `user`, `user:group`, `user:` or `:group`; `None` if that was complained about.
fn owner(call: &mut Call<'_, '_>, text: &[u8]) -> Result<Option<Owner>, Halt> {
    let colon = text.iter().position(|byte| *byte == b':');
    let whole_is_user = colon.is_none() && user(call, text)?.is_some();
    let dot = text
        .iter()
        .position(|byte| *byte == b'.')
        .filter(|_| colon.is_none() && !whole_is_user);
    // Newer versions of GNU's warn of a dot, which makes a difference only where standard error goes into a file.
    if dot.is_some() && !call.is_busybox() && !matches!(call.shell.streams.error, Sink::Log | Sink::Nowhere) {
        return Err(call.refuse(text));
    }
    let Some(separator) = colon.or(dot) else {
        let found = user(call, text)?;
        if found.is_none() {
            unknown(call, text, "unknown user ", "invalid user: ")?;
        }
        return Ok(found.map(|(uid, _)| Owner {
            uid: Some(uid),
            gid: None,
        }));
    };
    let (user_name, group_name) = (&text[..separator], &text[separator + 1..]);
    let mut owner = Owner::default();
    if !user_name.is_empty() {
        let Some((uid, login_group)) = user(call, user_name)? else {
            unknown(call, text, "unknown user/group ", "invalid user: ")?;
            return Ok(None);
        };
        owner.uid = Some(uid);
        if group_name.is_empty() {
            let Some(gid) = login_group else {
                return Err(call.refuse(text));
            };
            owner.gid = Some(gid);
        }
    }
    if !group_name.is_empty() {
        let Some(gid) = group(call, group_name)? else {
            unknown(call, text, "unknown user/group ", "invalid group: ")?;
            return Ok(None);
        };
        owner.gid = Some(gid);
    }
    Ok(Some(owner))
}

fn unknown(
    call: &mut Call<'_, '_>,
    text: &[u8],
    busybox: &'static str,
    gnu: &'static str,
) -> Result<(), Halt> {
    let name = if call.is_busybox() {
        text.to_vec()
    } else {
        call.quoted_by_locale(text)
    };
    let lead = call.says(busybox, gnu);
    call.fail([lead.as_bytes(), &name].concat())
}

/// A user by name, else by number, with the group of its login.
pub(crate) fn user(call: &Call<'_, '_>, text: &[u8]) -> Result<Option<(u32, Option<u32>)>, Halt> {
    let files = &call.shell.files;
    if let Some(account) = names::user(files, text)? {
        return Ok(Some((account.uid, Some(account.gid))));
    }
    match names::number(text) {
        Some(uid) => Ok(Some((uid, names::login_group(files, uid)?))),
        None => Ok(None),
    }
}

/// A group by name, else by number.
pub(crate) fn group(call: &Call<'_, '_>, text: &[u8]) -> Result<Option<u32>, Halt> {
    Ok(names::group(&call.shell.files, text)?.or_else(|| names::number(text)))
}

/// Gives files away; with `-R` everything below, and no link is followed then.
fn change_all(call: &mut Call<'_, '_>, owner: Owner, paths: &[Vec<u8>]) -> Result<u8, Halt> {
    let keeps_links = call.has(b'h') || call.has(b'R');
    let last = if keeps_links {
        LastLink::Keep
    } else {
        LastLink::Follow
    };
    for path in paths {
        let place = call.shell.files.place(path, last).and_then(|place| {
            let node = place.node.ok_or(Errno::NotFound)?;
            Ok(Found {
                path: place.path,
                node,
            })
        });
        let changed = place.and_then(|found| change(call, &found, owner));
        if let Err(errno) = changed.settle()? {
            fail(call, path, errno)?;
        }
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
    let dangling = errno == Errno::NotFound && call.is_link(path)?;
    call.fail_at(
        if dangling {
            "cannot dereference"
        } else {
            "cannot access"
        },
        path,
        errno,
    )
}

fn change(call: &mut Call<'_, '_>, found: &Found, owner: Owner) -> Called<()> {
    call.shell.files.set_owner(&found.path, owner.uid, owner.gid)?;
    if !call.has(b'R') || !found.node.is_directory() {
        return Ok(());
    }
    for (name, node) in call.shell.files.children(&found.path)? {
        let path = join(&found.path, &name)?;
        change(call, &Found { path, node }, owner)?;
    }
    Ok(())
}
