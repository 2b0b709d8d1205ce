//! The files of an image, of which no more layers are read than a question needs.

use std::sync::Arc;

use anyhow::{Context, bail};
use onlay_base::{BaseImage, LayerStack};
use onlay_layer::{ImagePath, LastLink, Node, ResolveError, Resolved, Tree};

use super::{Looked, one_line};

/// The files of an image.
pub(crate) struct ImageFiles {
    pub(crate) tree: Tree,
    stack: LayerStack,
}

impl ImageFiles {
    /// Nothing is read yet.
    pub(crate) fn new(looked: &Looked, image: &BaseImage) -> Self {
        let source = looked.base.source().clone();
        let stack = LayerStack::new(source, looked.session.listings.clone(), image);
        Self {
            tree: stack.unread_tree(),
            stack,
        }
    }

    /// Finds a path as a process in the image would.
    pub(crate) async fn find(
        &mut self,
        path: &[u8],
        last: LastLink,
    ) -> anyhow::Result<(ImagePath, Arc<Node>)> {
        let failed = || format!("`{}`", one_line(path));
        loop {
            match self.tree.resolve(path, &ImagePath::root(), last) {
                Ok(Resolved {
                    path,
                    node: Some(node),
                }) => return Ok((path, node)),
                Ok(Resolved { node: None, .. }) => return Err(ResolveError::NotFound).with_context(failed),
                Err(ResolveError::Unknown(_)) => self.read_next().await.with_context(failed)?,
                Err(error) => return Err(error).with_context(failed),
            }
        }
    }

    /// Lists what is in a directory.
    pub(crate) async fn children(&mut self, path: &ImagePath) -> anyhow::Result<Vec<(Vec<u8>, Arc<Node>)>> {
        loop {
            if let Some(children) = self.tree.children(path) {
                return Ok(children
                    .into_iter()
                    .map(|(name, node)| (name.into(), node))
                    .collect());
            }
            self.read_next().await?;
        }
    }

    /// Reads all layers.
    pub(crate) async fn read_all(&mut self) -> anyhow::Result<()> {
        if !self.tree.is_complete() {
            (self.tree, _) = self.stack.read_rest(self.tree.clone()).await?;
        }
        Ok(())
    }

    async fn read_next(&mut self) -> anyhow::Result<()> {
        if self.tree.is_complete() {
            bail!("the image's layers do not say");
        }
        (self.tree, _) = self.stack.read_next(self.tree.clone()).await?;
        Ok(())
    }
}
