use std::io::{Cursor, Error, Read, Write};

use onlay_layer::{BaseFile, ModificationTime};
use onlay_layer::{
    CompressionOptions, Compressor, Content, ContentSource, EntryKind, LayerOptions, LayerReadError, Listing,
    Node, NodeKind, Tree, decompressor, read_archive, read_files, read_listing, write_layer,
};
use onlay_oci::{Compression, DiffId, Digest};

use super::tree::{check_listing, on_nothing, tree_of, walk};

/// Reads bytes as an archive and as a layer, compressed as they are or once more.
///
/// What was read encodes, merges and compares; its files read back; written as a layer it gives the same tree.
pub fn tar(bytes: &[u8]) {
    if let Ok(listing) = read_archive(bytes) {
        check_listing(&listing);
    }
    let Some(listing) = layer(bytes) else { return };
    check_listing(&listing);
    let mut plain = Vec::new();
    let mut stream = decompressor(bytes).unwrap();
    stream
        .read_to_end(&mut plain)
        .expect("what was read once reads again");
    assert_eq!(listing.uncompressed_size, plain.len() as u64);
    check_compressed(&plain, &listing);
    check_files(bytes, &plain, &listing);
    check_written(&plain, &listing);
}

/// Lists a layer, whatever its diff id.
fn layer(bytes: &[u8]) -> Option<Listing> {
    match read_listing(bytes, &DiffId::new(Digest::of(b"another layer"))) {
        Err(LayerReadError::DiffId { found, .. }) => {
            Some(read_listing(bytes, &found).expect("the digest that was found is the one expected"))
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
        Ok(_) => panic!("a layer with a digest made up"),
    }
}

/// The same bytes compressed are the same layer.
fn check_compressed(plain: &[u8], listing: &Listing) {
    for options in [CompressionOptions::gzip(1), CompressionOptions::zstd()] {
        let mut compressor = Compressor::new(Vec::new(), options).unwrap();
        compressor.write_all(plain).unwrap();
        let compressed = compressor.finish().unwrap();
        assert_eq!(layer(&compressed).as_ref(), Some(listing));
    }
}

/// Every file of a listing is where the listing says, and its bytes are those listed.
fn check_files(bytes: &[u8], plain: &[u8], listing: &Listing) {
    let files: Vec<BaseFile> = listing
        .entries
        .iter()
        .filter_map(|entry| match &entry.kind {
            EntryKind::File { size, offset, digest } => Some(BaseFile {
                layer: listing.diff_id.clone().into(),
                path: entry.path.clone(),
                offset: *offset,
                size: *size,
                digest: digest.clone(),
            }),
            _ => None,
        })
        .collect();
    for file in &files {
        assert_eq!(Digest::of(slice(plain, file).unwrap()), file.digest);
    }
    let mut copied = Vec::new();
    let references: Vec<&BaseFile> = files.iter().collect();
    let order = read_files(bytes, &references, &mut copied).expect("every file that is listed reads");
    assert_eq!(
        order.iter().map(|file| file.size).sum::<u64>(),
        copied.len() as u64
    );
}

/// Written on nothing as one layer, a tree reads back as it was.
fn check_written(plain: &[u8], listing: &Listing) {
    let tree = tree_of(listing);
    let options = LayerOptions {
        build_time: Some(0),
        compression: CompressionOptions {
            compression: Compression::None,
            level: 1,
            threads: 1,
        },
    };
    let changes = on_nothing(&tree);
    let (written, bytes) = write_layer(&changes, &mut Slices(plain), &options, Vec::new())
        .unwrap_or_else(|error| panic!("what was read cannot be written: {error:?}"));
    let again = read_listing(&bytes[..], &written.diff_id).expect("what was written reads");
    assert_same(&tree, &tree_of(&again));
}

/// Compares trees of the same files in different layers.
fn assert_same(left: &Tree, right: &Tree) {
    let (left, right) = (walk(left), walk(right));
    assert_eq!(left.len(), right.len(), "{left:?} {right:?}");
    // The root's header is what no layer of ours has.
    for ((left_path, left), (right_path, right)) in left.iter().zip(&right).skip(1) {
        assert_eq!(left_path, right_path);
        assert_eq!(left.metadata, right.metadata, "{left_path}");
        assert_eq!(seconds(left), seconds(right), "{left_path}");
        assert_eq!(shape(left), shape(right), "{left_path}");
    }
}

fn seconds(node: &Node) -> i64 {
    match node.mtime {
        ModificationTime::Build => 0,
        ModificationTime::Seconds(seconds) => seconds,
    }
}

/// What a node is, wherever its bytes are.
fn shape(node: &Node) -> String {
    match &node.kind {
        NodeKind::Directory(_) => "directory".to_owned(),
        NodeKind::File(Content::Base(file)) => format!("file of {} bytes, {}", file.size, file.digest),
        NodeKind::File(Content::Bytes(bytes)) => {
            format!("file of {} bytes, {}", bytes.len(), Digest::of(bytes))
        }
        kind => format!("{kind:?}"),
    }
}

fn slice<'a>(plain: &'a [u8], file: &BaseFile) -> Option<&'a [u8]> {
    let start = usize::try_from(file.offset).ok()?;
    let end = start.checked_add(usize::try_from(file.size).ok()?)?;
    plain.get(start..end)
}

/// The files of a layer whose uncompressed bytes are at hand.
struct Slices<'a>(&'a [u8]);

impl ContentSource for Slices<'_> {
    fn open(&mut self, content: &Content) -> std::io::Result<Box<dyn Read + '_>> {
        match content {
            Content::Base(file) => match slice(self.0, file) {
                Some(bytes) => Ok(Box::new(Cursor::new(bytes))),
                None => Err(Error::other("a file outside of its layer")),
            },
            other => Err(Error::other(format!("{other:?} is in no layer"))),
        }
    }
}
