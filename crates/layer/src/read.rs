//! Reading a layer's tar: its listing in one pass, or one file of it.
//!
//! `tar` splits the stream into raw members; long names, PAX records and whiteouts are taken apart here, with limits,
//! because a layer comes from strangers: a record of ten gigabytes must not end in memory, and a name must not leave the
//! image.
//!
//! An archive that ADD unpacks is read the same way, but for its names: they are taken as an unpacker takes them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};

use bstr::ByteSlice;
use onlay_oci::{Algorithm, DiffId, Digest, Digester};
use tar::{Archive, EntryType, Header};

use crate::decompress::decompressor;
use crate::listing::{Entry, EntryKind, Listing};
use crate::{BaseFile, ImagePath, Metadata, PathError};

/// The largest PAX record or GNU long name that is read, in bytes. Go's reader has the same limit.
const MAX_RECORD_SIZE: u64 = 1024 * 1024;

/// The most members that one layer may have.
const MAX_ENTRIES: usize = 10_000_000;

/// Files whose contents names and flavours are looked up in; they go into the listing.
const INLINED: &[&[u8]] = &[
    b"etc/passwd",
    b"etc/group",
    b"etc/os-release",
    b"usr/lib/os-release",
];

/// The largest file that is inlined, in bytes; passwd files of ten thousand users stay below it.
const MAX_INLINED_SIZE: u64 = 1024 * 1024;

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const OPAQUE_WHITEOUT: &[u8] = b".wh..wh..opq";
/// Names that AUFS kept for itself and that old images still carry.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

/// Streams a layer once, compressed as it is stored, and lists it.
///
/// The stream is read to its end, so that a reader which verifies it does; the uncompressed bytes are checked against
/// `expected`.
///
/// # Errors
/// The stream fails or is no tar, a member's name leaves the image, a hard link leads nowhere, or the diff id differs.
pub fn read_listing(compressed: impl Read, expected: &DiffId) -> Result<Listing, LayerReadError> {
    let stream = decompressor(compressed).map_err(LayerReadError::Stream)?;
    let listing = list(stream, ListingReader::default())?;
    if listing.diff_id != *expected {
        return Err(LayerReadError::DiffId {
            expected: expected.clone(),
            found: listing.diff_id,
        });
    }
    Ok(listing)
}

/// Streams a tar archive once, uncompressed, and lists it as if it were a layer: for `ADD` and for contexts.
///
/// Names are taken as unpackers take them: relative to where the archive is unpacked, absolute ones too, and `..` never
/// leads out of there. The diff id that the listing gets is the digest of the archive.
///
/// # Errors
/// The stream fails or is no tar, a hard link leads to a directory, or a member is named like a whiteout, which engines
/// would take for one. A hard link may lead out of the archive, to what it is unpacked over.
pub fn read_archive(tar: impl Read) -> Result<Listing, LayerReadError> {
    let reader = ListingReader {
        names: Names::Archive,
        ..ListingReader::default()
    };
    list(tar, reader)
}

fn list(tar: impl Read, mut reader: ListingReader) -> Result<Listing, LayerReadError> {
    let mut archive = Archive::new(Counting::new(tar));
    let members = archive.entries().map_err(LayerReadError::Stream)?.raw(true);
    for member in members {
        reader.member(member.map_err(LayerReadError::Stream)?)?;
    }
    let mut stream = archive.into_inner();
    // What follows the end mark belongs to the diff id too.
    io::copy(&mut stream, &mut io::sink()).map_err(LayerReadError::Stream)?;
    let (digest, uncompressed_size) = stream.finish();
    reader.finish(DiffId::new(digest), uncompressed_size)
}

/// Copies files out of a layer, compressed as it is stored, in one pass over it.
///
/// Their bytes go into `out` one behind the other, in the order that is returned: that of the layer, a file that is
/// asked for twice only once. The stream is left where the last file ends: whoever wants the layer itself verified
/// reads on.
///
/// # Errors
/// The stream fails, ends before a file does, or a file's bytes are not those that were listed.
pub fn read_files<'a>(
    compressed: impl Read,
    files: &[&'a BaseFile],
    out: &mut impl io::Write,
) -> Result<Vec<&'a BaseFile>, FileReadError> {
    let mut files = files.to_vec();
    files.sort_by_key(|file| (file.offset, file.size));
    files.dedup();
    let mut stream = decompressor(compressed).map_err(|source| FileReadError::Layer { source })?;
    let mut position = 0;
    for file in &files {
        let failed = |source| FileReadError::File {
            path: file.path.clone(),
            source,
        };
        // Listings never have files that overlap; a damaged one would, and then the digest tells.
        copy_exactly(&mut stream, &mut io::sink(), file.offset.saturating_sub(position)).map_err(failed)?;
        let mut writer = Digesting {
            writer: &mut *out,
            digester: Digester::new(file.digest.algorithm()),
        };
        copy_exactly(&mut stream, &mut writer, file.size).map_err(failed)?;
        let found = writer.digester.finish();
        if found != file.digest {
            return Err(FileReadError::Digest {
                path: file.path.clone(),
                expected: file.digest.clone(),
                found,
            });
        }
        position = file.offset + file.size;
    }
    Ok(files)
}

