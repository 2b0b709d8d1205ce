use std::sync::Arc;

use onlay_layer::{ImagePath, LastLink, Listing, Lookup, Node, Tree, changes};

/// The tree of one layer on nothing.
pub(crate) fn tree_of(listing: &Listing) -> Tree {
    Tree::unread().over(listing).completed()
}

/// Everything in a tree with its path, the root first.
pub(crate) fn walk(tree: &Tree) -> Vec<(ImagePath, Arc<Node>)> {
    let Lookup::Found(root) = tree.lookup(&ImagePath::root()) else {
        panic!("a tree without a root");
    };
    let mut found = vec![(ImagePath::root(), root.clone())];
    let mut next = 0;
    while let Some((path, node)) = found.get(next).cloned() {
        next += 1;
        let children = tree.children(&path);
        assert_eq!(children.is_some(), node.is_directory(), "{path}");
        for (name, child) in children.unwrap_or_default() {
            let path = path
                .join(&name)
                .expect("a name in a tree can be joined to its directory");
            found.push((path, child));
        }
    }
    found
}

/// What must hold for any listing that was read or decoded.
pub(crate) fn check_listing(listing: &Listing) {
    let encoded = listing.encode().expect("a listing encodes");
    assert_eq!(&Listing::decode(&encoded).expect("a listing decodes"), listing);
    let tree = tree_of(listing);
    for (path, node) in walk(&tree) {
        assert!(
            matches!(tree.lookup(&path), Lookup::Found(found) if Arc::ptr_eq(found, &node)),
            "{path}"
        );
        for last in [LastLink::Follow, LastLink::Keep] {
            let _ = tree.resolve(path.as_bytes(), &ImagePath::root(), last);
        }
    }
    assert_eq!(
        tree.over(listing).completed(),
        tree,
        "a layer over itself changes nothing"
    );
    assert!(
        changes(&tree, &tree)
            .expect("a tree compares to itself")
            .is_empty()
    );
    on_nothing(&tree);
    let (upper, lower) = halves(listing);
    let partial = Tree::unread().over(&upper);
    for (path, _) in walk(&tree) {
        partial.lookup(&path);
        partial.children(&path);
        let _ = partial.resolve(path.as_bytes(), &ImagePath::root(), LastLink::Follow);
    }
    let base = tree_of(&lower);
    let stack = partial.over(&lower).completed();
    walk(&stack);
    let _ = changes(&base, &stack);
    let _ = changes(&partial, &stack);
}

/// What makes the tree out of nothing; the root's own header is what no layer can write.
pub(crate) fn on_nothing(tree: &Tree) -> Vec<onlay_layer::Change> {
    let scratch = Tree::scratch();
    let laid = tree.as_layer_over(&scratch);
    changes(&scratch, &laid).expect("a tree differs from nothing")
}

/// Two layers out of one, so that merging has something to do.
fn halves(listing: &Listing) -> (Listing, Listing) {
    let (mut upper, mut lower) = (listing.clone(), listing.clone());
    let middle = listing.entries.len() / 2;
    upper.entries.truncate(middle);
    lower.entries.drain(..middle);
    (upper, lower)
}
