use std::collections::VecDeque;
use std::sync::Arc;

use bstr::{BString, ByteSlice};

use crate::node::Node;
use crate::{ImagePath, Lookup, PathError, Tree};

/// How many symbolic links one path may run through: Linux's `MAXSYMLINKS`.
const MAX_LINKS: usize = 40;

/// Where a path leads, every symbolic link on the way followed inside the image.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The place, through no symbolic link; its parent is a directory that is there.
    pub path: ImagePath,
    /// What is there; `None` if only the last name is missing.
    pub node: Option<Arc<Node>>,
}

/// What to do with a symbolic link in the last place of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLink {
    /// Follow it, as `open` and `stat` do.
    Follow,
    /// Take the link itself, as `unlink` and `lstat` do.
    Keep,
}

impl Tree {
    /// Follows `path` as the kernel does in a process whose root is this image and whose directory is `directory`.
    ///
    /// `..` above the root stays at the root. A trailing slash demands a directory, and follows a link to it.
    ///
    /// # Errors
    /// As the kernel: a name in the middle is missing or no directory, too many links, a name too long. And
    /// [`ResolveError::Unknown`] with the path that a further layer must decide.
    pub fn resolve(
        &self,
        path: &[u8],
        directory: &ImagePath,
        last: LastLink,
    ) -> Result<Resolved, ResolveError> {
        if path.is_empty() {
            return Err(ResolveError::NotFound);
        }
        // As in the kernel, the text of the path is what is limited.
        ImagePath::expect_length(path)?;
        let mut walk = Walk::new(self, path);
        if !path.starts_with(b"/") {
            walk.enter(self, directory)?;
        }
        while let Some(name) = walk.pending.pop_front() {
            self.step(&mut walk, &name, last)?;
        }
        self.arrive(walk)
    }

    fn step<'t>(&'t self, walk: &mut Walk<'t>, name: &[u8], last: LastLink) -> Result<(), ResolveError> {
        let directory = walk.current().as_directory().ok_or(ResolveError::NotADirectory)?;
        match name {
            b"." => return Ok(()),
            b".." => {
                walk.nodes.pop();
                return Ok(());
            }
            _ => {}
        }
        // Names come from outside: too long a one, or one with a NUL, is no name.
        ImagePath::root().join(name)?;
        let at_end = walk.pending.is_empty();
        let node = match self.child(directory, name) {
            Lookup::Found(node) => node,
            Lookup::Unknown => return Err(ResolveError::Unknown(walk.path(Some(name))?)),
            Lookup::Absent if at_end => {
                walk.missing = Some(name.into());
                return Ok(());
            }
            Lookup::Absent => return Err(ResolveError::NotFound),
        };
        match node.symlink_target() {
            Some(target) if !at_end || last == LastLink::Follow || walk.wants_directory => {
                walk.follow(target)
            }
            _ => {
                walk.nodes.push((name.into(), node));
                Ok(())
            }
        }
    }

    fn arrive(&self, walk: Walk<'_>) -> Result<Resolved, ResolveError> {
        let path = walk.path(walk.missing.as_ref().map(|name| name.as_slice()))?;
        let node = match walk.missing {
            Some(_) => None,
            None if self.is_guess(walk.current()) && !path.is_root() => {
                return Err(ResolveError::Unknown(path));
            }
            None => Some(walk.current().clone()),
        };
        if walk.wants_directory && node.as_ref().is_some_and(|node| !node.is_directory()) {
            return Err(ResolveError::NotADirectory);
        }
        Ok(Resolved { path, node })
    }
}

/// A path on its way through a tree; each node is looked up in the one before it, so that long paths cost no more than
/// their length.
struct Walk<'t> {
    root: &'t Arc<Node>,
    /// Where the walk is: the names from the root, with what is there.
    nodes: Vec<(BString, &'t Arc<Node>)>,
    /// A last name that is not there.
    missing: Option<BString>,
    pending: VecDeque<BString>,
    links: usize,
    wants_directory: bool,
}

impl<'t> Walk<'t> {
    fn new(tree: &'t Tree, path: &[u8]) -> Self {
        Self {
            root: &tree.root,
            nodes: Vec::new(),
            missing: None,
            pending: names(path),
            links: 0,
            wants_directory: path.ends_with(b"/"),
        }
    }

