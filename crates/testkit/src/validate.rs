//! Everything an image claims, recomputed from its bytes.
//!
//! Of the root, each manifest, configuration and layer: digest and size; one family of media types; platforms of
//! index and configuration; diff ids of the decompressed layers (all gzip members, zstd); as many layers as diff
//! ids as history entries that made a layer. Of the layers that the caller names: the rules of `strict`.
//! Attestations are checked as blobs only. All problems are found before any is reported.

mod family;
mod report;
mod strict;

pub use report::{ImageReport, LayerReport, Report};

use crate::image::Platform;
use crate::member;
use crate::registry::Credential;
use crate::sha256;
use crate::source::{Root, Source};
use family::MediaTypes;
use oci_spec::image::{self as oci, Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use std::path::Path;

/// Which layers must be in the form that this workspace writes, and not only true to their digests.
///
/// The form: one entry for each path, relative and plain; parents before children, in the layer itself; whiteouts
/// before the other entries of a directory; hard links to earlier entries of the layer only; no names of users, no
/// times but mtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// All layers: the image was made here from nothing.
    AllLayers,
    /// All but this many base layers: they come from elsewhere.
    LayersAbove(usize),
    /// None.
    NoLayer,
}

impl Strictness {
    fn applies_to(self, layer: usize) -> bool {
        match self {
            Self::AllLayers => true,
            Self::LayersAbove(base_layers) => layer >= base_layers,
            Self::NoLayer => false,
        }
    }
}

/// Validates what `tag` stands for in the OCI layout `dir`.
///
/// # Panics
/// With the list of all problems, when there are any.
pub fn validate_layout(dir: &Path, tag: &str, strictness: Strictness) -> Report {
    report_or_panic(tag, check_layout(dir, tag, strictness))
}

/// Validates what a tag or digest stands for in a registry that is spoken to over plain HTTP.
///
/// # Panics
/// As [`validate_layout`].
pub fn validate_registry(
    host: &str,
    repository: &str,
    reference: &str,
    credential: Option<&Credential>,
    strictness: Strictness,
) -> Report {
    let checked = check_registry(host, repository, reference, credential, strictness);
    report_or_panic(&format!("{host}/{repository} {reference}"), checked)
}

/// Like [`validate_layout`], with the problems as a value.
pub fn check_layout(dir: &Path, tag: &str, strictness: Strictness) -> Result<Report, Vec<String>> {
    Check {
        source: Source::Layout { dir },
        strictness,
        problems: Vec::new(),
    }
    .run(tag)
}

/// Like [`validate_registry`], with the problems as a value.
pub fn check_registry(
    host: &str,
    repository: &str,
    reference: &str,
    credential: Option<&Credential>,
    strictness: Strictness,
) -> Result<Report, Vec<String>> {
    let source = Source::Registry {
        host,
        repository,
        credential,
    };
    Check {
        source,
        strictness,
        problems: Vec::new(),
    }
    .run(reference)
}

fn report_or_panic(name: &str, checked: Result<Report, Vec<String>>) -> Report {
    checked.unwrap_or_else(|problems| panic!("`{name}` is not valid:\n- {}", problems.join("\n- ")))
}

/// A validation under way.
struct Check<'a> {
    source: Source<'a>,
    strictness: Strictness,
    problems: Vec<String>,
}

