use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use onlay_oci::{
    Algorithm, Compression, Descriptor, DiffId, Digest, Digester, Family, ImageConfiguration, Manifest,
    MediaType, Reference,
};
use serde::{Deserialize, Serialize};

use crate::layout::{archive_place, persist, temporary_file};
use crate::member::{MAGIC_LENGTH, Members, sniff};
use crate::oci_archive::append;
use crate::store::read_whole;
use crate::verify::VerifyingReader;
use crate::{Layout, StoreError};

/// What `docker save` writes and `docker load` reads: a configuration, layers, and a list of images.
///
/// There is no manifest in it, so one is made up, of Docker's family (OCI's, if a layer is compressed with zstd, which
/// Docker's has no name for); its layers are the archive's, as they are stored.
///
/// Source: moby image/spec v1.2 "Combined Image JSON + Filesystem Changeset Format".
#[derive(Debug)]
pub struct DockerArchive {
    members: Members,
    manifest: Manifest,
    /// Where each blob of the image is.
    names: HashMap<Digest, String>,
}

/// One image of the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

const LIST: &str = "manifest.json";

impl DockerArchive {
    /// Opens an archive and makes up the manifest of the image that is meant: the named one, else the only one.
    ///
    /// Layers that are not compressed are read by nobody here; compressed ones once, for their digest.
    ///
    /// # Errors
    /// The file is missing, no such archive or damaged, or it is not clear which image is meant.
    pub fn open(file: &Path, name: Option<&Reference>) -> Result<Self, StoreError> {
        let members = Members::open(file)?;
        let images: Vec<Listed> =
            serde_json::from_slice(&members.read(LIST)?).map_err(|source| StoreError::List {
                path: file.to_owned(),
                name: LIST,
                source,
            })?;
        let image = choose(&images, name, file)?;
        let bytes = members.read(&image.config)?;
        let configuration = parse_configuration(&image.config, &bytes)?;
        let config = Descriptor::of(MediaType::Config(Family::Docker), &bytes);
        let mut names = HashMap::from([(config.digest.clone(), image.config.clone())]);
        check_layer_count(&image.config, image.layers.len(), &configuration)?;
        let mut layers = Vec::new();
        for (name, diff_id) in image.layers.iter().zip(configuration.diff_ids()) {
            let layer = describe(&members, name, diff_id)?;
            names.insert(layer.digest.clone(), name.clone());
            layers.push(layer);
        }
        let manifest = Manifest::assemble(None, family(&layers), config, layers, &Default::default())
            .map_err(|source| StoreError::Index {
                path: file.to_owned(),
                source,
            })?;
        Ok(Self {
            members,
            manifest,
            names,
        })
    }

    /// The manifest that was made up.
    pub fn image(&self) -> Descriptor {
        self.manifest.descriptor()
    }

    /// Opens a blob; size and digest are checked when its end is read.
    ///
    /// # Errors
    /// It is not there.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        if descriptor.digest == self.manifest.descriptor().digest {
            let bytes: Arc<[u8]> = self.manifest.bytes().clone();
            return Ok(Box::new(io::Cursor::new(bytes)));
        }
        let missing = || StoreError::NoBlob {
            digest: descriptor.digest.clone(),
            path: self.members.file().to_owned(),
        };
        let name = self.names.get(&descriptor.digest).ok_or_else(missing)?;
        let (reader, _) = self.members.member(name)?.ok_or_else(missing)?;
        Ok(Box::new(VerifyingReader::new(reader, descriptor)))
    }

    /// Writes one image of a layout as an archive, in place of the file that is there.
    ///
    /// Layers are written without compression, which every version of `docker load` takes.
    ///
    /// # Errors
    /// A blob is damaged, or the disk failed; the file is then as it was.
    pub fn write(
        layout: &Layout,
        image: &Manifest,
        name: Option<&Reference>,
        file: &Path,
    ) -> Result<(), StoreError> {
        let file = &archive_place(file)?;
        let directory = file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut out = temporary_file(directory)?;
        {
            let mut buffered = io::BufWriter::new(&mut out);
            write_members(layout, image, name, &mut buffered)?;
            let failed = |source| StoreError::Write {
                path: file.to_owned(),
                source,
            };
            buffered.write_all(&[0; 1024]).map_err(failed)?;
            buffered.flush().map_err(failed)?;
        }
        persist(out, file)
    }
}

