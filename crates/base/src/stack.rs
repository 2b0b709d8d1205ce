use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use onlay_layer::Tree;
use onlay_oci::{Descriptor, DiffId};

use crate::{BaseImage, ImageSource, ListedFrom, Listings, ListingsError};

/// How many layers are streamed at a time when all that remain are needed: decompression keeps as many cores busy.
const PARALLEL_LAYERS: usize = 3;

/// The layers of a base image, of which the topmost have been read into a tree.
#[derive(Clone)]
pub struct LayerStack {
    source: ImageSource,
    listings: Listings,
    /// Base layer first; those that were read are gone from the end.
    unread: Vec<StackLayer>,
}

/// One layer of a base image.
#[derive(Clone, Debug, PartialEq)]
pub struct StackLayer {
    /// Which of the image's layers it is, counted from 1 at the base.
    pub number: usize,
    /// How many layers the image has.
    pub of: usize,
    /// Its descriptor in the manifest.
    pub descriptor: Descriptor,
    /// The digest of its uncompressed tar.
    pub diff_id: DiffId,
}

impl fmt::Display for StackLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} ({})", self.number, self.of, self.descriptor.digest)
    }
}

/// A layer whose listing was asked for, and what that cost.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadLayer {
    /// The layer.
    pub layer: StackLayer,
    /// Where its listing came from.
    pub from: ListedFrom,
}

impl LayerStack {
    /// A stack of which no layer was read yet.
    pub fn new(source: ImageSource, listings: Listings, image: &BaseImage) -> Self {
        let of = image.manifest.layers().len();
        let layers = image
            .layers()
            .enumerate()
            .map(|(index, (descriptor, diff_id))| StackLayer {
                number: index + 1,
                of,
                descriptor: descriptor.clone(),
                diff_id: diff_id.clone(),
            });
        Self {
            source,
            listings,
            unread: layers.collect(),
        }
    }

    /// The tree to start with: unread, or complete where there is no layer at all.
    pub fn unread_tree(&self) -> Tree {
        if self.unread.is_empty() {
            Tree::scratch()
        } else {
            Tree::unread()
        }
    }

    /// Tells whether there is anything left to read.
    pub fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Puts the topmost unread layer under `tree`.
    ///
    /// # Errors
    /// The layer could not be read; the stack stays as it was.
    pub async fn read_next(&mut self, tree: Tree) -> Result<(Tree, Vec<ReadLayer>), ListingsError> {
        let Some(layer) = self.unread.last() else {
            return Ok((tree.completed(), Vec::new()));
        };
        let (listing, from) = self.listings.listing(&self.source, layer).await?;
        let tree = tree.over(&listing);
        let read = ReadLayer {
            layer: layer.clone(),
            from,
        };
        self.unread.pop();
        let tree = if self.unread.is_empty() {
            tree.completed()
        } else {
            tree
        };
        Ok((tree, vec![read]))
    }

    /// Puts all unread layers under `tree`, several streamed at a time.
    ///
    /// # Errors
    /// A layer could not be read; the stack stays as it was.
    pub async fn read_rest(&mut self, mut tree: Tree) -> Result<(Tree, Vec<ReadLayer>), ListingsError> {
        let (source, listings) = (&self.source, &self.listings);
        let read = self.unread.iter().rev().map(|layer| async move {
            let (listing, from) = listings.listing(source, layer).await?;
            Ok((
                listing,
                ReadLayer {
                    layer: layer.clone(),
                    from,
                },
            ))
        });
        let read: Vec<(Arc<_>, ReadLayer)> =
            stream::iter(read).buffered(PARALLEL_LAYERS).try_collect().await?;
        let mut layers = Vec::new();
        for (listing, layer) in read {
            tree = tree.over(&listing);
            layers.push(layer);
        }
        self.unread.clear();
        Ok((tree.completed(), layers))
    }
}
