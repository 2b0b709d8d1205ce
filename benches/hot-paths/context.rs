//! The build context: 100,000 files are to be walked, patterns applied, at no less than half the speed of
//! `tar -cf /dev/null`, which looks at each file as well but reads none.

use std::cell::LazyCell;
use std::path::Path;
use std::process::Command;

use criterion::{Criterion, Throughput};
use onlay_context::{DirectoryContext, Ignore};
use tempfile::TempDir;

const FILES: usize = 100_000;
const FILES_IN_A_DIRECTORY: usize = 25;
const ENDINGS: [&str; 5] = ["js", "ts", "map", "json", "log"];

/// What the ignore files of real projects are like: names at any depth, endings, directories, exceptions.
const PATTERNS: &[u8] = b".git\n**/node_modules\ndist/**\nbuild\ncoverage/\n**/.DS_Store\n**/__pycache__\n**/*.py[co]\n\
    **/*.log\n**/*.tmp\n**/*.swp\n.env*\n**/test/**/fixtures\n*/*.map\n**/secret*\nDockerfile*\n*.md\n!README.md\n";

pub(crate) fn bench(criterion: &mut Criterion) {
    // Made only when one of these benches is asked for.
    let directory = LazyCell::new(directory);
    let mut group = criterion.benchmark_group("context-walk");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(FILES as u64));
    group.bench_function("all", |bencher| bencher.iter(|| walk(directory.path(), b"")));
    group.bench_function("patterns", |bencher| {
        bencher.iter(|| walk(directory.path(), PATTERNS));
    });
    group.bench_function("tar", |bencher| bencher.iter(|| tar(directory.path())));
    group.finish();
}

fn walk(directory: &Path, patterns: &[u8]) -> usize {
    let context = DirectoryContext::open(directory).unwrap();
    context.walk(&Ignore::parse(patterns).unwrap()).unwrap().len()
}

fn tar(directory: &Path) {
    let mut tar = Command::new("tar");
    tar.args(["-cf", "/dev/null", "-C"]).arg(directory).arg(".");
    assert!(tar.status().unwrap().success());
}

fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for index in 0..FILES / FILES_IN_A_DIRECTORY {
        let package = directory
            .path()
            .join(format!("package-{}/module-{}/src", index / 40, index % 40));
        fs_err::create_dir_all(&package).unwrap();
        for file in 0..FILES_IN_A_DIRECTORY {
            let ending = ENDINGS[file % ENDINGS.len()];
            fs_err::write(package.join(format!("file-{file}.{ending}")), "content").unwrap();
        }
    }
    directory
}
