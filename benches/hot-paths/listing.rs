//! Listings: made once for each layer of a base, decoded in every run.

use std::cell::LazyCell;

use criterion::{Criterion, Throughput};
use onlay_layer::{Listing, read_listing};
use onlay_testkit::Compression;

use crate::sample;

/// About 30 MB as gzip: the lowest layer of a Debian image.
const UNCOMPRESSED_SIZE: usize = 80 << 20;

pub(crate) fn bench(criterion: &mut Criterion) {
    read(criterion);
    encode(criterion);
}

/// The throughput is that of the uncompressed bytes.
fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("listing/read");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(UNCOMPRESSED_SIZE as u64));
    // Made only if it is measured: compressing it takes longer than most other benches.
    let layer = LazyCell::new(|| sample::layer(UNCOMPRESSED_SIZE));
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Plain] {
        group.bench_function(format!("{compression:?}"), |bencher| {
            let blob = layer.clone().with_compression(compression).blob();
            let diff_id = layer.diff_id().parse().unwrap();
            bencher.iter(|| read_listing(blob.as_slice(), &diff_id).unwrap());
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let listings = sample::listings();
    let encoded: Vec<Vec<u8>> = listings.iter().map(|listing| listing.encode().unwrap()).collect();
    let mut group = criterion.benchmark_group("listing");
    group.throughput(Throughput::Elements(sample::BASE_ENTRIES as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| -> Vec<_> { listings.iter().map(|listing| listing.encode().unwrap()).collect() });
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| -> Vec<_> {
            encoded
                .iter()
                .map(|bytes| Listing::decode(bytes).unwrap())
                .collect()
        });
    });
    group.finish();
}
