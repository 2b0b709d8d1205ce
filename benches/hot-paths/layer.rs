//! Writing layers: the vault image's, which must cost nothing, and one with as much in it as a compiled program.

use std::cell::LazyCell;
use std::io;
use std::num::NonZero;
use std::thread;

use criterion::{BenchmarkId, Criterion, Throughput};
use onlay_layer::{
    Change, CompressionOptions, Content, Edit, ImagePath, LayerOptions, Metadata, ModificationTime,
    NoContent, Node, Tree, changes, write_layer,
};

use crate::sample;

const LARGE_SIZE: usize = 64 << 20;
const LARGE_FILE_SIZE: usize = 1 << 20;

pub(crate) fn bench(criterion: &mut Criterion) {
    vault(criterion);
    large(criterion);
}

/// `RUN mkdir /etc/vault`, from the edit of the base's tree to the layer's bytes.
fn vault(criterion: &mut Criterion) {
    let base = sample::listings()
        .iter()
        .fold(Tree::unread(), |tree, listing| tree.over(listing))
        .completed();
    let base = with_directory(&base, "etc");
    let mut group = criterion.benchmark_group("layer");
    group.bench_function("vault", |bencher| {
        bencher.iter(|| write(&changes(&base, &with_directory(&base, "etc/vault")).unwrap(), 1));
    });
    group.finish();
}

fn large(criterion: &mut Criterion) {
    let changes = LazyCell::new(large_changes);
    let mut group = criterion.benchmark_group("layer/write 64 MiB as gzip");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(LARGE_SIZE as u64));
    let all = thread::available_parallelism().map_or(2, NonZero::get).max(2);
    for threads in [1, all] {
        group.bench_function(BenchmarkId::new("threads", threads), |bencher| {
            bencher.iter(|| write(&changes, threads));
        });
    }
    group.finish();
}

fn large_changes() -> Vec<Change> {
    let base = Tree::scratch();
    let mut edit = Edit::new(&base);
    for (number, bytes) in sample::content(LARGE_SIZE).chunks(LARGE_FILE_SIZE).enumerate() {
        let file = Node::file(
            Metadata::root_owned(0o755),
            ModificationTime::Build,
            Content::Bytes(bytes.into()),
        );
        edit.put(&path(&format!("file-{number:02}")), file).unwrap();
    }
    changes(&base, &edit.finish()).unwrap()
}

fn write(changes: &[Change], threads: usize) -> u64 {
    let options = LayerOptions {
        build_time: None,
        compression: CompressionOptions::gzip(threads),
    };
    let (layer, _) = write_layer(changes, &mut NoContent, &options, io::sink()).unwrap();
    layer.size
}

fn with_directory(tree: &Tree, name: &str) -> Tree {
    let mut edit = Edit::new(tree);
    let directory = Node::directory(Metadata::root_owned(0o755), ModificationTime::Build);
    edit.put(&path(name), directory).unwrap();
    edit.finish()
}

fn path(name: &str) -> ImagePath {
    ImagePath::from_member(name.as_bytes()).unwrap()
}
