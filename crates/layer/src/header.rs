//! Tar headers as onlay writes them: ustar, with a PAX record before them only where ustar cannot say it.
//!
//! Source: POSIX.1-2018 pax "ustar Interchange Format", "pax Extended Header"; dockerfile.md §1.13 for what BuildKit
//! writes. `tar::Builder` is not used: it writes GNU long names, which are one more format to read.

use std::io::{self, Write};

use tar::{EntryType, Header};

use crate::Metadata;

/// What a header says.
pub(crate) struct Member<'a> {
    /// The name; a directory's ends in a slash.
    pub(crate) name: &'a [u8],
    pub(crate) entry_type: EntryType,
    pub(crate) metadata: &'a Metadata,
    pub(crate) mtime: i64,
    pub(crate) size: u64,
    pub(crate) link: &'a [u8],
    pub(crate) device: Option<(u32, u32)>,
}

const NAME_LENGTH: usize = 100;
const PREFIX_LENGTH: usize = 155;
/// Seven octal digits.
const MAX_ID: u32 = 0o7_777_777;
/// Eleven octal digits.
const MAX_SIZE: u64 = 0o77_777_777_777;

/// Writes a member's header, and the PAX record before it if it needs one.
pub(crate) fn write_header(out: &mut impl Write, member: &Member<'_>) -> io::Result<()> {
    let records = pax_records(member);
    if !records.is_empty() {
        write_pax(out, member.name, &records)?;
    }
    let mut header = Header::new_ustar();
    set_name(&mut header, member.name);
    set_field(&mut header.as_old_mut().linkname, member.link);
    header.set_entry_type(member.entry_type);
    header.set_mode(member.metadata.mode);
    header.set_uid(u64::from(if member.metadata.uid > MAX_ID {
        0
    } else {
        member.metadata.uid
    }));
    header.set_gid(u64::from(if member.metadata.gid > MAX_ID {
        0
    } else {
        member.metadata.gid
    }));
    header.set_mtime(u64::try_from(member.mtime).unwrap_or(0));
    header.set_size(if member.size > MAX_SIZE { 0 } else { member.size });
    let (major, minor) = member.device.unwrap_or_default();
    header.set_device_major(major)?;
    header.set_device_minor(minor)?;
    header.set_cksum();
    out.write_all(header.as_bytes())
}

/// Fills a file's last block of 512 bytes.
pub(crate) fn write_padding(out: &mut impl Write, size: u64) -> io::Result<()> {
    let used = (size % 512) as usize;
    if used > 0 {
        out.write_all(&[0; 512][used..])
    } else {
        Ok(())
    }
}

fn pax_records(member: &Member<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    if !fits_name(member.name) {
        push_record(&mut records, "path", member.name);
    }
    if member.link.len() > NAME_LENGTH || !member.link.is_ascii() {
        push_record(&mut records, "linkpath", member.link);
    }
    if member.size > MAX_SIZE {
        push_record(&mut records, "size", member.size.to_string().as_bytes());
    }
    if member.metadata.uid > MAX_ID {
        push_record(&mut records, "uid", member.metadata.uid.to_string().as_bytes());
    }
    if member.metadata.gid > MAX_ID {
        push_record(&mut records, "gid", member.metadata.gid.to_string().as_bytes());
    }
    if u64::try_from(member.mtime).map_or(true, |mtime| mtime > MAX_SIZE) {
        push_record(&mut records, "mtime", member.mtime.to_string().as_bytes());
    }
    for (name, value) in &member.metadata.xattrs {
        push_record(&mut records, &format!("SCHILY.xattr.{name}"), value);
    }
    records
}

/// `length key=value\n`, where the length counts itself.
fn push_record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn write_pax(out: &mut impl Write, name: &[u8], records: &[u8]) -> io::Result<()> {
    let mut header = Header::new_ustar();
    set_field(&mut header.as_old_mut().name, &pax_name(name));
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    header.set_device_major(0)?;
    header.set_device_minor(0)?;
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    out.write_all(records)?;
    write_padding(out, records.len() as u64)
}