fn copy_exactly(from: &mut impl Read, to: &mut impl io::Write, count: u64) -> io::Result<()> {
    let copied = io::copy(&mut from.take(count), to)?;
    if copied < count {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(())
    }
}

struct Digesting<W> {
    writer: W,
    digester: Digester,
}

impl<W: io::Write> io::Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.digester.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Whose rules the names of members follow.
#[derive(Clone, Copy, Default, PartialEq)]
enum Names {
    #[default]
    Layer,
    Archive,
}

impl Names {
    fn path(self, name: &[u8]) -> Result<ImagePath, PathError> {
        match self {
            Self::Layer => ImagePath::from_member(name),
            Self::Archive => ImagePath::clamped(name),
        }
    }
}

#[derive(Default)]
struct ListingReader {
    names: Names,
    entries: Vec<Entry>,
    positions: HashMap<ImagePath, usize>,
    /// The file that each hard link leads to, both as positions among the entries.
    links: BTreeMap<usize, usize>,
    inlined: Vec<(ImagePath, Vec<u8>)>,
    pending: Extensions,
    global: Extensions,
}

/// What PAX records and GNU long names say of the next member.
#[derive(Clone, Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    mtime: Option<i64>,
    uid: Option<u64>,
    gid: Option<u64>,
    xattrs: Vec<(String, Vec<u8>)>,
}

type Raw<'a, R> = tar::Entry<'a, R>;

impl ListingReader {
    fn member<R: Read>(&mut self, mut member: Raw<'_, R>) -> Result<(), LayerReadError> {
        match member.header().entry_type() {
            EntryType::XHeader => {
                let records = read_record(&mut member)?;
                self.pending.add_pax(&records)
            }
            EntryType::XGlobalHeader => {
                let records = read_record(&mut member)?;
                self.global.add_pax(&records)
            }
            EntryType::GNULongName => {
                self.pending.path = Some(trim_nul(read_record(&mut member)?));
                Ok(())
            }
            EntryType::GNULongLink => {
                self.pending.link = Some(trim_nul(read_record(&mut member)?));
                Ok(())
            }
            _ => {
                let pending = std::mem::take(&mut self.pending);
                let extensions = pending.over(&self.global);
                self.file(member, extensions)
            }
        }
    }

