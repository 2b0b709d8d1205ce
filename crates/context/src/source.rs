use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::git_source::{GitAddressError, GitSource, has_scheme};

/// What the argument CONTEXT of a build means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextSource {
    /// `-`: standard input, which is a tar or a Dockerfile. [`sniff`] tells which.
    StandardInput,
    /// A directory.
    Directory(PathBuf),
    /// A file, which is a tar.
    Archive(PathBuf),
    /// A git repository, to be checked out.
    Git(GitSource),
    /// An http or https address, of a tar or a Dockerfile.
    Url(String),
}

impl ContextSource {
    /// Finds out what the argument means. A directory or file of that name comes before any address.
    ///
    /// # Errors
    /// It is empty, a path where nothing is, neither directory nor file, or a wrong address.
    pub fn resolve(argument: &OsStr) -> Result<Self, ContextSourceError> {
        if argument == "-" {
            return Ok(ContextSource::StandardInput);
        }
        if argument.is_empty() {
            return Err(ContextSourceError::Empty);
        }
        let path = Path::new(argument);
        match rustix::fs::stat(path).map(|found| FileType::from_raw_mode(found.st_mode)) {
            Ok(FileType::Directory) => Ok(ContextSource::Directory(path.to_owned())),
            Ok(FileType::RegularFile) => Ok(ContextSource::Archive(path.to_owned())),
            Ok(_) => Err(ContextSourceError::Special {
                path: path.to_owned(),
            }),
            Err(source) => match argument.to_str().map(ContextSource::parse_address).transpose()? {
                Some(Some(address)) => Ok(address),
                _ => Err(ContextSourceError::Path {
                    path: path.to_owned(),
                    source: source.into(),
                }),
            },
        }
    }

    /// Reads an address without looking at any file; nothing when it must be a path.
    ///
    /// # Errors
    /// It is an address, and a wrong one.
    pub fn parse_address(text: &str) -> Result<Option<Self>, ContextSourceError> {
        if let Some(git) = GitSource::parse_context(text)? {
            return Ok(Some(ContextSource::Git(git)));
        }
        if has_scheme(text, &["http", "https"]) {
            return Ok(Some(ContextSource::Url(text.to_owned())));
        }
        match text.split_once("://") {
            Some((scheme, _)) if is_scheme(scheme) => Err(ContextSourceError::Scheme {
                scheme: scheme.to_owned(),
            }),
            _ => Ok(None),
        }
    }
}

/// Why the argument CONTEXT means nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextSourceError {
    /// Nothing was given.
    #[error("the build context is empty; `.` is the current directory")]
    Empty,
    /// There is nothing at the path, or it may not be looked at.
    #[error("the build context `{}` cannot be used", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A pipe, device or socket.
    #[error("the build context `{}` is neither a directory nor a file; a tar is read from `-`", path.display())]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// An address of another kind.
    #[error("a build context cannot be fetched by `{scheme}://`; expected https, http, git or ssh")]
    Scheme {
        /// How it starts.
        scheme: String,
    },
    /// A git address that is wrong.
    #[error("the build context is a wrong git address")]
    Git {
        /// What is wrong.
        #[from]
        source: GitAddressError,
    },
}

/// What comes on standard input, or from an http address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdinKind {
    /// A tar, with what it is compressed by.
    Tar(TarCompression),
    /// A Dockerfile.
    Dockerfile,
}

/// What a tar is compressed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TarCompression {
    /// Nothing.
    None,
    /// gzip
    Gzip,
    /// bzip2
    Bzip2,
    /// xz
    Xz,
    /// Zstandard
    Zstd,
}

/// How many bytes [`sniff`] looks at: one header of a tar.
pub const SNIFF_LENGTH: usize = 512;

/// Tells a tar from a Dockerfile by its first [`SNIFF_LENGTH`] bytes, or all of it when it is shorter.
///
/// What starts as compressed data does is a tar. So is what has the checksum of a tar's header.
pub fn sniff(start: &[u8]) -> StdinKind {
    const MAGIC: [(&[u8], TarCompression); 4] = [
        (b"\x1f\x8b\x08", TarCompression::Gzip),
        (b"BZh", TarCompression::Bzip2),
        (b"\xfd7zXZ\0", TarCompression::Xz),
        (b"\x28\xb5\x2f\xfd", TarCompression::Zstd),
    ];
    match MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        Some((_, compression)) => StdinKind::Tar(*compression),
        None if is_tar_header(start) => StdinKind::Tar(TarCompression::None),
        None => StdinKind::Dockerfile,
    }
}

/// Tells whether the sum of the header's bytes is the one that is written in it.
///
/// Source: POSIX pax, "ustar Interchange Format": the eight bytes of the sum itself count as spaces. Old writers took
/// bytes for signed, which readers allow.
fn is_tar_header(start: &[u8]) -> bool {
    const SUM: std::ops::Range<usize> = 148..156;
    let Some(header) = start.get(..SNIFF_LENGTH) else {
        return false;
    };
    let digits: String = header[SUM]
        .iter()
        .map(|&byte| char::from(byte))
        .skip_while(|character| *character == ' ')
        .take_while(|character| character.is_digit(8))
        .collect();
    let Ok(written) = i64::from_str_radix(&digits, 8) else {
        return false;
    };
    let bytes = || {
        header
            .iter()
            .enumerate()
            .map(|(index, &byte)| match SUM.contains(&index) {
                true => b' ',
                false => byte,
            })
    };
    let unsigned: i64 = bytes().map(i64::from).sum();
    let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
    written == unsigned || written == signed
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
}
