use std::fmt;

use bstr::ByteSlice;
use serde::{Deserialize, Serialize};

/// A path inside an image: relative to its root, of plain names only (no empty name, no `.`, no `..`, no NUL).
///
/// Names are bytes, as in a tar; the root is the path of no names. A path of this type names a place, it does not say
/// whether symbolic links were followed: [`Tree::resolve`](crate::Tree::resolve) makes paths for which they were.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Box<[u8]>")]
pub struct ImagePath(Box<[u8]>);

/// The longest path that is accepted, in bytes: Linux's `PATH_MAX`.
const MAX_LENGTH: usize = 4096;

/// The longest name that is accepted, in bytes: what Linux file systems take.
const MAX_NAME_LENGTH: usize = 255;

impl ImagePath {
    /// The root of the image.
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes the name of a tar member: `./` in front, doubled and trailing slashes are dropped.
    ///
    /// # Errors
    /// The name is absolute, climbs with `..`, has a NUL or is too long.
    pub fn from_member(name: &[u8]) -> Result<Self, PathError> {
        if name.starts_with(b"/") {
            return Err(PathError::Absolute { name: lossy(name) });
        }
        let mut path = Self::root();
        for component in name.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(PathError::Climbs { name: lossy(name) }),
                component => path = path.join(component)?,
            }
        }
        Ok(path)
    }

    /// Takes any path as relative to the root, as Go's `path.Join("/", ..)` does: empty names and `.` are dropped, `..`
    /// takes the name before it away and stays at the root. Symbolic links play no part.
    ///
    /// # Errors
    /// A name has a NUL, or something is too long.
    pub fn clamped(path: &[u8]) -> Result<Self, PathError> {
        let mut clamped = Self::root();
        for name in path.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => clamped = clamped.parent().unwrap_or_default(),
                name => clamped = clamped.join(name)?,
            }
        }
        Ok(clamped)
    }

    /// Adds one name.
    ///
    /// # Errors
    /// `name` is not a plain name, or the path gets too long.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        let separator: &[u8] = if self.is_root() { b"" } else { b"/" };
        let path = [&self.0, separator, name].concat();
        check(name, path.len())?;
        Ok(Self(path.into()))
    }

    /// Refuses the text of a path that no system call would take.
    pub(crate) fn expect_length(path: &[u8]) -> Result<(), PathError> {
        if path.len() < MAX_LENGTH {
            return Ok(());
        }
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        Err(PathError::TooLong { name: lossy(name) })
    }

    /// Puts names together that are plain names each.
    pub(crate) fn from_names<'a>(names: impl Iterator<Item = &'a [u8]>) -> Result<Self, PathError> {
        let path = names.collect::<Vec<_>>().join(&b'/');
        if path.len() > MAX_LENGTH {
            return Err(PathError::TooLong {
                name: lossy(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()),
            });
        }
        Ok(Self(path.into()))
    }

    /// Tells whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path without a leading slash, as it stands in a tar.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The names, outermost first.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// The last name; the root has none.
    pub fn name(&self) -> Option<&[u8]> {
        self.names().next_back()
    }

    /// The directory that holds it; the root has none.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.rfind_byte(b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// Tells whether this path is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        match self.0.strip_prefix(&*other.0) {
            Some(rest) => other.is_root() || rest.is_empty() || rest.starts_with(b"/"),
            None => false,
        }
    }

    /// Moves a path from below `from` to below `to`; `None` if it does not lie there.
    pub fn rebase(&self, from: &Self, to: &Self) -> Option<Self> {
        if !self.is_within(from) {
            return None;
        }
        let rest = self.0[from.0.len()..].trim_start_with(|character| character == '/');
        let separator: &[u8] = if to.is_root() || rest.is_empty() {
            b""
        } else {
            b"/"
        };
        Some(Self([&to.0, separator, rest].concat().into()))
    }
}

/// Takes a path as [`ImagePath::as_bytes`] gives it. A cache may hold anything, so what is decoded is checked.
impl TryFrom<Box<[u8]>> for ImagePath {
    type Error = PathError;

