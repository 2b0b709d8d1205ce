//! Edits of a tree beside the same operations on a directory of the disk, and the layers that come of them, unpacked.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking too"
)]

mod disk;
mod operation;
mod snapshot;
mod stack;

use std::collections::BTreeSet;

use onlay_layer::{Edit, Tree, changes};
use proptest::prelude::*;

use crate::disk::Disk;
use crate::operation::{Operation, operation};
use crate::snapshot::Snapshot;
use crate::stack::Stack;

/// Makes one more layer on a stack out of operations, and checks it on the way.
fn add_layer(stack: &mut Stack, operations: &[Operation]) -> Result<(), TestCaseError> {
    let base = stack.tree();
    let mut edit = Edit::new(&base);
    let mut disk = Disk::over(stack);
    let before = Snapshot::of_disk(disk.root());
    for operation in operations {
        if operation.is_possible(edit.tree()) {
            operation.edit(&mut edit);
            operation.perform(&mut disk);
        }
    }
    let after = Snapshot::of_disk(disk.root());
    let edited = Snapshot::of_tree(edit.tree(), stack);
    prop_assert_eq!(&edited.files, &after.files, "the edit and the disk differ");
    // Which names of a base's file a rename leaves linked is a matter of the file system.
    let own: BTreeSet<_> = after.paths(|path| !disk.is_of_base(path));
    prop_assert_eq!(
        edited.links(&own),
        after.links(&own),
        "links of the edit and of the disk"
    );

    stack.push(&changes(&base, edit.tree()).unwrap());
    let unpacked = Disk::over(stack);
    let unpacked = Snapshot::of_disk(unpacked.root());
    prop_assert_eq!(
        &unpacked.files,
        &after.files,
        "the layer unpacked and the disk differ"
    );
    // A file that the base has already is not written again, and so has no links into the layer.
    let written = after.paths(|path| before.files.get(path) != after.files.get(path));
    prop_assert_eq!(
        unpacked.links(&written),
        after.links(&written),
        "links in the layer and of the disk"
    );
    let read_back = Snapshot::of_tree(&stack.tree(), stack);
    prop_assert_eq!(
        &read_back.files,
        &after.files,
        "the layer read back and the disk differ"
    );
    prop_assert_eq!(
        read_back.links(&written),
        after.links(&written),
        "links of the layer read back"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn edits_and_layers_are_what_a_disk_makes_of_them(
        layers in prop::collection::vec(prop::collection::vec(operation(), 10..60), 1..4)
    ) {
        let mut stack = Stack::default();
        for operations in &layers {
            add_layer(&mut stack, operations)?;
        }
    }
}

#[test]
fn nothing_is_a_layer() {
    let mut stack = Stack::default();
    add_layer(&mut stack, &[]).unwrap();
    assert_eq!(changes(&stack.tree(), &Tree::scratch()), Ok(Vec::new()));
}
