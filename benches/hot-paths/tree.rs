//! The merged tree: built in every run that has a file instruction.

use criterion::{Criterion, Throughput};
use onlay_layer::{LastLink, Listing, Tree};

use crate::sample;

/// A file of the lowest layer.
const DEEP: &[u8] = b"/usr/lib/python3/dist-packages/group_03/package_07/module_09.py";

pub(crate) fn bench(criterion: &mut Criterion) {
    let listings = sample::listings();
    let tree = merge(&listings);
    let mut group = criterion.benchmark_group("tree");
    group.bench_function("resolve", |bencher| {
        bencher.iter(|| tree.resolve(DEEP, &Default::default(), LastLink::Follow).unwrap());
    });
    group.throughput(Throughput::Elements(sample::BASE_ENTRIES as u64));
    group.bench_function("merge", |bencher| bencher.iter(|| merge(&listings)));
    group.finish();
}

fn merge(listings: &[Listing]) -> Tree {
    listings
        .iter()
        .fold(Tree::unread(), |tree, listing| tree.over(listing))
        .completed()
}