    fn file<R: Read>(
        &mut self,
        mut member: Raw<'_, R>,
        extensions: Extensions,
    ) -> Result<(), LayerReadError> {
        let header = member.header().clone();
        let name = extensions
            .path
            .clone()
            .unwrap_or_else(|| member.path_bytes().into_owned());
        let path = self.names.path(&name)?;
        if self.names == Names::Archive && path.name().is_some_and(|name| name.starts_with(WHITEOUT_PREFIX)) {
            return Err(LayerReadError::WhiteoutName { path });
        }
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => match whiteout(&path)? {
                Some(Whiteout::Of(target)) => {
                    return self.push(target, &header, extensions, EntryKind::Whiteout);
                }
                Some(Whiteout::Opaque(directory)) => {
                    return self.push(directory, &header, extensions, EntryKind::OpaqueWhiteout);
                }
                Some(Whiteout::OfAufs) => return Ok(()),
                // Old writers marked directories by a trailing slash alone.
                None if name.ends_with(b"/") => EntryKind::Directory,
                None => self.content(&path, &mut member)?,
            },
            EntryType::Directory => EntryKind::Directory,
            EntryType::Symlink => EntryKind::Symlink {
                target: link_name(&member, &extensions),
            },
            EntryType::Link => {
                let target = self.names.path(&link_name(&member, &extensions))?;
                match self.linked_file(&path, &target)? {
                    Some(file) => {
                        self.links.insert(self.entries.len(), file);
                        EntryKind::HardLink {
                            target: self.entries[file].path.clone(),
                        }
                    }
                    None => EntryKind::HardLink { target },
                }
            }
            EntryType::Char => {
                let (major, minor) = device(&header, &path)?;
                EntryKind::CharacterDevice { major, minor }
            }
            EntryType::Block => {
                let (major, minor) = device(&header, &path)?;
                EntryKind::BlockDevice { major, minor }
            }
            EntryType::Fifo => EntryKind::Fifo,
            other => {
                return Err(LayerReadError::MemberType {
                    path,
                    found: char::from(other.as_byte()),
                });
            }
        };
        self.push(path, &header, extensions, kind)
    }

    fn content<R: Read>(
        &mut self,
        path: &ImagePath,
        member: &mut Raw<'_, R>,
    ) -> Result<EntryKind, LayerReadError> {
        let (size, offset) = (member.size(), member.raw_file_position());
        let mut digester = Digester::new(Algorithm::Sha256);
        let inline = INLINED.contains(&path.as_bytes()) && size <= MAX_INLINED_SIZE;
        let mut kept = Vec::new();
        let mut buffer = [0; 32 * 1024];
        let mut left = size;
        while left > 0 {
            let count = member.read(&mut buffer).map_err(LayerReadError::Stream)?;
            if count == 0 {
                return Err(LayerReadError::Stream(io::ErrorKind::UnexpectedEof.into()));
            }
            digester.update(&buffer[..count]);
            if inline {
                kept.extend_from_slice(&buffer[..count]);
            }
            left -= count as u64;
        }
        self.inlined.retain(|(inlined, _)| inlined != path);
        if inline {
            self.inlined.push((path.clone(), kept));
        }
        Ok(EntryKind::File {
            size,
            offset,
            digest: digester.finish(),
        })
    }

    /// A hard link has its target's metadata, which the tar may leave out; a link to a link leads to the file itself.
    ///
    /// Nothing if an archive links to what it is unpacked over.
    fn linked_file(&self, path: &ImagePath, target: &ImagePath) -> Result<Option<usize>, LayerReadError> {
        let missing = || LayerReadError::HardLink {
            path: path.clone(),
            target: target.clone(),
        };
        let position = match self.positions.get(target) {
            Some(position) => *position,
            None if self.names == Names::Archive => return Ok(None),
            None => return Err(missing()),
        };
        match self.entries[position].kind {
            EntryKind::Directory => Err(missing()),
            _ => Ok(Some(self.links.get(&position).copied().unwrap_or(position))),
        }
    }

    fn push(
        &mut self,
        path: ImagePath,
        header: &Header,
        extensions: Extensions,
        kind: EntryKind,
    ) -> Result<(), LayerReadError> {
        if self.entries.len() >= MAX_ENTRIES {
            return Err(LayerReadError::TooManyEntries);
        }
        let number = |own: io::Result<u64>, extension: Option<u64>| match extension {
            Some(number) => u32::try_from(number).ok(),
            None => own.ok().and_then(|number| u32::try_from(number).ok()),
        };
        let (Some(uid), Some(gid), Ok(mode)) = (
            number(header.uid(), extensions.uid),
            number(header.gid(), extensions.gid),
            header.mode(),
        ) else {
            return Err(LayerReadError::Header { path });
        };
        let mtime = match extensions.mtime {
            Some(mtime) => mtime,
            None => header
                .mtime()
                .ok()
                .and_then(|mtime| i64::try_from(mtime).ok())
                .unwrap_or(0),
        };
        let metadata = Metadata {
            mode: mode & 0o7777,
            uid,
            gid,
            xattrs: extensions.xattrs,
        };
        if !matches!(kind, EntryKind::Whiteout | EntryKind::OpaqueWhiteout) {
            self.positions.insert(path.clone(), self.entries.len());
        }
        if !matches!(kind, EntryKind::File { .. }) {
            self.inlined.retain(|(inlined, _)| *inlined != path);
        }
        self.entries.push(Entry {
            path,
            metadata,
            mtime,
            kind,
        });
        Ok(())
    }

    /// Of a path that came twice the last entry counts; whiteouts are kept beside it.
    fn finish(mut self, diff_id: DiffId, uncompressed_size: u64) -> Result<Listing, LayerReadError> {
        self.bequeath();
        let Self {
            entries,
            positions,
            inlined,
            ..
        } = self;
        let mut seen = HashSet::new();
        let keep = |(position, entry): (usize, Entry)| match entry.kind {
            EntryKind::Whiteout | EntryKind::OpaqueWhiteout => seen
                .insert((entry.path.clone(), matches!(entry.kind, EntryKind::Whiteout)))
                .then_some(entry),
            _ => (positions.get(&entry.path) == Some(&position)).then_some(entry),
        };
        let entries: Vec<Entry> = entries.into_iter().enumerate().filter_map(keep).collect();
        Ok(Listing {
            diff_id,
            uncompressed_size,
            entries,
            inlined,
        })
    }

    /// A file whose name came again lives on under the first of its other names.
    fn bequeath(&mut self) {
        let mut heirs = HashMap::new();
        for (link, file) in std::mem::take(&mut self.links) {
            let counts =
                |position: usize| self.positions.get(&self.entries[position].path) == Some(&position);
            if counts(file) || !counts(link) {
                continue;
            }
            let path = self.entries[link].path.clone();
            match heirs.get(&file) {
                Some(heir) => {
                    self.entries[link].kind = EntryKind::HardLink {
                        target: ImagePath::clone(heir),
                    }
                }
                None => {
                    let file = Entry {
                        path: path.clone(),
                        ..self.entries[file].clone()
                    };
                    self.entries[link] = file;
                }
            }
            heirs.entry(file).or_insert(path);
        }
    }
}

