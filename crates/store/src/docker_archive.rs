use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use onlay_oci::{
    Algorithm, Compression, Descriptor, Digest, Digester, Family, ImageConfiguration, Manifest, MediaType,
    Reference,
};
use serde::{Deserialize, Serialize};

use crate::layout::{persist, temporary_file};
use crate::member::Members;
use crate::oci_archive::append;
use crate::verify::VerifyingReader;
use crate::{Layout, StoreError};

/// What `docker save` writes and `docker load` reads: a configuration, layers, and a list of images.
///
/// There is no manifest in it, so one is made up, of Docker's family; its layers are the archive's, as they are stored.
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
            serde_json::from_slice(&members.read(LIST)?).map_err(|_| StoreError::NotAnArchive {
                path: file.to_owned(),
                missing: LIST,
            })?;
        let image = choose(&images, name, file)?;
        let missing = || StoreError::NotAnArchive {
            path: file.to_owned(),
            missing: "configuration",
        };
        let (mut reader, _) = members.member(&image.config)?.ok_or_else(missing)?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let configuration = ImageConfiguration::parse(bytes.clone()).map_err(|_| missing())?;
        let config = Descriptor::of(MediaType::Config(Family::Docker), &bytes);
        let mut names = HashMap::from([(config.digest.clone(), image.config.clone())]);
        if image.layers.len() != configuration.diff_ids().len() {
            return Err(StoreError::NotAnArchive {
                path: file.to_owned(),
                missing: "layer",
            });
        }
        let mut layers = Vec::new();
        for (name, diff_id) in image.layers.iter().zip(configuration.diff_ids()) {
            let layer = describe(&members, name, diff_id.digest())?;
            names.insert(layer.digest.clone(), name.clone());
            layers.push(layer);
        }
        let manifest = Manifest::assemble(None, Family::Docker, config, layers, &Default::default())
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

/// Describes a layer as it is stored; an uncompressed one has its diff id for a digest.
fn describe(members: &Members, name: &str, diff_id: &Digest) -> Result<Descriptor, StoreError> {
    let missing = || StoreError::NotAnArchive {
        path: members.file().to_owned(),
        missing: "layer",
    };
    let (mut reader, size) = members.member(name)?.ok_or_else(missing)?;
    let mut magic = [0; 2];
    let read = reader.read(&mut magic)?;
    if magic[..read] != [0x1f, 0x8b] {
        let media_type = MediaType::Layer(Family::Docker, Compression::None);
        return Ok(Descriptor::new(media_type, diff_id.clone(), size));
    }
    let (mut reader, size) = members.member(name)?.ok_or_else(missing)?;
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            count => digester.update(&buffer[..count]),
        }
    }
    let media_type = MediaType::Layer(Family::Docker, Compression::Gzip);
    Ok(Descriptor::new(media_type, digester.finish(), size))
}

fn write_members(
    layout: &Layout,
    image: &Manifest,
    name: Option<&Reference>,
    out: &mut impl Write,
) -> Result<(), StoreError> {
    let config_name = format!("{}.json", image.config().digest.encoded());
    let of = |descriptor: &Descriptor| {
        let digest = descriptor.digest.clone();
        move |source| StoreError::Blob {
            digest: digest.clone(),
            source,
        }
    };
    append(
        out,
        &config_name,
        image.config().size,
        layout.open_blob(image.config())?,
    )
    .map_err(of(image.config()))?;
    let mut layers = Vec::new();
    for layer in image.layers() {
        let name = format!("{}/layer.tar", layer.digest.encoded());
        if !layers.contains(&name) {
            // The header wants the size first, so the layer is decompressed twice rather than kept.
            let size = io::copy(&mut plain(layout, layer)?, &mut io::sink()).map_err(of(layer))?;
            append(out, &name, size, plain(layout, layer)?).map_err(of(layer))?;
        }
        layers.push(name);
    }
    let repo_tags = name.map(|name| vec![name.familiar().to_string()]);
    let list = serde_json::to_vec(&[Listed {
        config: config_name,
        repo_tags,
        layers,
    }])
    .unwrap_or_default();
    append(out, LIST, list.len() as u64, &list[..])?;
    Ok(())
}

/// A layer's uncompressed bytes.
fn plain(layout: &Layout, layer: &Descriptor) -> Result<Box<dyn Read>, StoreError> {
    let reader = layout.open_blob(layer)?;
    match layer.media_type {
        MediaType::Layer(_, Compression::Gzip) => Ok(Box::new(MultiGzDecoder::new(reader))),
        MediaType::Layer(_, Compression::Zstd) => Ok(Box::new(zstd::Decoder::new(reader)?)),
        _ => Ok(reader),
    }
}
