use std::collections::BTreeSet;
use std::sync::Arc;

use onlay_oci::{
    ConfigError, Descriptor, Digest, Document, ImageConfiguration, Index, IndexEntryKind, Manifest, Platform,
    PlatformSelection,
};
use onlay_registry::{Client, RegistryError, RepositoryClient};
use onlay_store::{Location, Store};

use crate::documents::Documents;
use crate::{BaseImage, ImageSource, SourceError};

/// An image or index that instructions are applied to.
#[derive(Clone)]
pub struct Base {
    /// The name it was found under.
    name: String,
    source: ImageSource,
    documents: Documents,
    document: Document,
}

impl Base {
    /// Finds an image in a registry or store: one request or one small file.
    ///
    /// # Errors
    /// It is not there, or is no image.
    pub(crate) async fn resolve(
        client: &Client,
        documents: &Documents,
        location: &Location,
    ) -> Result<Self, BaseError> {
        let name = location.to_string();
        let failed = |source: SourceError| BaseError::Resolve {
            name: name.clone(),
            source,
        };
        let (source, document) = match location {
            Location::Registry(reference) => {
                let repository = client.source(reference).map_err(|error| failed(error.into()))?;
                let identifier = reference.identifier();
                let document = match reference.digest() {
                    Some(digest) => pull(&repository, digest, documents).await,
                    None => pull_tag(&repository, &name, &identifier, documents).await,
                };
                (
                    ImageSource::Registry(repository),
                    document.map_err(|error| failed(error.into()))?,
                )
            }
            other => {
                let other = other.clone();
                let opened = tokio::task::spawn_blocking(move || {
                    let (store, root) = Store::open(&other)?;
                    let document = store.document(&root)?;
                    Ok((store, document))
                });
                let (store, document) = opened
                    .await
                    .map_err(|_| failed(SourceError::Worker))?
                    .map_err(SourceError::Store)
                    .map_err(failed)?;
                (ImageSource::Store(Arc::new(store)), document)
            }
        };
        Ok(Self {
            name,
            source,
            documents: documents.clone(),
            document,
        })
    }

    /// The name it was found under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of the image or index.
    pub fn digest(&self) -> Digest {
        self.document.descriptor().digest
    }

    /// The image or index itself.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The digests of the images that are wanted, in the base's order. Of an index nothing more is read; one image says
    /// only in its configuration what it is for.
    ///
    /// # Errors
    /// As [`platforms`](Self::platforms).
    pub async fn digests(&self, selection: &PlatformSelection) -> Result<Vec<(Digest, Platform)>, BaseError> {
        if let Document::Index(index) = &self.document {
            let chosen = self.select(index, selection)?.into_iter();
            return Ok(chosen
                .map(|(entry, platform)| (entry.digest.clone(), platform))
                .collect());
        }
        let images = self.platforms(selection).await?;
        Ok(images
            .into_iter()
            .map(|image| (image.manifest.descriptor().digest, image.platform))
            .collect())
    }

    /// Where its blobs are.
    pub fn source(&self) -> &ImageSource {
        &self.source
    }

    /// Tells whether it is an index of images, not one image.
    pub fn is_index(&self) -> bool {
        matches!(self.document, Document::Index(_))
    }

    /// How many of the index's entries are statements about its images, which edited images leave behind.
    pub fn attestations(&self) -> usize {
        match &self.document {
            Document::Index(index) => index
                .manifests()
                .iter()
                .filter(|entry| Index::kind(entry) == IndexEntryKind::Attestation)
                .count(),
            Document::Manifest(_) => 0,
        }
    }

    /// Reads manifest and configuration of the images that are wanted, in the base's order.
    ///
    /// # Errors
    /// A wanted platform is not there, an entry of the index is not an image, or a document is damaged.
    pub async fn platforms(&self, selection: &PlatformSelection) -> Result<Vec<BaseImage>, BaseError> {
        match &self.document {
            Document::Manifest(manifest) => {
                let image = self.image(manifest.clone(), None).await?;
                self.select_one(image, selection).map(|image| vec![image])
            }
            Document::Index(index) => self.images(self.select(index, selection)?).await,
        }
    }

    /// Reads manifest and configuration of the image that serves one platform best.
    ///
    /// # Errors
    /// There is none, or a document is damaged.
    pub async fn platform(&self, wanted: &Platform) -> Result<BaseImage, BaseError> {
        let selection = PlatformSelection::Only(vec![wanted.clone()]);
        let missing = || BaseError::NoPlatform {
            name: self.name.clone(),
            wanted: wanted.to_string(),
            offered: "none".to_owned(),
        };
        self.platforms(&selection)
            .await?
            .into_iter()
            .next()
            .ok_or_else(missing)
    }