fn choose<'a>(images: &'a [Listed], name: Option<&Reference>, file: &Path) -> Result<&'a Listed, StoreError> {
    let tags = || images.iter().flat_map(|image| image.repo_tags.iter().flatten());
    let printed = || {
        tags()
            .map(|tag| format!("`{tag}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let is_named = |image: &&Listed, name: &Reference| {
        image
            .repo_tags
            .iter()
            .flatten()
            .any(|tag| tag.parse::<Reference>().is_ok_and(|tag| tag == *name))
    };
    match (name, images) {
        (_, []) => Err(StoreError::Empty {
            path: file.to_owned(),
        }),
        (Some(name), _) => {
            images
                .iter()
                .find(|image| is_named(image, name))
                .ok_or_else(|| StoreError::NoTag {
                    path: file.to_owned(),
                    tag: name.familiar().to_string(),
                    tags: printed(),
                })
        }
        (None, [only]) => Ok(only),
        (None, _) => Err(StoreError::Ambiguous {
            path: file.to_owned(),
            tags: printed(),
        }),
    }
}

/// Describes a layer as it is stored; an uncompressed one has its diff id for a digest, a compressed one is read once,
/// for its digest and to check what it unpacks to.
fn describe(members: &Members, name: &str, diff_id: &DiffId) -> Result<Descriptor, StoreError> {
    let missing = || StoreError::NotAnArchive {
        path: members.file().to_owned(),
        missing: name.to_owned(),
    };
    let failed = |source| StoreError::Member {
        path: members.file().to_owned(),
        name: name.to_owned(),
        source,
    };
    let (reader, size) = members.member(name)?.ok_or_else(missing)?;
    let mut start = Vec::new();
    reader.take(MAGIC_LENGTH).read_to_end(&mut start)?;
    let compression = sniff(&start);
    let media_type = MediaType::Layer(Family::Docker, compression);
    if compression == Compression::None {
        return Ok(Descriptor::new(media_type, diff_id.digest().clone(), size));
    }
    let (reader, _) = members.member(name)?.ok_or_else(missing)?;
    let mut stored = HashingReader::new(reader);
    let unpacked = decompressed(compression, Box::new(&mut stored)).and_then(digest_of);
    check_diff_id(name, diff_id, unpacked.map_err(failed)?)?;
    io::copy(&mut stored, &mut io::sink()).map_err(failed)?;
    Ok(Descriptor::new(media_type, stored.finish(), size))
}

fn family(layers: &[Descriptor]) -> Family {
    let is_zstd = |layer: &Descriptor| matches!(layer.media_type, MediaType::Layer(_, Compression::Zstd));
    if layers.iter().any(is_zstd) {
        Family::Oci
    } else {
        Family::Docker
    }
}

fn parse_configuration(name: &str, bytes: &[u8]) -> Result<ImageConfiguration, StoreError> {
    ImageConfiguration::parse(bytes).map_err(|source| StoreError::Configuration {
        name: name.to_owned(),
        source,
    })
}

fn check_layer_count(
    name: &str,
    layers: usize,
    configuration: &ImageConfiguration,
) -> Result<(), StoreError> {
    let diff_ids = configuration.diff_ids().len();
    if layers == diff_ids {
        return Ok(());
    }
    Err(StoreError::LayerCount {
        name: name.to_owned(),
        layers,
        diff_ids,
    })
}

fn check_diff_id(name: &str, expected: &DiffId, found: Digest) -> Result<(), StoreError> {
    if *expected.digest() == found {
        return Ok(());
    }
    Err(StoreError::DiffId {
        name: name.to_owned(),
        expected: expected.clone(),
        found: DiffId::new(found),
    })
}

fn write_members(
    layout: &Layout,
    image: &Manifest,
    name: Option<&Reference>,
    out: &mut impl Write,
) -> Result<(), StoreError> {
    let config = image.config();
    let bytes = read_whole(config, layout.open_blob(config)?)?;
    let configuration = parse_configuration(&config.digest.to_string(), &bytes)?;
    check_layer_count(&config.digest.to_string(), image.layers().len(), &configuration)?;
    let config_name = format!("{}.json", config.digest.encoded());
    append(out, &config_name, config.size, &bytes[..])?;
    let mut layers = Vec::new();
    for (layer, diff_id) in image.layers().iter().zip(configuration.diff_ids()) {
        let name = format!("{}/layer.tar", layer.digest.encoded());
        if !layers.contains(&name) {
            append_layer(out, &name, layout, layer, diff_id)?;
        }
        layers.push(name);
    }
    let repo_tags = name.map(|name| vec![name.familiar().to_string()]);
    let list = serde_json::to_vec(&[Listed {
        config: config_name,
        repo_tags,
        layers,
    }])
    .map_err(|source| StoreError::List {
        path: layout.directory().to_owned(),
        name: LIST,
        source,
    })?;
    append(out, LIST, list.len() as u64, &list[..])?;
    Ok(())
}

/// Appends a layer unpacked. The header wants the size first, so the layer is decompressed twice rather than kept.
fn append_layer(
    out: &mut impl Write,
    name: &str,
    layout: &Layout,
    layer: &Descriptor,
    diff_id: &DiffId,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::Blob {
        digest: layer.digest.clone(),
        source,
    };
    let mut unpacked = HashingReader::new(plain(layout, layer)?);
    let size = io::copy(&mut unpacked, &mut io::sink()).map_err(failed)?;
    check_diff_id(&layer.digest.to_string(), diff_id, unpacked.finish())?;
    append(out, name, size, plain(layout, layer)?).map_err(failed)
}

/// A layer's uncompressed bytes.
fn plain(layout: &Layout, layer: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
    match &layer.media_type {
        MediaType::Layer(_, compression) | MediaType::ForeignLayer(_, compression) => {
            Ok(decompressed(*compression, layout.open_blob(layer)?)?)
        }
        MediaType::Manifest(_)
        | MediaType::Index(_)
        | MediaType::Config(_)
        | MediaType::Schema1 { .. }
        | MediaType::Other(_) => Err(StoreError::LayerType {
            digest: layer.digest.clone(),
            media_type: layer.media_type.clone(),
        }),
    }
}

/// Reads what was compressed, all members or frames of it, and so the reader to its end.
fn decompressed<'a>(
    compression: Compression,
    reader: Box<dyn Read + Send + 'a>,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match compression {
        Compression::None => reader,
        Compression::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Compression::Zstd => Box::new(zstd::Decoder::new(reader)?),
    })
}

fn digest_of(reader: impl Read) -> io::Result<Digest> {
    let mut reader = HashingReader::new(reader);
    io::copy(&mut reader, &mut io::sink())?;
    Ok(reader.finish())
}

/// Computes the digest of what is read through it.
struct HashingReader<R> {
    reader: R,
    digester: Digester,
}

impl<R> HashingReader<R> {
    fn new(reader: R) -> Self {
        let digester = Digester::new(Algorithm::Sha256);
        Self { reader, digester }
    }

    fn finish(self) -> Digest {
        self.digester.finish()
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.digester.update(&buffer[..count]);
        Ok(count)
    }
}