impl Check<'_> {
    fn run(mut self, reference: &str) -> Result<Report, Vec<String>> {
        let root = self.source.root(reference).map_err(|problem| vec![problem])?;
        self.bytes_match("root", &root.bytes, &root.digest, root.size);
        if reference.starts_with("sha256:") && reference != root.digest {
            self.problem("root", format!("expected {reference}, found {}", root.digest));
        }
        let images = self.images(&root);
        if self.problems.is_empty() {
            Ok(Report {
                digest: root.digest,
                media_type: root.media_type,
                images,
            })
        } else {
            Err(self.problems)
        }
    }

    fn images(&mut self, root: &Root) -> Vec<ImageReport> {
        let Some(family) = MediaTypes::of(&root.media_type) else {
            self.problem("root", format!("unknown media type `{}`", root.media_type));
            return Vec::new();
        };
        if root.media_type == family.manifest {
            return self
                .image(family, &root.digest, &root.bytes, None)
                .into_iter()
                .collect();
        }
        let Some(index) = self.parsed("index", serde_json::from_slice::<ImageIndex>(&root.bytes)) else {
            return Vec::new();
        };
        self.media_type(
            "index",
            index.media_type().as_ref().map_or("", AsRef::as_ref),
            family.index,
        );
        index
            .manifests()
            .iter()
            .filter_map(|child| self.child(family, child))
            .collect()
    }

    fn child(&mut self, family: &MediaTypes, child: &Descriptor) -> Option<ImageReport> {
        let bytes = self.source.manifest(child.digest().as_ref());
        let bytes = self.read(&format!("child {}", child.digest()), child, bytes)?;
        if is_attestation(child) {
            self.attestation(&bytes);
            return None;
        }
        self.media_type(
            child.digest().as_ref(),
            child.media_type().as_ref(),
            family.manifest,
        );
        self.image(family, child.digest().as_ref(), &bytes, Some(child))
    }

    fn image(
        &mut self,
        family: &MediaTypes,
        digest: &str,
        bytes: &[u8],
        child: Option<&Descriptor>,
    ) -> Option<ImageReport> {
        let at = format!("manifest {digest}");
        let manifest = self.parsed(&at, serde_json::from_slice::<ImageManifest>(bytes))?;
        self.media_type(
            &at,
            manifest.media_type().as_ref().map_or("", AsRef::as_ref),
            family.manifest,
        );
        self.media_type(
            &format!("{at}: config"),
            manifest.config().media_type().as_ref(),
            family.config,
        );

        let config_bytes = self.source.blob(manifest.config().digest().as_ref());
        let config_bytes = self.read(&format!("{at}: config"), manifest.config(), config_bytes)?;
        let config = self.parsed(&at, serde_json::from_slice::<ImageConfiguration>(&config_bytes))?;
        self.counts(&at, &manifest, &config);
        let platform = platform_of_config(&config);
        if let Some(claimed) = child
            .and_then(|child| child.platform().as_ref())
            .map(platform_of_descriptor)
            && claimed != platform
        {
            self.problem(
                &at,
                format!("the index says {claimed}, the configuration {platform}"),
            );
        }
        let layers = self.layers(&at, family, &manifest, config.rootfs().diff_ids());
        let config = serde_json::from_slice(&config_bytes).unwrap_or_default();
        let config_digest = manifest.config().digest().to_string();
        Some(ImageReport {
            digest: digest.to_owned(),
            platform,
            config_digest,
            config,
            layers,
        })
    }

    /// As many layers as diff ids as history entries that made a layer; an image without history is allowed.
    fn counts(&mut self, at: &str, manifest: &ImageManifest, config: &ImageConfiguration) {
        let layers = manifest.layers().len();
        let diff_ids = config.rootfs().diff_ids().len();
        if diff_ids != layers {
            self.problem(at, format!("{layers} layers, {diff_ids} diff ids"));
        }
        let history = config.history().as_deref().unwrap_or_default();
        let made_layers = history
            .iter()
            .filter(|entry| entry.empty_layer() != Some(true))
            .count();
        if !history.is_empty() && made_layers != layers {
            self.problem(
                at,
                format!("{layers} layers, {made_layers} history entries that made a layer"),
            );
        }
    }

    fn layers(
        &mut self,
        at: &str,
        family: &MediaTypes,
        manifest: &ImageManifest,
        diff_ids: &[String],
    ) -> Vec<LayerReport> {
        let numbered = manifest.layers().iter().zip(diff_ids).enumerate();
        numbered
            .filter_map(|(number, (layer, diff_id))| {
                let at = format!("{at}: layer {} of {}", number + 1, manifest.layers().len());
                self.layer(&at, family, layer, diff_id, self.strictness.applies_to(number))
            })
            .collect()
    }

    fn layer(
        &mut self,
        at: &str,
        family: &MediaTypes,
        layer: &Descriptor,
        diff_id: &str,
        strict: bool,
    ) -> Option<LayerReport> {
        let media_type = layer.media_type().as_ref();
        if !family.layers.contains(&media_type) {
            self.problem(
                at,
                format!(
                    "media type `{media_type}` is not of the family of `{}`",
                    family.manifest
                ),
            );
        }
        let blob = self.source.blob(layer.digest().as_ref());
        let blob = self.read(at, layer, blob)?;
        let tar = self.parsed(at, member::read_layer(media_type, &blob))?;
        if tar.diff_id != diff_id {
            self.problem(at, format!("expected diff id {diff_id}, found {}", tar.diff_id));
        }
        if strict {
            self.problems.extend(
                strict::check(&tar.members)
                    .into_iter()
                    .map(|problem| format!("{at}: {problem}")),
            );
        }
        Some(LayerReport {
            media_type: media_type.to_owned(),
            digest: layer.digest().to_string(),
            size: layer.size(),
            diff_id: tar.diff_id,
            names: tar.members.into_iter().map(|member| member.name).collect(),
        })
    }

    fn attestation(&mut self, bytes: &[u8]) {
        let Some(manifest) = self.parsed("attestation", serde_json::from_slice::<ImageManifest>(bytes))
        else {
            return;
        };
        for blob in manifest.layers().iter().chain([manifest.config()]) {
            let bytes = self.source.blob(blob.digest().as_ref());
            self.read("attestation", blob, bytes);
        }
    }

    /// The bytes, checked against their descriptor; wrong ones are a problem and are still looked at.
    fn read(&mut self, at: &str, descriptor: &Descriptor, bytes: Result<Vec<u8>, String>) -> Option<Vec<u8>> {
        let bytes = self.parsed(at, bytes)?;
        self.bytes_match(at, &bytes, descriptor.digest().as_ref(), descriptor.size());
        Some(bytes)
    }

    fn bytes_match(&mut self, at: &str, bytes: &[u8], digest: &str, size: u64) {
        let found = (sha256(bytes), bytes.len() as u64);
        if found != (digest.to_owned(), size) {
            self.problem(
                at,
                format!(
                    "expected {digest} ({size} bytes), found {} ({} bytes)",
                    found.0, found.1
                ),
            );
        }
    }

    fn media_type(&mut self, at: &str, found: &str, expected: &str) {
        if found != expected {
            self.problem(at, format!("expected media type `{expected}`, found `{found}`"));
        }
    }

    fn parsed<T, E: std::fmt::Display>(&mut self, at: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.problem(at, error.to_string())).ok()
    }

    fn problem(&mut self, at: &str, problem: String) {
        self.problems.push(format!("{at}: {problem}"));
    }
}

fn is_attestation(child: &Descriptor) -> bool {
    let annotations = child.annotations().as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key("vnd.docker.reference.digest"))
}

fn platform_of_config(config: &ImageConfiguration) -> Platform {
    let variant = config.variant().as_deref();
    Platform::new(
        &config.os().to_string(),
        &config.architecture().to_string(),
        variant,
    )
}

fn platform_of_descriptor(platform: &oci::Platform) -> Platform {
    let variant = platform.variant().as_deref();
    Platform::new(
        &platform.os().to_string(),
        &platform.architecture().to_string(),
        variant,
    )
}