    /// The platforms on offer, as an index lists them.
    fn offered(index: &Index) -> Vec<(&Descriptor, Platform)> {
        let image = |entry| match Index::kind(entry) {
            // As the publisher spells it: an edited index says the same.
            IndexEntryKind::Image(normalised) => Some((entry, entry.platform.clone().unwrap_or(normalised))),
            IndexEntryKind::Attestation | IndexEntryKind::Nested | IndexEntryKind::Unknown => None,
        };
        let mut seen = BTreeSet::new();
        // An entry that stands twice is one image.
        let first = |(entry, platform): &(&Descriptor, Platform)| {
            seen.insert((entry.digest.to_string(), platform.to_string()))
        };
        index.manifests().iter().filter_map(image).filter(first).collect()
    }

    fn select<'a>(
        &self,
        index: &'a Index,
        selection: &PlatformSelection,
    ) -> Result<Vec<(&'a Descriptor, Platform)>, BaseError> {
        let offered = Self::offered(index);
        if let Some(nested) = index
            .manifests()
            .iter()
            .find(|entry| Index::kind(entry) == IndexEntryKind::Nested)
        {
            return Err(BaseError::NestedIndex {
                name: self.name.clone(),
                digest: nested.digest.clone(),
            });
        }
        let PlatformSelection::Only(wanted) = selection else {
            return if offered.is_empty() {
                Err(self.no_platform("linux", &offered))
            } else {
                Ok(offered)
            };
        };
        let mut positions = Vec::new();
        for platform in wanted {
            let ranked = offered
                .iter()
                .enumerate()
                .filter_map(|(position, (_, offer))| platform.rank(offer).map(|rank| (rank, position)));
            let best = ranked
                .min()
                .ok_or_else(|| self.no_platform(&platform.to_string(), &offered))?;
            positions.push(best.1);
        }
        positions.sort_unstable();
        positions.dedup();
        Ok(positions
            .into_iter()
            .filter_map(|position| offered.get(position).cloned())
            .collect())
    }

    fn select_one(&self, image: BaseImage, selection: &PlatformSelection) -> Result<BaseImage, BaseError> {
        let fits = match selection {
            PlatformSelection::All => true,
            PlatformSelection::Only(wanted) => wanted
                .iter()
                .all(|platform| platform.rank(&image.platform).is_some()),
        };
        if fits {
            return Ok(image);
        }
        let wanted = match selection {
            PlatformSelection::Only(wanted) => wanted
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            PlatformSelection::All => String::new(),
        };
        Err(BaseError::NoPlatform {
            name: self.name.clone(),
            wanted,
            offered: image.platform.to_string(),
        })
    }

    fn no_platform(&self, wanted: &str, offered: &[(&Descriptor, Platform)]) -> BaseError {
        let offered: Vec<String> = offered
            .iter()
            .map(|(_, platform)| platform.clone().normalised().to_string())
            .collect();
        let offered = if offered.is_empty() {
            "none".to_owned()
        } else {
            offered.join(", ")
        };
        BaseError::NoPlatform {
            name: self.name.clone(),
            wanted: wanted.to_owned(),
            offered,
        }
    }

    async fn images(&self, entries: Vec<(&Descriptor, Platform)>) -> Result<Vec<BaseImage>, BaseError> {
        let images = entries.into_iter().map(|(entry, platform)| async move {
            match self.read(entry).await? {
                Document::Manifest(manifest) => self.image(manifest, Some(platform)).await,
                Document::Index(_) => Err(BaseError::NestedIndex {
                    name: self.name.clone(),
                    digest: entry.digest.clone(),
                }),
            }
        });
        futures_util::future::try_join_all(images).await
    }

    /// Reads a manifest that the index names.
    async fn read(&self, entry: &Descriptor) -> Result<Document, BaseError> {
        let document = match &self.source {
            ImageSource::Registry(repository) => {
                let pulled = pull(repository, &entry.digest, &self.documents).await;
                pulled.map_err(SourceError::Registry)
            }
            ImageSource::Store(_) => self.source.document(entry).await,
        };
        document.map_err(|source| self.failed(source))
    }

    async fn configuration(&self, descriptor: &Descriptor) -> Result<Vec<u8>, BaseError> {
        let is_remote = matches!(self.source, ImageSource::Registry(_));
        if is_remote && let Some(known) = self.documents.find(&descriptor.digest).await {
            return Ok(known);
        }
        let read = self.source.configuration(descriptor).await;
        let bytes = read.map_err(|source| self.failed(source))?;
        if is_remote {
            self.documents.keep(&descriptor.digest, &bytes).await;
        }
        Ok(bytes)
    }

    async fn image(&self, manifest: Manifest, platform: Option<Platform>) -> Result<BaseImage, BaseError> {
        if !manifest.is_image() {
            let media_type = manifest.config().media_type.to_string();
            return Err(BaseError::NotAnImage {
                name: self.name.clone(),
                media_type,
            });
        }
        let bytes = self.configuration(manifest.config()).await?;
        let malformed = |source| BaseError::Configuration {
            name: self.name.clone(),
            source,
        };
        let configuration = ImageConfiguration::parse(bytes).map_err(malformed)?;
        let own = configuration.platform().map_err(malformed)?;
        let (layers, diff_ids) = (manifest.layers().len(), configuration.diff_ids().len());
        if layers != diff_ids {
            return Err(BaseError::LayerCount {
                name: self.name.clone(),
                layers,
                diff_ids,
            });
        }
        Ok(BaseImage {
            platform: platform.unwrap_or(own),
            manifest,
            configuration,
        })
    }

    fn failed(&self, source: SourceError) -> BaseError {
        BaseError::Resolve {
            name: self.name.clone(),
            source,
        }
    }
}

