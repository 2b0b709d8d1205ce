//! The members of a layer's tar, read back by the `tar` crate.

use crate::digest::{HashingReader, sha256};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::io::{self, Read};
use tar::EntryType;

/// One member, with everything that a check or a merge looks at.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The name as it is written.
    pub(crate) name: String,
    pub(crate) kind: EntryType,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    /// Of a regular file.
    pub(crate) sha256: String,
    /// The target of a link; empty for the rest.
    pub(crate) link: String,
    pub(crate) device: (u32, u32),
    /// `<user>:<group>` as names.
    pub(crate) names: String,
    pub(crate) pax: BTreeMap<String, Vec<u8>>,
}

impl Member {
    /// The name without the decoration that tar writers add: `./`, slashes at either end.
    pub(crate) fn path(&self) -> &str {
        let name = self.name.strip_prefix("./").unwrap_or(&self.name);
        name.trim_matches('/')
    }

    /// The directory and the name in it.
    pub(crate) fn split(&self) -> (&str, &str) {
        self.path().rsplit_once('/').unwrap_or(("", self.path()))
    }
}

/// What was read of a layer: its members and the digest of the uncompressed tar.
pub(crate) struct Tar {
    pub(crate) members: Vec<Member>,
    pub(crate) diff_id: String,
}

/// Reads a layer blob whole. `media_type` says how it is compressed.
pub(crate) fn read_layer(media_type: &str, blob: &[u8]) -> io::Result<Tar> {
    read_tar(decompress(media_type, blob)?)
}

pub(crate) fn read_tar(reader: impl Read) -> io::Result<Tar> {
    let mut reader = HashingReader::new(reader);
    let mut archive = tar::Archive::new(&mut reader);
    let members = archive
        .entries()?
        .map(|entry| read_member(entry?))
        .collect::<io::Result<Vec<Member>>>()?;
    Ok(Tar {
        members,
        diff_id: reader.finish()?,
    })
}

fn decompress<'a>(media_type: &str, blob: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
    if media_type.ends_with("gzip") {
        Ok(Box::new(MultiGzDecoder::new(blob)))
    } else if media_type.ends_with("zstd") {
        Ok(Box::new(zstd::Decoder::new(blob)?))
    } else {
        Ok(Box::new(blob))
    }
}

fn read_member(mut entry: tar::Entry<'_, impl Read>) -> io::Result<Member> {
    let pax = read_pax(&mut entry)?;
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    let header = entry.header();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Member {
        name: text(&entry.path_bytes()),
        kind: header.entry_type(),
        mode: header.mode()? & 0o7777,
        uid: header.uid()?,
        gid: header.gid()?,
        size: content.len() as u64,
        sha256: sha256(&content),
        link: entry
            .link_name_bytes()
            .map(|link| text(&link))
            .unwrap_or_default(),
        device: (
            header.device_major().ok().flatten().unwrap_or_default(),
            header.device_minor().ok().flatten().unwrap_or_default(),
        ),
        names: format!(
            "{}:{}",
            text(header.username_bytes().unwrap_or_default()),
            text(header.groupname_bytes().unwrap_or_default())
        ),
        pax,
    })
}

fn read_pax(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let Some(records) = entry.pax_extensions()? else {
        return Ok(BTreeMap::new());
    };
    records
        .map(|record| {
            let record = record?;
            Ok((
                String::from_utf8_lossy(record.key_bytes()).into_owned(),
                record.value_bytes().to_vec(),
            ))
        })
        .collect()
}
