use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::ByteSlice;
use onlay_context::{ContextEntry, ContextError, ContextKind, DirectoryContext, Ignore};
use onlay_layer::{
    Content, Edit, EditError, FileReadError, ImagePath, LastLink, LayerReadError, Metadata, ModificationTime,
    Node, NodeKind, PathError, Tree, read_archive, read_files,
};
use onlay_oci::{Algorithm, Digest, Digester};
use onlay_store::Blob;
use tokio::sync::OnceCell;

use crate::archive;
use crate::inputs::Inputs;

/// What COPY and ADD copy from when `--from` does not say otherwise, and what has a name for it from outside.
#[derive(Clone, Default)]
pub struct Contexts {
    main: Option<Arc<Context>>,
    named: BTreeMap<String, Arc<Context>>,
}

/// A build context: files that come with the Dockerfile.
pub enum BuildContext {
    /// A directory.
    Directory {
        /// Where it is.
        root: PathBuf,
        /// What of it does not take part.
        ignore: Ignore,
    },
    /// A tar archive, compressed or not; all of it takes part.
    Archive {
        /// The archive.
        archive: Blob,
        /// The digest of its bytes.
        digest: Digest,
    },
}

impl BuildContext {
    /// Takes an archive as a context.
    ///
    /// # Errors
    /// Its bytes could not be read.
    pub fn archive(archive: Blob) -> io::Result<Self> {
        let mut digester = Digester::new(Algorithm::Sha256);
        let mut reader = BufReader::with_capacity(BUFFER_SIZE, archive.reader());
        loop {
            let bytes = reader.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            digester.update(bytes);
            let count = bytes.len();
            reader.consume(count);
        }
        let digest = digester.finish();
        Ok(Self::Archive { archive, digest })
    }

    /// Reads a small file, such as a Dockerfile, whether it is ignored or not; `None` if it is not there. Blocking.
    ///
    /// # Errors
    /// The context could not be read, or the file has more than 16 MiB.
    pub fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>, ContextListError> {
        let read = match self {
            Self::Directory { root, .. } => read_from_directory(root, name),
            Self::Archive { archive, .. } => read_from_archive(archive, name),
        };
        read.map_err(|source| ContextListError {
            name: name.to_owned(),
            source,
        })
    }
}

const BUFFER_SIZE: usize = 64 * 1024;

/// The largest file that is read whole.
const MAX_READ: u64 = 16 * 1024 * 1024;

fn read_from_directory(root: &Path, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    let path = root.join(ImagePath::clamped(name.as_bytes())?.as_bytes().to_path_lossy());
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(MAX_READ + 1).read_to_end(&mut bytes)?;
    within_limit(bytes).map(Some)
}

fn read_from_archive(archive: &Blob, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    let listing = read_archive(archive::decompressed(Box::new(archive.reader()))?)?;
    let tree = Tree::unread().over(&listing).completed();
    let path = format!("/{name}");
    let Ok(resolved) = tree.resolve(path.as_bytes(), &ImagePath::root(), LastLink::Follow) else {
        return Ok(None);
    };
    match resolved.node.as_deref().map(|node| &node.kind) {
        Some(NodeKind::File(Content::Bytes(bytes))) => Ok(Some(bytes.to_vec())),
        Some(NodeKind::File(Content::Base(file))) if file.size <= MAX_READ => {
            let mut bytes = Vec::new();
            let tar = archive::decompressed(Box::new(archive.reader()))?;
            read_files(tar, &[file.as_ref()], &mut bytes)?;
            Ok(Some(bytes))
        }
        Some(NodeKind::File(_)) => Err(Fault::TooLarge),
        _ => Ok(None),
    }
}

fn within_limit(bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
    if bytes.len() as u64 > MAX_READ {
        Err(Fault::TooLarge)
    } else {
        Ok(bytes)
    }
}

/// A context that is listed when it is first needed.
struct Context {
    name: String,
    context: BuildContext,
    listed: OnceCell<Tree>,
}

impl Contexts {
    /// No context at all: lines that copy from it fail.
    pub fn none() -> Self {
        Self::default()
    }

    /// Sets what lines without `--from` copy from; `name` is what errors call it.
    #[must_use]
    pub fn with_main(mut self, name: &str, context: BuildContext) -> Self {
        self.main = Some(Context::new(name, context));
        self
    }

    /// Adds one that `--from` can name.
    #[must_use]
    pub fn with_named(mut self, name: &str, context: BuildContext) -> Self {
        self.named.insert(name.to_owned(), Context::new(name, context));
        self
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.named.keys().cloned().collect()
    }

    /// The files of the main context, or of one by name; `None` if there is no such context.
    pub(crate) async fn files(
        &self,
        name: Option<&str>,
        inputs: &Arc<Inputs>,
    ) -> Result<Option<Tree>, ContextListError> {
        let context = match name {
            None => self.main.as_ref(),
            Some(name) => self.named.get(name),
        };
        match context {
            Some(context) => context.clone().tree(inputs).await.map(Some),
            None => Ok(None),
        }
    }

    /// Tells whether a path of the main context is left out of it.
    pub(crate) fn ignores(&self, path: &ImagePath) -> bool {
        match self.main.as_deref().map(|main| &main.context) {
            Some(BuildContext::Directory { ignore, .. }) => ignore.matches(path.as_bytes()),
            Some(BuildContext::Archive { .. }) | None => false,
        }
    }
}

