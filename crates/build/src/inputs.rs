use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use onlay_base::{BaseFiles, BaseImage, FilesError, ImageSource, SourceError};
use onlay_context::{CheckoutError, CheckoutOptions, ContextError, DirectoryContext, GitSource, Ignore};
use onlay_layer::{BaseFile, Content, ContentSource, Tree};
use onlay_oci::{DiffId, Digest};
use onlay_store::Blob;
use tempfile::TempDir;

use crate::archive;
use crate::contexts::{TreeError, tree_of};

/// Where the contents come from that a build writes into its layers: one for all its stages and platforms, because
/// files wander from stage to stage by reference.
#[derive(Default)]
pub(crate) struct Inputs {
    layers: Mutex<HashMap<DiffId, LayerOrigin>>,
    held: Mutex<HashMap<Digest, Blob>>,
    directories: Mutex<Vec<Arc<DirectoryContext>>>,
    /// Check-outs, which end with the build.
    checkouts: Mutex<Vec<TempDir>>,
    /// Layers that were announced while they grew: the stage, and how many layers it had.
    announced: Mutex<HashSet<(usize, usize)>>,
    /// The sandbox, once somebody needs one.
    pub(crate) sandbox: tokio::sync::OnceCell<onlay_sandbox::Sandbox>,
    is_sandbox_told: AtomicBool,
}

/// What holds the files of a listing.
#[derive(Clone)]
enum LayerOrigin {
    /// A layer of an image.
    Image(Box<(ImageSource, BaseImage)>),
    /// A tar archive.
    Archive(Content),
}

impl Inputs {
    /// Makes an image's files known.
    pub(crate) fn add_image(&self, source: &ImageSource, image: &BaseImage) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, diff_id) in image.layers() {
            layers
                .entry(diff_id.clone())
                .or_insert_with(|| LayerOrigin::Image(Box::new((source.clone(), image.clone()))));
        }
    }

    /// Makes the files of an archive known, under the diff id that its listing has.
    pub(crate) fn add_archive(&self, diff_id: DiffId, archive: Content) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        layers.insert(diff_id, LayerOrigin::Archive(archive));
    }

    /// Keeps bytes, and gives the content that stands for them.
    pub(crate) fn hold(&self, digest: Digest, blob: Blob) -> Content {
        let size = blob.size();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(digest.clone(), blob);
        Content::Held {
            digest: Arc::new(digest),
            size,
        }
    }

    /// Tells whether a layer is the first of its line that grows large.
    pub(crate) fn is_first_announced(&self, stage: usize, layer: usize) -> bool {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        announced.insert((stage, layer))
    }

    /// Tells whether nobody was told of the sandbox yet.
    pub(crate) fn tells_sandbox(&self) -> bool {
        !self.is_sandbox_told.swap(true, Ordering::Relaxed)
    }

    /// Makes a directory's files known, and gives the number that its contents carry.
    pub(crate) fn add_directory(&self, directory: Arc<DirectoryContext>) -> usize {
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        directories.push(directory);
        directories.len() - 1
    }

    /// Checks a repository out and lists it. Blocking.
    pub(crate) fn check_out(
        &self,
        source: &GitSource,
        options: &CheckoutOptions,
        directory: &Path,
    ) -> Result<Tree, RepositoryError> {
        let directory = TempDir::with_prefix_in("onlay-", directory)
            .map_err(|source| RepositoryError::Room { source })?;
        let checkout = source.check_out(&directory.path().join("repository"), options)?;
        let files = Arc::new(DirectoryContext::open(&checkout.root)?);
        let entries = files.walk(&Ignore::none())?;
        let tree = tree_of(&entries, self.add_directory(files.clone()), &files)?;
        let mut checkouts = self.checkouts.lock().unwrap_or_else(PoisonError::into_inner);
        checkouts.push(directory);
        Ok(tree)
    }

    /// Opens a content that is at hand. Blocking.
    pub(crate) fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{content:?} is not at hand"));
        match content {
            Content::Bytes(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            Content::Held { digest, .. } => {
                let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(Box::new(held.get(digest.as_ref()).ok_or_else(missing)?.reader()))
            }
            Content::Context { context, path, size } => {
                let directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
                let directory = directories.get(*context).ok_or_else(missing)?.clone();
                drop(directories);
                let file = directory.open_file(path.as_bytes(), *size);
                Ok(Box::new(file.map_err(io::Error::other)?))
            }
            Content::Base(file) => match self.origin(&file.layer) {
                Some(LayerOrigin::Archive(archive)) => {
                    let mut tar = archive::decompressed(self.open(&archive)?)?;
                    io::copy(&mut (&mut tar).take(file.offset), &mut io::sink())?;
                    Ok(Box::new(tar.take(file.size)))
                }
                // These are fetched before a layer is written, each layer in one pass.
                Some(LayerOrigin::Image(_)) | None => Err(missing()),
            },
            Content::Concatenation(_) => Err(missing()),
        }
    }

    fn origin(&self, layer: &DiffId) -> Option<LayerOrigin> {
        let layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        layers.get(layer).cloned()
    }

    /// Fetches files of images and archives, each layer in one pass.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        mut files: BaseFiles,
        wanted: &[Arc<BaseFile>],
    ) -> Result<BaseFiles, FilesError> {
        for (diff_id, wanted) in by_layer(wanted) {
            files = match self.origin(&diff_id) {
                None => return Err(FilesError::NoLayer { diff_id }),
                Some(LayerOrigin::Image(image)) => files.fetch(&image.0, &image.1, &wanted).await?,
                Some(LayerOrigin::Archive(archive)) => {
                    let inputs = self.clone();
                    let read = tokio::task::spawn_blocking(move || {
                        let tar = inputs
                            .open(&archive)
                            .and_then(archive::decompressed)
                            .map_err(|source| FilesError::Archive { source })?;
                        files.fetch_from(tar, &wanted)
                    });
                    read.await
                        .map_err(|_| FilesError::Source(SourceError::Worker))??
                }
            };
        }
        Ok(files)
    }
}

fn by_layer(files: &[Arc<BaseFile>]) -> HashMap<DiffId, Vec<Arc<BaseFile>>> {
    let mut by_layer: HashMap<DiffId, Vec<Arc<BaseFile>>> = HashMap::new();
    for file in files {
        by_layer
            .entry(DiffId::clone(&file.layer))
            .or_default()
            .push(file.clone());
    }
    by_layer
}

/// The contents of one layer while it is written.
pub(crate) struct Contents {
    pub(crate) inputs: Arc<Inputs>,
    pub(crate) files: BaseFiles,
}

impl ContentSource for Contents {
    fn open(&mut self, content: &Content) -> io::Result<Box<dyn Read + '_>> {
        match content {
            Content::Base(file) => self.files.open(file),
            other => Ok(self.inputs.open(other)?),
        }
    }
}

/// Why a repository cannot be copied from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// There is no room for it.
    #[error("there is no room for a check-out")]
    Room {
        /// What happened.
        source: io::Error,
    },
    /// It could not be checked out.
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    /// The check-out could not be walked.
    #[error(transparent)]
    Walk(#[from] ContextError),
    /// The check-out could not be listed.
    #[error(transparent)]
    Listing(#[from] TreeError),
}