impl Extensions {
    fn add_pax(&mut self, records: &[u8]) -> Result<(), LayerReadError> {
        let mut rest = records;
        while !rest.is_empty() {
            let (key, value, next) = split_pax(rest).ok_or(LayerReadError::Pax)?;
            self.add_record(key, value)?;
            rest = next;
        }
        Ok(())
    }

    fn add_record(&mut self, key: &[u8], value: &[u8]) -> Result<(), LayerReadError> {
        let number = || {
            value
                .to_str()
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or(LayerReadError::Pax)
        };
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            // `tar` does not look at PAX in raw mode, so a size that only PAX can say would be misread.
            b"size" => {
                if number()? > 0o77_777_777_777 {
                    return Err(LayerReadError::Size);
                }
            }
            b"mtime" => self.mtime = Some(seconds(value).ok_or(LayerReadError::Pax)?),
            key if key.starts_with(b"GNU.sparse.") => return Err(LayerReadError::Sparse),
            key => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.add_xattr(name, value);
                }
            }
        }
        Ok(())
    }

    /// Only file capabilities take part in images: BuildKit and Docker leave out all other attributes (dockerfile.md §0,
    /// finding 17).
    fn add_xattr(&mut self, name: &[u8], value: &[u8]) {
        if name == b"security.capability" {
            self.xattrs = vec![("security.capability".to_owned(), value.to_vec())];
        }
    }

    fn over(self, global: &Self) -> Self {
        Self {
            path: self.path,
            link: self.link,
            mtime: self.mtime.or(global.mtime),
            uid: self.uid.or(global.uid),
            gid: self.gid.or(global.gid),
            xattrs: self.xattrs,
        }
    }
}

/// One `length key=value\n` in front of a PAX header, and the rest.
fn split_pax(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.find_byte(b' ')?;
    let length: usize = records[..space].to_str().ok()?.parse().ok()?;
    let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.find_byte(b'=')?;
    Some((&record[..equals], &record[equals + 1..], &records[length..]))
}

/// Whole seconds of a PAX time such as `1686650400.123`, rounded down.
fn seconds(value: &[u8]) -> Option<i64> {
    let text = value.to_str().ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let below = whole.starts_with('-') && fraction.bytes().any(|digit| digit != b'0');
    Some(if below { seconds.checked_sub(1)? } else { seconds })
}

fn read_record<R: Read>(member: &mut Raw<'_, R>) -> Result<Vec<u8>, LayerReadError> {
    if member.size() > MAX_RECORD_SIZE {
        return Err(LayerReadError::RecordSize { size: member.size() });
    }
    let mut record = Vec::new();
    member.read_to_end(&mut record).map_err(LayerReadError::Stream)?;
    Ok(record)
}

fn trim_nul(mut name: Vec<u8>) -> Vec<u8> {
    let end = name.find_byte(0).unwrap_or(name.len());
    name.truncate(end);
    name
}

fn link_name<R: Read>(member: &Raw<'_, R>, extensions: &Extensions) -> Vec<u8> {
    match &extensions.link {
        Some(link) => link.clone(),
        None => member
            .link_name_bytes()
            .map(|link| link.into_owned())
            .unwrap_or_default(),
    }
}