/// Reads what a tag points at. Where an earlier run asked for that, a HEAD tells whether it still does, which costs
/// nothing where pulls are counted.
async fn pull_tag(
    repository: &RepositoryClient,
    name: &str,
    tag: &str,
    documents: &Documents,
) -> Result<Document, RegistryError> {
    if let Some(last) = documents.last_of(name).await
        && let Some(known) = find(documents, &last).await
        && let Some(there) = repository.head_manifest(tag).await?
        && there.digest == last
    {
        return Ok(known);
    }
    let (document, descriptor) = repository.pull_manifest(tag).await?;
    keep(documents, &document).await;
    documents.keep_last(name, &descriptor.digest).await;
    Ok(document)
}

/// Reads a manifest or index by its digest.
async fn pull(
    repository: &RepositoryClient,
    digest: &Digest,
    documents: &Documents,
) -> Result<Document, RegistryError> {
    if let Some(known) = find(documents, digest).await {
        return Ok(known);
    }
    let (document, _) = repository.pull_manifest(&digest.to_string()).await?;
    keep(documents, &document).await;
    Ok(document)
}

async fn find(documents: &Documents, digest: &Digest) -> Option<Document> {
    Document::parse(documents.find(digest).await?, None).ok()
}

/// Of a document that does not say itself what it is, the registry's answer is needed again, so it is not kept.
async fn keep(documents: &Documents, document: &Document) {
    let described = document.descriptor();
    let says_itself = |same: Document| same.descriptor().media_type == described.media_type;
    let bytes = document.bytes();
    if Document::parse(bytes.clone(), None).is_ok_and(says_itself) {
        documents.keep(&described.digest, bytes).await;
    }
}

/// Why a base cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// It, or one of its documents, could not be read.
    #[error("failed to read `{name}`")]
    Resolve {
        /// The base.
        name: String,
        /// What happened.
        source: SourceError,
    },
    /// It has no image for a platform.
    #[error("`{name}` has no image for {wanted}; it has {offered}")]
    NoPlatform {
        /// The base.
        name: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        offered: String,
    },
    /// An index within the index.
    #[error("`{name}` has an index within its index ({digest}), which is not supported")]
    NestedIndex {
        /// The base.
        name: String,
        /// The inner index.
        digest: Digest,
    },
    /// An artifact.
    #[error("`{name}` is not an image: its config has media type `{media_type}`")]
    NotAnImage {
        /// The base.
        name: String,
        /// The media type of its config.
        media_type: String,
    },
    /// The configuration is malformed.
    #[error("the configuration of `{name}` cannot be used")]
    Configuration {
        /// The base.
        name: String,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// Manifest and configuration disagree.
    #[error("`{name}` has {layers} layers in its manifest and {diff_ids} in its configuration")]
    LayerCount {
        /// The base.
        name: String,
        /// Layers of the manifest.
        layers: usize,
        /// Diff ids of the configuration.
        diff_ids: usize,
    },
}
