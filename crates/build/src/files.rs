use onlay_base::{LayerStack, ListingsError, ReadLayer};
use onlay_layer::Tree;

/// A file system, read only as far as somebody's questions need: of an image, of a stage so far, of a context.
///
/// Cloning is cheap, and what one clone reads of a layer the others need not read again.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) tree: Tree,
    /// The layers under the tree that were not read yet.
    stack: Option<LayerStack>,
}

impl Files {
    /// The files of a base image, of which nothing was read yet.
    pub(crate) fn of_base(stack: LayerStack) -> Self {
        Self {
            tree: stack.unread_tree(),
            stack: Some(stack),
        }
    }

    /// Files that are all known.
    pub(crate) fn of_tree(tree: Tree) -> Self {
        Self { tree, stack: None }
    }

    /// Reads the next layer, or all that remain, under the tree.
    pub(crate) async fn read_more(&mut self, all: bool) -> Result<Vec<ReadLayer>, ListingsError> {
        let tree = self.tree.clone();
        let Some(stack) = &mut self.stack else {
            self.tree = tree.completed();
            return Ok(Vec::new());
        };
        let (tree, layers) = if all {
            stack.read_rest(tree).await?
        } else {
            stack.read_next(tree).await?
        };
        self.tree = tree;
        Ok(layers)
    }
}