    /// Goes to a directory that a process is in, as its path is: no link is followed.
    fn enter(&mut self, tree: &'t Tree, directory: &ImagePath) -> Result<(), ResolveError> {
        for name in directory.names() {
            let within = self.current().as_directory().ok_or(ResolveError::NotADirectory)?;
            match tree.child(within, name) {
                Lookup::Found(node) => self.nodes.push((name.into(), node)),
                Lookup::Absent => return Err(ResolveError::NotFound),
                Lookup::Unknown => return Err(ResolveError::Unknown(self.path(Some(name))?)),
            }
        }
        Ok(())
    }

    fn current(&self) -> &'t Arc<Node> {
        self.nodes.last().map_or(self.root, |(_, node)| *node)
    }

    fn path(&self, last: Option<&[u8]>) -> Result<ImagePath, PathError> {
        let names = self.nodes.iter().map(|(name, _)| name.as_slice());
        ImagePath::from_names(names.chain(last))
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), ResolveError> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(ResolveError::TooManyLinks);
        }
        if target.is_empty() {
            return Err(ResolveError::NotFound);
        }
        if target.starts_with(b"/") {
            self.nodes.clear();
        }
        if self.pending.is_empty() {
            self.wants_directory |= target.ends_with(b"/");
        }
        for name in names(target).into_iter().rev() {
            self.pending.push_front(name);
        }
        Ok(())
    }
}

fn names(path: &[u8]) -> VecDeque<BString> {
    path.split_str("/")
        .filter(|name| !name.is_empty())
        .map(BString::from)
        .collect()
}

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// `ENOENT`: a name before the last one is missing, or the path is empty.
    #[error("No such file or directory")]
    NotFound,
    /// `ENOTDIR`: a name before the last one, or before a trailing slash, is no directory.
    #[error("Not a directory")]
    NotADirectory,
    /// `ELOOP`.
    #[error("Too many levels of symbolic links")]
    TooManyLinks,
    /// `ENAMETOOLONG`, or a NUL in a name.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The layers read so far do not decide this path.
    #[error("{0} is decided by a layer that was not read yet")]
    Unknown(ImagePath),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::{partial, path, tree};

    const BASE: &str = "d 755 0:0 usr\nd 755 0:0 usr/bin\nf 755 0:0 usr/bin/sh 1\nl bin -> usr/bin\nl abs -> /usr/bin\nl up -> ../../../usr\n\
        l loop -> loop\nl dangling -> /usr/missing\nl usr/bin/link -> sh\nl todir -> usr/bin/";

    fn leads(text: &str, directory: &str, last: LastLink) -> String {
        match tree(&[BASE]).resolve(text.as_bytes(), &path(directory), last) {
            Ok(Resolved { path, node }) => {
                format!("{path}{}", if node.is_some() { "" } else { " (missing)" })
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn links_are_followed_inside_the_image() {
        let cases = [
            ("/bin/sh", "/usr/bin/sh"),
            ("/abs/sh", "/usr/bin/sh"),
            ("/up/bin", "/usr/bin"),
            ("bin/../x", "/usr/x (missing)"),
            ("/../../etc", "/etc (missing)"),
            ("/bin/link", "/usr/bin/sh"),
            ("/dangling", "/usr/missing (missing)"),
            ("/loop", "Too many levels of symbolic links"),
            ("/no/x", "No such file or directory"),
            ("/bin/sh/x", "Not a directory"),
            ("/bin/sh/", "Not a directory"),
            ("/bin/new/", "/usr/bin/new (missing)"),
            ("", "No such file or directory"),
            ("/", "/"),
            ("todir/sh", "/usr/bin/sh"),
        ];
        for (text, expected) in cases {
            assert_eq!(leads(text, "", LastLink::Follow), expected, "{text}");
        }
        assert_eq!(leads("sh", "usr/bin", LastLink::Follow), "/usr/bin/sh");
    }

    #[test]
    fn the_last_link_can_be_kept() {
        assert_eq!(leads("/bin", "", LastLink::Keep), "/bin");
        assert_eq!(leads("/bin/", "", LastLink::Keep), "/usr/bin");
        assert_eq!(leads("/dangling", "", LastLink::Keep), "/dangling");
    }

    #[test]
    fn what_a_lower_layer_decides_is_named() {
        let tree = partial(&["d 755 0:0 etc"]);
        let resolve = |text: &str| tree.resolve(text.as_bytes(), &ImagePath::root(), LastLink::Follow);
        assert_eq!(
            resolve("/etc/vault"),
            Err(ResolveError::Unknown(path("etc/vault")))
        );
        assert_eq!(resolve("/usr/bin/sh"), Err(ResolveError::Unknown(path("usr"))));
        assert!(resolve("/etc").is_ok());
    }
}
