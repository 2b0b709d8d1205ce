//! Members of a tar on disk, read in place.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err as fs;
use onlay_oci::Compression;

use crate::StoreError;
use crate::store::MAX_IN_MEMORY;

/// Where the members of a tar are. Members are read in place, each through a file handle of its own.
#[derive(Debug)]
pub(crate) struct Members {
    file: PathBuf,
    /// Start and size of files; links point to other names.
    members: HashMap<String, Member>,
}

#[derive(Debug, Clone)]
enum Member {
    File { start: u64, size: u64 },
    Link(String),
}

/// How many links one name may lead through.
const MAX_LINKS: usize = 16;

impl Members {
    pub(crate) fn open(file: &Path) -> Result<Self, StoreError> {
        refuse_compressed(file)?;
        let mut archive = tar::Archive::new(fs::File::open(file)?);
        let mut members = HashMap::new();
        let failed = |source| StoreError::Tar {
            path: file.to_owned(),
            source,
        };
        for entry in archive.entries_with_seek().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = normalised(&String::from_utf8_lossy(&entry.path_bytes()));
            let member = match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => Member::File {
                    start: entry.raw_file_position(),
                    size: entry.size(),
                },
                tar::EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    Member::Link(beside(&name, &String::from_utf8_lossy(&target)))
                }
                tar::EntryType::Link => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    Member::Link(normalised(&String::from_utf8_lossy(&target)))
                }
                _ => continue,
            };
            members.insert(name, member);
        }
        Ok(Self {
            file: file.to_owned(),
            members,
        })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Opens a member, with its size.
    pub(crate) fn member(&self, name: &str) -> Result<Option<(io::Take<fs::File>, u64)>, StoreError> {
        let mut name = normalised(name);
        for _ in 0..MAX_LINKS {
            match self.members.get(&name) {
                None => return Ok(None),
                Some(Member::Link(target)) => name = target.clone(),
                Some(Member::File { start, size }) => {
                    let mut file = fs::File::open(&self.file)?;
                    file.seek(SeekFrom::Start(*start))?;
                    return Ok(Some((file.take(*size), *size)));
                }
            }
        }
        Ok(None)
    }

    /// Reads all of a small member that the archive must have.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let (mut reader, size) = self.member(name)?.ok_or_else(|| StoreError::NotAnArchive {
            path: self.file.clone(),
            missing: name.to_owned(),
        })?;
        if size > MAX_IN_MEMORY {
            return Err(StoreError::TooLarge {
                name: name.to_owned(),
                size,
                max: MAX_IN_MEMORY,
            });
        }
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Tells how bytes that start like this are compressed.
///
/// Source: RFC 1952 §2.3.1; RFC 8878 §3.1.1.
pub(crate) fn sniff(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// As many bytes as [`sniff`] looks at.
pub(crate) const MAGIC_LENGTH: u64 = 4;

/// Members of a compressed archive cannot be read in place, and the tar parser would only say that it is no tar.
fn refuse_compressed(file: &Path) -> Result<(), StoreError> {
    let mut start = Vec::new();
    fs::File::open(file)?.take(MAGIC_LENGTH).read_to_end(&mut start)?;
    let compression = match sniff(&start) {
        Compression::None => return Ok(()),
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    };
    Err(StoreError::Compressed {
        path: file.to_owned(),
        compression,
    })
}

/// A name without `./` and doubled slashes, `..` taken away with the name before it.
fn normalised(name: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            part => names.push(part),
        }
    }
    names.join("/")
}

/// What a symbolic link at `name` points to.
fn beside(name: &str, target: &str) -> String {
    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
    normalised(&format!("{directory}/{target}"))
}
