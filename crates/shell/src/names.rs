//! Names of users and groups, as the image's own `/etc/passwd` and `/etc/group` give them.

use onlay_layer::Content;

use crate::files::Files;
use crate::halt::{Halt, Settle};
use crate::outcome::Reason;

/// A user of `/etc/passwd`.
pub(crate) struct Account {
    pub(crate) uid: u32,
    /// The group of a login.
    pub(crate) gid: u32,
}

/// Finds a user by name.
pub(crate) fn user(files: &Files, name: &[u8]) -> Result<Option<Account>, Halt> {
    let table = table(files, b"/etc/passwd")?;
    let found = entry(&table, name).and_then(|fields| {
        Some(Account {
            uid: number(fields.get(2)?)?,
            gid: number(fields.get(3)?)?,
        })
    });
    Ok(found)
}

/// Finds the login group of the user with this number.
pub(crate) fn login_group(files: &Files, uid: u32) -> Result<Option<u32>, Halt> {
    let table = table(files, b"/etc/passwd")?;
    let mut entries = table.split(|byte| *byte == b'\n').map(fields);
    let found = entries.find(|fields| fields.get(2).and_then(|field| number(field)) == Some(uid));
    Ok(found.and_then(|fields| number(fields.get(3)?)))
}

/// Finds a group by name.
pub(crate) fn group(files: &Files, name: &[u8]) -> Result<Option<u32>, Halt> {
    let table = table(files, b"/etc/group")?;
    Ok(entry(&table, name).and_then(|fields| number(fields.get(2)?)))
}

/// Reads a number that may stand for a user or a group.
pub(crate) fn number(text: &[u8]) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    // The last number stands for "unchanged" in the kernel, and so for nobody.
    std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)?
        .parse()
        .ok()
        .filter(|number| *number != u32::MAX)
}

fn table(files: &Files, path: &[u8]) -> Result<Vec<u8>, Halt> {
    match files.read(path).settle()? {
        Ok(Content::Bytes(bytes)) => Ok(bytes.to_vec()),
        Ok(content) if content.size() == 0 => Ok(Vec::new()),
        Ok(_) => Err(Halt::refused(path, Reason::Contents)),
        Err(_) => Ok(Vec::new()),
    }
}

fn entry<'t>(table: &'t [u8], name: &[u8]) -> Option<Vec<&'t [u8]>> {
    let mut entries = table.split(|byte| *byte == b'\n').map(fields);
    entries.find(|fields| !name.is_empty() && fields.first() == Some(&name))
}

fn fields(line: &[u8]) -> Vec<&[u8]> {
    line.split(|byte| *byte == b':').collect()
}
