use std::collections::VecDeque;

use bstr::{BString, ByteSlice};
use onlay_layer::{ImagePath, Lookup, Metadata, ModificationTime, Node, Tree};

use super::{Fault, FileMode, Transfer};

/// How many symbolic links a destination may run through, as Go's file system libraries have it.
pub(super) const MAX_LINKS: usize = 255;

/// Where COPY and ADD put things: an absolute path, of which a slash at the end says that it is a directory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Destination {
    path: ImagePath,
    is_directory: bool,
}

impl Destination {
    /// Reads a destination as it stands in the line, in a stage's working directory.
    pub(crate) fn new(text: &str, working_directory: &str) -> Result<Self, Fault> {
        let is_directory = matches!(text, "" | ".") || text.ends_with('/') || text.ends_with("/.");
        let path = if text.starts_with('/') {
            ImagePath::clamped(text.as_bytes())
        } else {
            ImagePath::clamped(format!("{working_directory}/{text}").as_bytes())
        };
        Ok(Self {
            path: path?,
            is_directory,
        })
    }

    pub(super) fn path(&self) -> &ImagePath {
        &self.path
    }

    /// The directory that must be there whatever is copied.
    fn required_directory(&self) -> ImagePath {
        if self.is_directory {
            self.path.clone()
        } else {
            self.path.parent().unwrap_or_default()
        }
    }
}

impl Transfer<'_> {
    /// Makes what must be there before anything is copied, and tells where the destination leads.
    pub(super) fn prepare(&mut self, destination: &Destination) -> Result<ImagePath, Fault> {
        let required = self.resolve(&destination.required_directory())?;
        self.make_directories(&required)?;
        self.resolve(&destination.path)
    }

    /// Makes a directory where the path leads, with all above it that is missing: WORKDIR.
    pub(crate) fn make(&mut self, path: &ImagePath) -> Result<(), Fault> {
        let place = self.resolve(path)?;
        self.make_directories(&place)
    }

    /// Follows every symbolic link of a path, the last one too; what is not there is taken as it is written.
    pub(super) fn resolve(&self, path: &ImagePath) -> Result<ImagePath, Fault> {
        resolve(self.edit.tree(), path)
    }

    /// Makes a directory with all above it that is missing; `path` runs through no symbolic link.
    ///
    /// An octal `--chmod` is for these, too, without its special bits; a symbolic one is not.
    pub(super) fn make_directories(&mut self, path: &ImagePath) -> Result<(), Fault> {
        let mode = match self.treatment.mode {
            Some(FileMode::Octal(mode)) => mode & 0o777,
            Some(FileMode::Symbolic(_)) | None => 0o755,
        };
        let (uid, gid) = self.treatment.owner.unwrap_or((0, 0));
        self.make_directories_as(path, &Metadata::owned(mode, uid, gid))
    }

    pub(super) fn make_directories_as(&mut self, path: &ImagePath, metadata: &Metadata) -> Result<(), Fault> {
        let mut place = ImagePath::root();
        for name in path.names() {
            place = place.join(name)?;
            match self.existing(&place)? {
                Some(node) if node.is_directory() => {}
                Some(_) => {
                    return Err(Fault::Message(format!(
                        "`{place}` in the image is not a directory"
                    )));
                }
                None => {
                    let directory = Node::directory(metadata.clone(), ModificationTime::Build);
                    self.edit.put(&place, directory)?;
                }
            }
        }
        Ok(())
    }
}

fn resolve(tree: &Tree, path: &ImagePath) -> Result<ImagePath, Fault> {
    let mut pending: VecDeque<BString> = path.names().map(BString::from).collect();
    let mut place = ImagePath::root();
    let mut links = 0;
    while let Some(name) = pending.pop_front() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                place = place.parent().unwrap_or_default();
                continue;
            }
            _ => {}
        }
        let next = place.join(&name)?;
        let target = match tree.lookup(&next) {
            Lookup::Found(node) => node.symlink_target().map(<[u8]>::to_vec),
            Lookup::Absent => None,
            Lookup::Unknown => return Err(Fault::UnreadDestination),
        };
        let Some(target) = target else {
            place = next;
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Err(Fault::Message(format!(
                "too many symbolic links on the way to `{path}`"
            )));
        }
        if target.starts_with(b"/") {
            place = ImagePath::root();
        }
        for name in target.rsplit_str("/") {
            pending.push_front(name.into());
        }
    }
    Ok(place)
}