impl Context {
    fn new(name: &str, context: BuildContext) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            context,
            listed: OnceCell::new(),
        })
    }

    async fn tree(self: Arc<Self>, inputs: &Arc<Inputs>) -> Result<Tree, ContextListError> {
        let listed = self.listed.get_or_try_init(|| async {
            let (context, inputs) = (self.clone(), inputs.clone());
            let listed = tokio::task::spawn_blocking(move || context.list(&inputs));
            listed.await.map_err(|_| Fault::Worker).and_then(|tree| tree)
        });
        let tree = listed.await.map_err(|source| ContextListError {
            name: self.name.clone(),
            source,
        });
        Ok(tree?.clone())
    }

    fn list(&self, inputs: &Inputs) -> Result<Tree, Fault> {
        match &self.context {
            BuildContext::Directory { root, ignore } => {
                let directory = Arc::new(DirectoryContext::open(root)?);
                let number = inputs.add_directory(directory.clone());
                let entries = directory.walk(ignore)?;
                Ok(tree_of(&entries, number, &directory)?)
            }
            BuildContext::Archive { archive, digest } => {
                let content = inputs.hold(digest.clone(), archive.clone());
                let tar = archive::decompressed(Box::new(archive.reader()))?;
                let listing = read_archive(tar)?;
                if let Some((path, target)) = listing.link_out() {
                    let (path, target) = (path.clone(), target.clone());
                    return Err(LayerReadError::HardLink { path, target }.into());
                }
                inputs.add_archive(listing.diff_id.clone(), content);
                Ok(Tree::unread().over(&listing).completed())
            }
        }
    }
}

/// Files that names are looked up in, by name, and the largest that is read for it: their contents are kept, so that
/// `--chown` finds users in a passwd that was copied.
const LOOKED_UP: &[&[u8]] = &[b"passwd", b"group"];
const MAX_LOOKED_UP: u64 = 1024 * 1024;

/// A directory's entries as a tree: everything belongs to root, as BuildKit's transfer has it (dockerfile.md §1.11).
pub(crate) fn tree_of(
    entries: &[ContextEntry],
    context: usize,
    directory: &DirectoryContext,
) -> Result<Tree, TreeError> {
    let mut edit = Edit::new(&Tree::scratch());
    for entry in entries {
        let path = ImagePath::clamped(&entry.path)?;
        if let Some(first) = &entry.hard_link {
            edit.link(&ImagePath::clamped(first)?, &path)?;
            continue;
        }
        let mtime = ModificationTime::Seconds(entry.mtime);
        let metadata = Metadata::root_owned(entry.mode);
        let kind = match &entry.kind {
            ContextKind::Directory => {
                edit.put(&path, Node::directory(metadata, mtime))?;
                continue;
            }
            ContextKind::File { size } if is_looked_up(&path, *size) => {
                let mut bytes = Vec::new();
                directory
                    .open_file(path.as_bytes(), *size)?
                    .read_to_end(&mut bytes)?;
                NodeKind::File(Content::Bytes(bytes.into()))
            }
            ContextKind::File { size } => NodeKind::File(Content::Context {
                context,
                path: path.clone(),
                size: *size,
            }),
            // As BuildKit has it: a socket arrives as an empty file.
            ContextKind::Socket => NodeKind::File(Content::empty()),
            ContextKind::Symlink { target } => NodeKind::Symlink(target.clone()),
            ContextKind::Fifo => NodeKind::Fifo,
            ContextKind::CharacterDevice { major, minor } => NodeKind::CharacterDevice {
                major: *major,
                minor: *minor,
            },
            ContextKind::BlockDevice { major, minor } => NodeKind::BlockDevice {
                major: *major,
                minor: *minor,
            },
        };
        let metadata = match kind {
            NodeKind::Symlink(_) => Metadata::root_owned(0o777),
            _ => metadata,
        };
        edit.put(
            &path,
            Node {
                metadata,
                mtime,
                kind,
            },
        )?;
    }
    Ok(edit.finish())
}

fn is_looked_up(path: &ImagePath, size: u64) -> bool {
    path.name().is_some_and(|name| LOOKED_UP.contains(&name)) && size <= MAX_LOOKED_UP
}

/// Why the entries of a directory are no tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A path cannot be in an image.
    #[error("it has a path that cannot be in an image")]
    Path(#[from] PathError),
    /// An entry has no directory to be in.
    #[error("its entries do not make a tree")]
    Edit(#[from] EditError),
    /// A file could not be opened.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A file could not be read.
    #[error("a file could not be read")]
    Io(#[from] io::Error),
}

/// A context could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` of the build context could not be read")]
pub struct ContextListError {
    name: String,
    source: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error("it could not be read")]
    Io(#[from] io::Error),
    #[error("the archive could not be listed")]
    Archive(#[from] LayerReadError),
    #[error("it has a path that cannot be in an image")]
    Path(#[from] PathError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    File(#[from] FileReadError),
    #[error("it has more than {MAX_READ} bytes")]
    TooLarge,
    #[error("listing it was interrupted")]
    Worker,
}
