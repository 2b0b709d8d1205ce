//! The corpus of the fuzz targets, given to the same functions: what was once found stays found, on every compiler.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(
    clippy::print_stdout,
    reason = "a failure's output ends with the file that it is about"
)]

#[path = "../../fuzz/src/lib.rs"]
#[allow(
    unreachable_pub,
    missing_docs,
    reason = "it is the library of the fuzz targets, too"
)]
mod fuzz;

use std::path::Path;

/// Gives every file of a target's corpus to its function.
fn check(target: &str, read: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let files = fs_err::read_dir(&corpus).expect("the corpus is in the repository");
    let mut count = 0;
    for file in files {
        let path = file.expect("the corpus can be listed").path();
        println!("{}", path.display());
        read(&fs_err::read(&path).expect("a file of the corpus can be read"));
        count += 1;
    }
    assert!(count > 10, "{count} files in {}", corpus.display());
}

#[test]
fn dockerfiles() {
    check("dockerfile", fuzz::dockerfile);
}

#[test]
fn ignore_lists() {
    check("ignore", fuzz::ignore);
}

#[test]
fn listings() {
    check("listing", fuzz::listing);
}

#[test]
fn tars() {
    check("tar", fuzz::tar);
}