/// `<directory>/PaxHeaders.0/<name>`, which nobody reads, cut to what fits.
fn pax_name(name: &[u8]) -> Vec<u8> {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let (directory, base) = match name.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => name.split_at(slash + 1),
        None => (&b""[..], name),
    };
    let full = [directory, b"PaxHeaders.0/", base].concat();
    full.into_iter().filter(u8::is_ascii).take(NAME_LENGTH).collect()
}

fn fits_name(name: &[u8]) -> bool {
    name.is_ascii() && (name.len() <= NAME_LENGTH || split_name(name).is_some())
}

/// Splits a long name at a slash into the prefix and name fields.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let earliest = name.len().checked_sub(NAME_LENGTH + 1)?;
    // A directory's own trailing slash is not a place to split at.
    let last = name.len().checked_sub(2)?;
    let slash = (earliest..=last).find(|index| name[*index] == b'/' && *index > 0)?;
    (slash <= PREFIX_LENGTH).then(|| (&name[..slash], &name[slash + 1..]))
}

fn set_name(header: &mut Header, name: &[u8]) {
    let (prefix, rest) = match split_name(name) {
        Some((prefix, rest)) if name.len() > NAME_LENGTH => (prefix, rest),
        _ => (&b""[..], name),
    };
    set_field(&mut header.as_old_mut().name, rest);
    if let Some(ustar) = header.as_ustar_mut() {
        set_field(&mut ustar.prefix, prefix);
    }
}

/// Copies what fits; what does not stands in a PAX record.
fn set_field(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
    field[length..].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(name: &str, metadata: &Metadata, mtime: i64, link: &str) -> (Vec<u8>, String, u64, String) {
        let entry_type = if link.is_empty() {
            EntryType::Regular
        } else {
            EntryType::Symlink
        };
        let mut tar = Vec::new();
        let member = Member {
            name: name.as_bytes(),
            entry_type,
            metadata,
            mtime,
            size: 0,
            link: link.as_bytes(),
            device: None,
        };
        write_header(&mut tar, &member).unwrap();
        let bytes = tar.clone();
        tar.extend([0; 1024]);
        let mut archive = tar::Archive::new(&tar[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let target = entry
            .link_name_bytes()
            .map(|link| link.into_owned())
            .unwrap_or_default();
        (
            bytes,
            path,
            entry.header().uid().unwrap(),
            String::from_utf8(target).unwrap(),
        )
    }

    #[test]
    fn long_and_foreign_names_come_back() {
        let root = Metadata::root_owned(0o644);
        let deep = format!("{}/{}", "d".repeat(120), "f".repeat(90));
        let long = "n".repeat(180);
        for (name, blocks) in [("etc/x", 1), (deep.as_str(), 1), (long.as_str(), 3), ("é", 3)] {
            let (bytes, path, ..) = round_trip(name, &root, 0, "");
            assert_eq!((path.as_str(), bytes.len() / 512), (name, blocks));
        }
        let (_, _, _, target) = round_trip("l", &root, 0, &long);
        assert_eq!(target, long);
    }

    #[test]
    fn pax_only_where_ustar_cannot_say_it() {
        let large = Metadata::owned(0o644, 3_000_000, 5);
        assert_eq!(round_trip("x", &large, 0, "").0.len(), 3 * 512);
        assert_eq!(
            round_trip("x", &Metadata::owned(0o644, MAX_ID, MAX_ID), 0, "")
                .0
                .len(),
            512
        );
        assert_eq!(round_trip("x", &Metadata::root_owned(0), -1, "").0.len(), 3 * 512);
        let capability = Metadata {
            xattrs: vec![("security.capability".to_owned(), vec![1, 0, 0, 2])],
            ..large
        };
        assert_eq!(round_trip("x", &capability, 0, "").0.len(), 3 * 512);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [1, 80, 95, 96, 97, 985, 986, 987] {
            let mut records = Vec::new();
            push_record(&mut records, "path", &vec![b'x'; length]);
            let text = String::from_utf8(records).unwrap();
            assert_eq!(text.split(' ').next(), Some(text.len().to_string().as_str()));
        }
    }
}
