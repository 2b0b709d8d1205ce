//! Inputs that look like the real ones to a compressor, a hash map and a path.

use std::iter;

use onlay_layer::{Entry, EntryKind, ImagePath, Listing, Metadata};
use onlay_oci::{DiffId, Digest};
use onlay_testkit::{Layer, entry};

/// A number for every call, the same ones in every run (Marsaglia's xorshift64).
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    /// A number below `end`, the small ones far more often, as words are used.
    fn skewed_below(&mut self, end: usize) -> usize {
        let bound = self.below(end) + 1;
        let bound = self.below(bound) + 1;
        self.below(bound)
    }
}

/// How many words [`content`] is made of.
const WORDS: usize = 2048;

/// Bytes that deflate to between a half and a third, as programs and texts do: words of a vocabulary, used as unevenly
/// as words are.
pub(crate) fn content(size: usize) -> Vec<u8> {
    let mut noise = Noise::new();
    let words: Vec<Vec<u8>> = (0..WORDS)
        .map(|_| {
            let length = 4 + noise.below(13);
            iter::repeat_with(|| noise.below(256) as u8)
                .take(length)
                .collect()
        })
        .collect();
    let mut content = Vec::with_capacity(size + 16);
    while content.len() < size {
        content.extend_from_slice(&words[noise.skewed_below(WORDS)]);
    }
    content.truncate(size);
    content
}

/// A gzip layer of `uncompressed_size` bytes: files from 256 bytes to 128 KiB, small ones as often as large ones, 32 to
/// a directory.
pub(crate) fn layer(uncompressed_size: usize) -> Layer {
    let bytes = content(uncompressed_size);
    let mut noise = Noise::new();
    let mut entries = Vec::new();
    let mut rest = bytes.as_slice();
    for number in 0.. {
        if rest.is_empty() {
            break;
        }
        let directory = format!("usr/share/package-{:03}", number / FILES_PER_DIRECTORY);
        if number % FILES_PER_DIRECTORY == 0 {
            entries.push(entry::dir(&directory));
        }
        let power = 256_usize << noise.below(9);
        let size = (power + noise.below(power)).min(rest.len());
        let (file, after) = rest.split_at(size);
        entries.push(entry::file(&format!("{directory}/file-{number:05}.so"), file));
        rest = after;
    }
    Layer::new(&entries)
}

const FILES_PER_DIRECTORY: usize = 32;

/// How many files a base of [`listings`] has in all its layers.
pub(crate) const BASE_ENTRIES: usize = 20_000;

/// How many layers it has.
pub(crate) const BASE_LAYERS: usize = 8;

/// The listings of a base, top layer first, as trees are merged: the lowest layer has half of the files; of those above,
/// every fourth entry stands over one of the lowest, and every 64th is a whiteout.
pub(crate) fn listings() -> Vec<Listing> {
    let each = BASE_ENTRIES / 2 / (BASE_LAYERS - 1);
    let lowest = BASE_ENTRIES - each * (BASE_LAYERS - 1);
    let mut noise = Noise::new();
    let mut listings: Vec<Listing> = (1..BASE_LAYERS)
        .map(|layer| {
            let first = lowest + layer * each;
            let entries = (first..first + each).map(|number| match number % 64 {
                0 => whiteout(noise.below(lowest)),
                number if number % 4 == 0 => file(noise.below(lowest)),
                _ => file(number),
            });
            listing(layer, entries.collect())
        })
        .rev()
        .collect();
    listings.push(listing(0, (0..lowest).map(file).collect()));
    listings
}

fn listing(layer: usize, entries: Vec<Entry>) -> Listing {
    Listing {
        diff_id: DiffId::new(Digest::of(&layer.to_le_bytes())),
        uncompressed_size: 0,
        entries,
        inlined: Vec::new(),
    }
}

/// Entry `number` of a base: one directory, then what is in it; a symbolic link now and then.
fn file(number: usize) -> Entry {
    let kind = match number % FILES_PER_DIRECTORY {
        0 => EntryKind::Directory,
        1 => EntryKind::Symlink {
            target: b"file-00002.so".to_vec(),
        },
        _ => EntryKind::File {
            size: number as u64,
            offset: number as u64 * 512,
            digest: Digest::of(&number.to_le_bytes()),
        },
    };
    at(number, kind)
}

fn whiteout(number: usize) -> Entry {
    at(number, EntryKind::Whiteout)
}

fn at(number: usize, kind: EntryKind) -> Entry {
    let directory = number / FILES_PER_DIRECTORY;
    let (upper, lower) = (directory / 16, directory % 16);
    let directory = format!("usr/lib/python3/dist-packages/group_{upper:02}/package_{lower:02}");
    let path = match number % FILES_PER_DIRECTORY {
        0 => directory,
        name => format!("{directory}/module_{name:02}.py"),
    };
    Entry {
        path: ImagePath::from_member(path.as_bytes()).unwrap(),
        metadata: Metadata::root_owned(0o644),
        mtime: 1_690_848_000,
        kind,
    }
}