fn device(header: &Header, path: &ImagePath) -> Result<(u32, u32), LayerReadError> {
    match (header.device_major(), header.device_minor()) {
        (Ok(major), Ok(minor)) => Ok((major.unwrap_or(0), minor.unwrap_or(0))),
        _ => Err(LayerReadError::Header { path: path.clone() }),
    }
}

enum Whiteout {
    Of(ImagePath),
    Opaque(ImagePath),
    OfAufs,
}

fn whiteout(path: &ImagePath) -> Result<Option<Whiteout>, PathError> {
    let (Some(name), Some(parent)) = (path.name(), path.parent()) else {
        return Ok(None);
    };
    if name == OPAQUE_WHITEOUT {
        return Ok(Some(Whiteout::Opaque(parent)));
    }
    if name.starts_with(AUFS_PREFIX) {
        return Ok(Some(Whiteout::OfAufs));
    }
    match name.strip_prefix(WHITEOUT_PREFIX) {
        Some(target) => Ok(Some(Whiteout::Of(parent.join(target)?))),
        None => Ok(None),
    }
}

/// Digests and counts what is read through it.
struct Counting<R: Read> {
    stream: R,
    digester: Digester,
    size: u64,
}

impl<R: Read> Counting<R> {
    fn new(stream: R) -> Self {
        Self {
            stream,
            digester: Digester::new(Algorithm::Sha256),
            size: 0,
        }
    }

    fn finish(self) -> (Digest, u64) {
        (self.digester.finish(), self.size)
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.digester.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}

/// Why a layer could not be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerReadError {
    /// The bytes could not be read or decompressed, or are no tar.
    #[error("the layer could not be read")]
    Stream(#[source] io::Error),
    /// The uncompressed bytes are not those that the configuration names.
    #[error(
        "the layer's uncompressed bytes have another digest than its configuration says: expected {expected}, found {found}"
    )]
    DiffId {
        /// What the configuration says.
        expected: DiffId,
        /// What the bytes have.
        found: DiffId,
    },
    /// A member's name leaves the image.
    #[error("the layer has a member that cannot be in an image")]
    Path(#[from] PathError),
    /// A hard link to something that is not in the layer.
    #[error("the layer links {path} to {target}, which is no file of the same layer")]
    HardLink {
        /// The link.
        path: ImagePath,
        /// What it should share its bytes with.
        target: ImagePath,
    },
    /// A member of an archive that would be a whiteout once it is in a layer.
    #[error("the archive's member {path} is named like a whiteout, and would delete files of the image")]
    WhiteoutName {
        /// The member.
        path: ImagePath,
    },
    /// A member of a type that images do not have.
    #[error("the layer's member {path} has type `{found}`, which images do not have")]
    MemberType {
        /// The member.
        path: ImagePath,
        /// The type flag.
        found: char,
    },
    /// A header with a number that is none, or that no Linux system has.
    #[error("the layer's member {path} has a malformed header")]
    Header {
        /// The member.
        path: ImagePath,
    },
    /// A PAX record that does not parse.
    #[error("the layer has a malformed PAX record")]
    Pax,
    /// A PAX record or long name beyond reason.
    #[error("the layer has a PAX record or long name of {size} bytes, expected at most {MAX_RECORD_SIZE}")]
    RecordSize {
        /// Its size in bytes.
        size: u64,
    },
    /// A member too large for an ustar header.
    #[error("the layer has a file of 8 GiB or more, which is not supported yet")]
    Size,
    /// A sparse file.
    #[error("the layer has a sparse file in GNU's format, which is not supported")]
    Sparse,
    /// Too many members.
    #[error("the layer has more than {MAX_ENTRIES} members")]
    TooManyEntries,
}

/// Why a file could not be copied out of a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileReadError {
    /// The layer could not be read or decompressed.
    #[error("the base layer could not be read")]
    Layer {
        /// What happened.
        source: io::Error,
    },
    /// The layer ended, or the file could not be kept.
    #[error("{path} could not be read from its base layer")]
    File {
        /// The file.
        path: ImagePath,
        /// What happened.
        source: io::Error,
    },
    /// The bytes are not those that the listing was made from.
    #[error("{path} in the base layer is not what was listed: expected {expected}, found {found}")]
    Digest {
        /// The file.
        path: ImagePath,
        /// What the listing says.
        expected: Digest,
        /// What the bytes have.
        found: Digest,
    },
}
