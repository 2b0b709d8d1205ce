//! Small images, and what is done to them.

use std::error::Error;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use fs_err as fs;
use onlay_oci::{
    Compression, Descriptor, DiffId, Digest, Document, Family, History, ImageConfiguration, Manifest,
    MediaType, Platform, Tag,
};
use onlay_store::{Layout, Location, Mismatch, Store};

/// An image of three layers, one for each compression, in a layout under the tag.
pub(crate) fn write_image(layout: &Layout, tag: &str, seed: &str) -> Manifest {
    let compressions = [Compression::None, Compression::Gzip, Compression::Zstd];
    let layers: Vec<(Compression, Vec<u8>)> = compressions
        .into_iter()
        .enumerate()
        .map(|(index, compression)| (compression, layer(&format!("{seed}-{index}"))))
        .collect();
    write_layers(layout, tag, &layers)
}

/// An image of these uncompressed layers, each stored as said.
pub(crate) fn write_layers(layout: &Layout, tag: &str, layers: &[(Compression, Vec<u8>)]) -> Manifest {
    let config = configuration(layers.iter().map(|(_, tar)| &tar[..]));
    let blobs = layers.iter().map(|(compression, tar)| {
        let media_type = MediaType::Layer(Family::Oci, *compression);
        write_blob(layout, media_type, &compressed(*compression, tar))
    });
    let blobs = blobs.collect();
    let config = write_blob(layout, MediaType::Config(Family::Oci), &config);
    let manifest = Manifest::assemble(None, Family::Oci, config, blobs, &Default::default()).unwrap();
    let descriptor = manifest.descriptor();
    layout.write_blob(&descriptor, &manifest.bytes()[..]).unwrap();
    layout.tag(&descriptor, &tag_of(tag)).unwrap();
    manifest
}

pub(crate) fn configuration<'a>(layers: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut configuration = ImageConfiguration::scratch(&Platform::new("linux", "amd64")).unwrap();
    for tar in layers {
        configuration.push_diff_id(DiffId::new(Digest::of(tar)));
        configuration.push_history(History::default()).unwrap();
    }
    configuration.to_bytes().unwrap().to_vec()
}

/// A layer of one file that is named after its content.
pub(crate) fn layer(content: &str) -> Vec<u8> {
    tar(&[(content, content.as_bytes())])
}

pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(bytes, 0).unwrap(),
    }
}

pub(crate) fn write_blob(layout: &Layout, media_type: MediaType, bytes: &[u8]) -> Descriptor {
    let descriptor = Descriptor::of(media_type, bytes);
    layout.write_blob(&descriptor, bytes).unwrap();
    descriptor
}

pub(crate) fn blob_path(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join("blobs/sha256").join(digest.encoded())
}

/// Changes the last byte of a file.
pub(crate) fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Changes one byte at the first place where `content` stands in a file.
pub(crate) fn flip_in(path: &Path, content: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let position = bytes.windows(content.len()).position(|window| window == content);
    bytes[position.expect("the content is in the file")] ^= 1;
    fs::write(path, bytes).unwrap();
}

pub(crate) fn tag_of(text: &str) -> Tag {
    text.parse().unwrap()
}

pub(crate) fn open(location: &str) -> (Store, Descriptor) {
    try_open(location).unwrap()
}

pub(crate) fn try_open(location: &str) -> Result<(Store, Descriptor), onlay_store::StoreError> {
    Store::open(&location.parse::<Location>().unwrap())
}

/// Reads every blob of an image to its end, which verifies it, and gives the manifest.
pub(crate) fn read_all(store: &Store, root: &Descriptor) -> Manifest {
    let Document::Manifest(manifest) = store.document(root).unwrap() else {
        panic!("{root:?} is an index");
    };
    for blob in manifest.layers().iter().chain([manifest.config()]) {
        assert_eq!(store.read_blob(blob).unwrap().len() as u64, blob.size);
    }
    manifest
}

/// Finds the mismatch that an error comes from.
pub(crate) fn mismatch<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Mismatch> {
    let io = error.downcast_ref::<std::io::Error>();
    let inner = io.and_then(|error| error.get_ref()?.downcast_ref::<Mismatch>());
    inner.or_else(|| mismatch(error.source()?))
}

pub(crate) fn read_to_end(mut reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}