    fn try_from(path: Box<[u8]>) -> Result<Self, PathError> {
        if !path.is_empty() {
            path.split(|byte| *byte == b'/')
                .try_for_each(|name| check(name, path.len()))?;
        }
        Ok(Self(path))
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.as_bstr())
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Checks a name in a path of so many bytes.
fn check(name: &[u8], path_length: usize) -> Result<(), PathError> {
    if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(PathError::NotAName { name: lossy(name) });
    }
    if name.len() > MAX_NAME_LENGTH || path_length > MAX_LENGTH {
        return Err(PathError::TooLong { name: lossy(name) });
    }
    Ok(())
}

fn lossy(bytes: &[u8]) -> String {
    bytes.to_str_lossy().into_owned()
}

/// Why bytes are not a path inside an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It starts at the root of the machine.
    #[error("path `{name}` is absolute, expected one relative to the image's root")]
    Absolute {
        /// The name.
        name: String,
    },
    /// It has a `..`.
    #[error("path `{name}` climbs out with `..`")]
    Climbs {
        /// The name.
        name: String,
    },
    /// It is empty, special, or has a byte that no name has.
    #[error("`{name}` is not a file name")]
    NotAName {
        /// The name.
        name: String,
    },
    /// A name has more than 255 bytes, or the path more than 4096.
    #[error("path with the name `{name}` is too long, expected at most 255 bytes a name and 4096 in all")]
    TooLong {
        /// The last name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> ImagePath {
        ImagePath::from_member(name.as_bytes()).unwrap()
    }

    #[test]
    fn member_names_are_normalised() {
        for (name, expected) in [
            ("./a/b/", "/a/b"),
            ("a//b", "/a/b"),
            (".", "/"),
            ("a/./b", "/a/b"),
            ("", "/"),
        ] {
            assert_eq!(path(name).to_string(), expected);
        }
    }

    #[test]
    fn names_that_leave_the_image_are_refused() {
        let long = "a".repeat(256);
        for name in ["/a", "../a", "a/../b", "a/..", "a\0b", long.as_str()] {
            assert!(ImagePath::from_member(name.as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn only_paths_as_they_are_encoded_decode() {
        for name in ["", "a", "a/b", "é"] {
            let encoded = postcard::to_stdvec(&path(name)).unwrap();
            assert_eq!(postcard::from_bytes::<ImagePath>(&encoded), Ok(path(name)));
        }
        let (long, deep) = ("a".repeat(256), "a/".repeat(2048) + "b");
        for name in ["/", "/a", "a/", "a//b", ".", "..", "a/../b", "a\0", &long, &deep] {
            let encoded = postcard::to_stdvec(name.as_bytes()).unwrap();
            assert!(postcard::from_bytes::<ImagePath>(&encoded).is_err(), "{name}");
        }
    }

    #[test]
    fn clamped_paths_stay_inside() {
        for (name, expected) in [
            ("/a//b/./c/", "/a/b/c"),
            ("../../a", "/a"),
            ("a/../../b/..", "/"),
            ("", "/"),
        ] {
            assert_eq!(ImagePath::clamped(name.as_bytes()).unwrap().to_string(), expected);
        }
        assert!(ImagePath::clamped(b"a\0b").is_err());
    }

    #[test]
    fn parents_and_rebasing() {
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), Some(ImagePath::root()));
        assert_eq!(ImagePath::root().parent(), None);
        assert_eq!(path("a/b/c").rebase(&path("a/b"), &path("x")), Some(path("x/c")));
        assert_eq!(path("a").rebase(&path("a"), &path("x/y")), Some(path("x/y")));
        assert_eq!(
            path("a").rebase(&ImagePath::root(), &path("x")),
            Some(path("x/a"))
        );
        assert_eq!(path("ab").rebase(&path("a"), &path("x")), None);
        assert!(path("a/b").is_within(&path("a")) && !path("ab").is_within(&path("a")));
    }
}
