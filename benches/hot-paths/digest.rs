//! Hashing: everything that is read or written passes through it once or twice.

use criterion::{Criterion, Throughput};
use onlay_oci::{Algorithm, Digest, Digester};

use crate::sample;

/// As much as fits the processor's cache: the hash is measured, not the memory.
const SIZE: usize = 1 << 20;

/// What a pipeline hands on at a time.
const PIECE: usize = 32 * 1024;

pub(crate) fn bench(criterion: &mut Criterion) {
    let bytes = sample::content(SIZE);
    let mut group = criterion.benchmark_group("digest");
    group.throughput(Throughput::Bytes(SIZE as u64));
    group.bench_function("of", |bencher| bencher.iter(|| Digest::of(&bytes)));
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        group.bench_function(format!("{algorithm} in pieces"), |bencher| {
            bencher.iter(|| {
                let mut digester = Digester::new(algorithm);
                bytes.chunks(PIECE).for_each(|piece| digester.update(piece));
                digester.finish()
            });
        });
    }
    group.finish();
}
