use std::thread;

use onlay_oci::Digest;
use onlay_store::{Cache, CacheKind};

#[test]
fn whoever_reads_while_others_write_gets_an_entry_whole() {
    let directory = tempfile::tempdir().unwrap();
    let key = Digest::of(b"key");
    let entries = [vec![1; 200_000], vec![2; 100_000]];
    thread::scope(|scope| {
        for thread in 0..8 {
            let (directory, key, entries) = (directory.path(), &key, &entries);
            scope.spawn(move || {
                let cache = Cache::in_directory(directory.to_owned());
                for _ in 0..10 {
                    assert!(cache.put(CacheKind::Listing, key, &entries[thread % 2]).is_none());
                    let read = cache.get(CacheKind::Listing, key);
                    assert!(read.is_some_and(|read| entries.contains(&read)));
                }
            });
        }
    });
}

#[test]
fn entries_in_memory_are_this_runs() {
    let cache = Cache::in_memory();
    let key = Digest::of(b"key");
    assert!(!cache.contains(CacheKind::Listing, &key));
    assert!(cache.put(CacheKind::Listing, &key, b"entry").is_none());
    assert!(cache.contains(CacheKind::Listing, &key));
    assert_eq!(
        cache.get(CacheKind::Listing, &key).as_deref(),
        Some(&b"entry"[..])
    );
    assert_eq!(Cache::in_memory().get(CacheKind::Listing, &key), None);
}
