//! Listings: made once for each layer of a base, decoded in every run.

use criterion::{BenchmarkId, Criterion, Throughput};
use onlay_layer::{Listing, read_listing};
use onlay_testkit::Compression;

use crate::sample;

/// About 30 MB as gzip: the lowest layer of a Debian image.
const UNCOMPRESSED_SIZE: usize = 80 << 20;

pub(crate) fn bench(criterion: &mut Criterion) {
    read(criterion);
    encode(criterion);
}

/// The throughput is that of the bytes as stored, which is what a network must not be faster than.
fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("listing/read");
    group.sample_size(10);
    let layer = sample::layer(UNCOMPRESSED_SIZE);
    let diff_id = layer.diff_id().parse().unwrap();
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Plain] {
        let blob = layer.clone().with_compression(compression).blob();
        group.throughput(Throughput::Bytes(blob.len() as u64));
        group.bench_function(
            BenchmarkId::from_parameter(format!("{compression:?}")),
            |bencher| {
                bencher.iter(|| read_listing(blob.as_slice(), &diff_id).unwrap());
            },
        );
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
