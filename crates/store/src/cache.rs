use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use onlay_oci::Digest;

use crate::StoreError;
use crate::layout::write_atomically;

/// What is kept between runs, by kind and digest.
///
/// It holds nothing that could not be made again: an entry that is damaged counts as absent, and one that cannot be
/// written costs the next run time. Several processes may use one directory at a time.
#[derive(Debug)]
pub struct Cache {
    directory: Option<PathBuf>,
    memory: Mutex<HashMap<(CacheKind, Digest), Vec<u8>>>,
}

/// What an entry of the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheKind {
    /// A layer's listing, by its diff id.
    Listing,
    /// A manifest, an index or a configuration, by its digest.
    Document,
    /// Where a name pointed when it was last asked for, by the digest of the name.
    Name,
}

/// As many bytes of digest stand in front of each entry's own.
const DIGEST_LENGTH: usize = 64;

impl Cache {
    /// Keeps entries in a directory, which is made when the first is written.
    pub fn in_directory(directory: PathBuf) -> Self {
        Self {
            directory: Some(directory),
            memory: Mutex::default(),
        }
    }

    /// Keeps entries for this run only.
    pub fn in_memory() -> Self {
        Self {
            directory: None,
            memory: Mutex::default(),
        }
    }

    /// Tells whether there is an entry; it may turn out to be damaged.
    pub fn contains(&self, kind: CacheKind, key: &Digest) -> bool {
        let in_memory = || {
            self.memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains_key(&(kind, key.clone()))
        };
        match &self.directory {
            Some(directory) => directory.join(kind.directory()).join(file_name(key)).exists() || in_memory(),
            None => in_memory(),
        }
    }

    /// Reads an entry; a damaged one is removed.
    pub fn get(&self, kind: CacheKind, key: &Digest) -> Option<Vec<u8>> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = memory.get(&(kind, key.clone())) {
            return Some(bytes.clone());
        }
        drop(memory);
        let path = self
            .directory
            .as_ref()?
            .join(kind.directory())
            .join(file_name(key));
        // A pipe in the place of an entry would be waited for.
        if !fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let bytes = fs::read(&path).ok()?;
        match bytes.split_at_checked(DIGEST_LENGTH) {
            Some((digest, content)) if Digest::of(content).encoded().as_bytes() == digest => {
                Some(content.to_vec())
            }
            _ => {
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Writes an entry; gives the reason if it is kept for this run only.
    pub fn put(&self, kind: CacheKind, key: &Digest, content: &[u8]) -> Option<StoreError> {
        let failure = match &self.directory {
            Some(directory) => match write(&directory.join(kind.directory()), key, content) {
                Ok(()) => return None,
                Err(error) => Some(error),
            },
            None => None,
        };
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.insert((kind, key.clone()), content.to_vec());
        failure
    }
}

impl CacheKind {
    /// The version counts up with the format of what is kept.
    fn directory(self) -> &'static str {
        match self {
            Self::Listing => "listings-v1",
            Self::Document => "documents-v1",
            Self::Name => "names-v1",
        }
    }
}

fn file_name(key: &Digest) -> String {
    format!("{}-{}", key.algorithm(), key.encoded())
}

fn write(directory: &Path, key: &Digest, content: &[u8]) -> Result<(), StoreError> {
    fs::create_dir_all(directory)?;
    let entry = [Digest::of(content).encoded().as_bytes(), content].concat();
    write_atomically(directory, &file_name(key), &entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_entries_are_absent() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::in_directory(directory.path().to_owned());
        let key = Digest::of(b"key");
        assert!(cache.get(CacheKind::Listing, &key).is_none());
        assert!(cache.put(CacheKind::Listing, &key, b"content").is_none());
        assert_eq!(
            cache.get(CacheKind::Listing, &key).as_deref(),
            Some(&b"content"[..])
        );

        let path = directory.path().join("listings-v1").join(file_name(&key));
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(cache.get(CacheKind::Listing, &key).is_none());
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_no_failure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = Cache::in_directory(file.path().join("below-a-file"));
        let key = Digest::of(b"key");
        assert!(cache.put(CacheKind::Listing, &key, b"content").is_some());
        assert_eq!(
            cache.get(CacheKind::Listing, &key).as_deref(),
            Some(&b"content"[..])
        );
    }
}
